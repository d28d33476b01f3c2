package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

type addExceptionInput struct {
	Keyed
	Body wire.NewException
}

func (s *server) addExceptions(api huma.API) {
	handle(s, api, about("decisions", "list-exceptions", http.MethodGet, "/exceptions", "List what is not patched, and until when"), s.listExceptions)
	op := about("decisions", "add-exception", http.MethodPost, "/exceptions", "Let something go unpatched until a date, or renew that")
	op.Description = "By a security lead who is no author of policies, for an owner who is somebody else."
	op.DefaultStatus = http.StatusCreated
	handle(s, api, op, s.addException)
	handle(s, api, about("decisions", "expire-exception", http.MethodPost, "/exceptions/{decision}/expire", "End an exception before its date"), s.expireException)
}

func (s *server) listExceptions(ctx context.Context, in *decisionsInput) (wire.Exceptions, error) {
	out, now := wire.Exceptions{Items: []wire.Exception{}}, s.Now()
	all, err := s.Store.Exceptions(ctx, since(in.All, now))
	for _, e := range inOrder(all, func(e patching.Exception) patching.Term { return e.Term }, in.All, now) {
		out.Items = append(out.Items, exceptionShape(e, now))
	}
	return out, err
}

func (s *server) addException(ctx context.Context, in *addExceptionInput) (wire.ExceptionAnswer, error) {
	e, err := s.newException(ctx, in)
	if err != nil {
		return wire.ExceptionAnswer{}, err
	}
	is, err := s.Store.Exception(ctx, e.ID)
	switch {
	case err == nil: // sent again
		e.At = is.At
		if in.Body.ReviewBy.IsZero() {
			e.ReviewBy = is.ReviewBy
		}
		return s.exceptionAnswer(is, "It is on record already."), s.Store.PutException(ctx, e)
	case !errors.Is(err, store.ErrNotFound):
		return wire.ExceptionAnswer{}, err
	}
	if err := e.Check(); err != nil {
		return wire.ExceptionAnswer{}, misfits(err)
	}
	if words := account(ctx).MayAcceptRisk(); words != "" {
		return wire.ExceptionAnswer{}, notAllowed(words)
	}
	words, err := s.excepts(ctx, e)
	if err != nil {
		return wire.ExceptionAnswer{}, err
	}
	said := fmt.Sprintf("for %s; owner %s; until %s; reason %q", e.Words(), e.Owner, e.Until.Format(time.DateOnly), e.Reason)
	if e.Renews != "" {
		said = "renews " + string(e.Renews) + "; " + said
	}
	if err := s.change(ctx, "add exception", string(e.ID), said, func() error { return s.Store.PutException(ctx, e) }); err != nil {
		return wire.ExceptionAnswer{}, err
	}
	answer := s.exceptionAnswer(e, words)
	answer.Warning = s.Urgent.Doubt(ctx, e.Subject)
	return answer, nil
}

// excepts says of how many machines an exception is, unless its maker would answer for it
// after all, or it is one for everything by another name.
func (s *server) excepts(ctx context.Context, e patching.Exception) (words string, err error) {
	who := account(ctx)
	if i := slices.IndexFunc(who.Roles, func(r patching.Role) bool { return e.OwnedBy(string(r)) }); i >= 0 {
		all, err := s.Store.Accounts(ctx, time.Time{})
		if err != nil {
			return "", err
		}
		other := func(a patching.Account) bool { return a.Name != who.Name && a.Revoked.IsZero() && a.Has(who.Roles[i]) }
		if !slices.ContainsFunc(all, other) {
			return "", invalid("body.owner", "nobody but %s is %s: name somebody else who answers for it", who.Name, who.Roles[i])
		}
	}
	in, err := s.takes(ctx, e.Subject)
	if err != nil {
		return "", err
	}
	if e.Advisory == "" && e.CVE == "" && e.Package == "" && in.all {
		return "", invalid("body.selector", "%s takes every machine that is known now, and would be no patching: narrow it, or say an advisory, a CVE or a package", e.Selector)
	}
	return in.words(), nil
}

// newException is what was asked for. A renewal is about what it renews, and for the same
// owner with the same measure, unless it says otherwise.
func (s *server) newException(ctx context.Context, in *addExceptionInput) (patching.Exception, error) {
	e := patching.Exception{
		Term: s.term(ctx, decisionID(ctx, "exception", in.Key), in.Body.Until, in.Body.Reason), Subject: subject(in.Body.Subject),
		Owner: strings.TrimSpace(in.Body.Owner), Measure: in.Body.Measure, ReviewBy: in.Body.ReviewBy.UTC(), Renews: in.Body.Renews,
	}
	if in.Body.ReviewBy.IsZero() {
		e.ReviewBy = e.Quarter()
	}
	if e.Renews == "" {
		return e, nil
	}
	was, err := s.Store.Exception(ctx, e.Renews)
	if err != nil {
		return e, absent(anException, e.Renews, err)
	}
	if now := s.Now(); !was.Ended.At.IsZero() && was.Ended.RenewedBy != e.ID {
		way := "Make a new one without --renews."
		if was.Ended.RenewedBy != "" {
			way = "Renew that one: --renews " + string(was.Ended.RenewedBy)
		}
		return e, conflict(fmt.Sprintf("%s was %s on %s by %s.", was.ID, was.State(now), was.Ended.At.Format(time.DateOnly), was.Ended.By), way)
	}
	if e.Subject == (patching.Subject{}) {
		e.Subject = was.Subject
	}
	if e.Subject != was.Subject {
		return e, invalid("body.renews", "%s is about %s: a renewal is about the same; end that one, and make another", was.ID, was.Words())
	}
	e.Owner, e.Measure = cmp.Or(e.Owner, was.Owner), cmp.Or(e.Measure, was.Measure)
	return e, nil
}

func (s *server) expireException(ctx context.Context, in *endInput) (wire.ExceptionAnswer, error) {
	e, err := s.Store.Exception(ctx, in.Decision)
	if err != nil {
		return wire.ExceptionAnswer{}, absent(anException, in.Decision, err)
	}
	e.Ended, err = s.ends(ctx, e.Term, in.Body.Reason)
	if err != nil {
		return wire.ExceptionAnswer{}, err
	}
	err = s.change(ctx, "expire exception", string(e.ID), in.Body.Reason, func() error { return s.Store.EndDecision(ctx, e.Ended) })
	if err != nil {
		return wire.ExceptionAnswer{}, err
	}
	return s.exceptionAnswer(e, "What it kept back is planned again, unless another decision holds."), nil
}

func (s *server) exceptionAnswer(e patching.Exception, words string) wire.ExceptionAnswer {
	return wire.ExceptionAnswer{Exception: exceptionShape(e, s.Now()), Words: words}
}

func exceptionShape(e patching.Exception, now time.Time) wire.Exception {
	return wire.Exception{
		Term: termShape(e.Term, now), Subject: subjectShape(e.Subject), Owner: e.Owner, Measure: e.Measure,
		ReviewBy: e.ReviewBy, Due: e.InForce(now) && now.After(e.ReviewBy), Renews: e.Renews,
	}
}
