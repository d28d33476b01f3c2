package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
)

type decisionsInput struct {
	All bool `query:"all" doc:"Those that have ended, too."`
}

type endInput struct {
	Decision patching.DecisionID `path:"decision" maxLength:"64"`
	Body     wire.Because
}

// decisionID names what somebody decides: by account and key, so that an act that is
// repeated is the same decision and nobody can name another's.
func decisionID(ctx context.Context, kind, key string) patching.DecisionID {
	if key == "" {
		key = newToken()
	}
	sum := patching.DigestOf([]byte(kind + " v1\n" + string(account(ctx).Name) + "\n" + key))
	return patching.DecisionID(kind + "-" + strings.TrimPrefix(string(sum), "sha256:")[:10])
}

// term is that of a decision which the account makes now as a security lead.
func (s *server) term(ctx context.Context, id patching.DecisionID, until time.Time, reason string) patching.Term {
	return patching.Term{ID: id, By: account(ctx).Name, Role: patching.RoleSecurityLead, At: s.Now().UTC(), Until: until.UTC(), Reason: reason}
}

// misfits makes a problem of what does not fit in a decision; others stay as they are.
func misfits(err error) error {
	var m *patching.Misfit
	switch {
	case !errors.As(err, &m):
		return err
	case m.Field == "state": // what was asked for is one, and does not follow on what stands
		return conflict(m.Words, "")
	}
	return invalid("body."+m.Field, "%s", m.Words)
}

// extent is which of the machines known now a subject is about.
type extent struct {
	// every: nothing narrows it, machines that join later are meant too.
	every bool
	// all: there is no machine that it leaves out; missed is the first one otherwise.
	all          bool
	missed       patching.AssetID
	known, taken int
	// sites are those of the machines that are taken.
	sites map[patching.SiteName]bool
}

func (e extent) words() string {
	switch {
	case e.every:
		return "It is about all machines."
	case e.taken == 0:
		return "It is about no machine that is known now: is the selector right?"
	}
	return fmt.Sprintf("It is about %s of %d.", phrase.Count(e.taken, "machine"), e.known)
}

// takes is which machines a subject is about: of all, or of those that are named.
func (s *server) takes(ctx context.Context, about patching.Subject, ids ...patching.AssetID) (extent, error) {
	selector, err := policy.Compile(about.Selector)
	if err != nil {
		return extent{}, invalid("body.selector", "%s", err)
	}
	all, err := s.Store.Assets(ctx, store.AssetFilter{IDs: ids})
	if err != nil {
		return extent{}, err
	}
	out := extent{every: about.Selector == "", known: len(all), sites: map[patching.SiteName]bool{}}
	for i := range all {
		taken, err := selector.Match(&all[i])
		switch {
		case err != nil:
			return extent{}, invalid("body.selector", "%s", err)
		case taken:
			out.taken++
			out.sites[cmp.Or(all[i].Site, patching.Roaming)] = true
		default:
			out.missed = cmp.Or(out.missed, all[i].ID)
		}
	}
	out.all = out.missed == ""
	if len(all) == 0 { // a fleet that is still to come: what of a machine that nothing is known of?
		out.all, err = selector.Match(&patching.Asset{})
	}
	return out, err
}

// inOrder puts those in force first, and of these those that end first; then the others,
// the newest end first. Without all the others are left out.
func inOrder[T any](items []T, term func(T) patching.Term, all bool, now time.Time) []T {
	if !all {
		items = slices.DeleteFunc(items, func(t T) bool { return !term(t).InForce(now) })
	}
	slices.SortStableFunc(items, func(a, b T) int {
		x, y := term(a), term(b)
		switch holds := x.InForce(now); {
		case holds != y.InForce(now) && holds:
			return -1
		case holds != y.InForce(now):
			return 1
		case holds:
			return x.Until.Compare(y.Until)
		}
		return end(y).Compare(end(x))
	})
	return items
}

// end is when a decision ended.
func end(t patching.Term) time.Time {
	if !t.Ended.At.IsZero() && t.Ended.At.Before(t.Until) {
		return t.Ended.At
	}
	return t.Until
}

// ends makes an account's end of a decision; one that is over already is a conflict.
func (s *server) ends(ctx context.Context, t patching.Term, reason string) (patching.Ending, error) {
	now := s.Now().UTC()
	if !t.InForce(now) {
		return patching.Ending{}, conflict(fmt.Sprintf("%s is over since %s: %s.", t.ID, end(t).UTC().Format(time.DateOnly), t.State(now)), "")
	}
	e := patching.Ending{Decision: t.ID, At: now, By: account(ctx).Name, Role: patching.RoleSecurityLead, Reason: reason}
	return e, misfits(e.Check())
}

func subject(s wire.Subject) patching.Subject {
	return patching.Subject{Advisory: s.Advisory, CVE: s.CVE, Package: s.Package, Selector: s.Selector}.Named()
}

func subjectShape(s patching.Subject) wire.Subject {
	return wire.Subject{Advisory: s.Advisory, CVE: s.CVE, Package: s.Package, Selector: s.Selector}
}

func termShape(t patching.Term, now time.Time) wire.Term {
	out := wire.Term{ID: t.ID, Reason: t.Reason, By: t.By, Role: t.Role, At: t.At, Until: t.Until, State: t.State(now)}
	if e := t.Ended; !e.At.IsZero() {
		out.Ended = &wire.Ending{At: e.At, By: e.By, Role: e.Role, Reason: e.Reason, RenewedBy: e.RenewedBy}
	}
	return out
}

// standsFor is in which of some roles the account acts, the first that it has.
func standsFor(a patching.Account, roles ...patching.Role) patching.Role {
	i := slices.IndexFunc(roles, func(r patching.Role) bool { return a.Has(r) })
	return roles[max(0, i)]
}
