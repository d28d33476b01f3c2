package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// CyclePath is a cycle's id as a path: its three parts.
type CyclePath struct {
	Kind   string `path:"kind" enum:"cycle,emergency"`
	Policy string `path:"policy" pattern:"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"`
	Run    string `path:"run" pattern:"^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$" doc:"Such as 2026-11.1, or the name of an emergency."`
}

// ID returns the cycle's id.
func (p CyclePath) ID() patching.CycleID {
	return patching.CycleID(p.Kind + "/" + p.Policy + "/" + p.Run)
}

const cyclePath = "/cycles/{kind}/{policy}/{run}"

type actInput struct {
	CyclePath
	Keyed
	Body wire.Act
}

// addVerbs adds one operation for each row of the table of verbs.
func (s *server) addVerbs(api huma.API) {
	for _, v := range contract.Verbs() {
		op := about("verbs", string(v.Verb)+"-cycle", http.MethodPost, cyclePath+"/"+string(v.Verb), v.Short)
		op.MaxBodyBytes = 1 << 20 // an amendment names thousands of machines
		op.Description = describe(v)
		handle(s, api, op, func(ctx context.Context, in *actInput) (wire.Answer, error) { return s.act(ctx, v, in) })
	}
}

func describe(v contract.VerbRule) string {
	words := fmt.Sprintf("Machines that have not started: %s. At work: %s. Done: %s. To take it back: %s. May be done by: %s.",
		v.NotStarted, v.AtWork, v.Done, v.Undo, join(v.May))
	if v.NeedsPlan {
		words += " Needs the plan's hash."
	}
	if v.NeedsReason {
		words += " Needs a reason."
	}
	if v.OfMachines {
		words += " Whoever is limited to sites may do it to the machines of these."
	}
	return words
}

// act puts the act on record and hands it to the cycle, which finds out whether
// it counts. Only the request's id travels: who sent it stands on our record.
func (s *server) act(ctx context.Context, v contract.VerbRule, in *actInput) (wire.Answer, error) {
	switch {
	case v.NeedsPlan && !in.Body.Plan.Valid():
		return wire.Answer{}, invalid("body.plan", "%s needs the hash of the plan that is meant: sha256: and 64 digits", v.Verb)
	case v.NeedsReason && in.Body.Reason == "":
		return wire.Answer{}, invalid("body.reason", "%s needs a reason", v.Verb)
	case v.OfMachines && len(in.Body.Assets) == 0:
		return wire.Answer{}, invalid("body.assets", "name the machines")
	}
	if err := s.inScope(ctx, v, in); err != nil {
		return wire.Answer{}, err
	}
	id, _, err := s.record(ctx, in.Key, store.Request{
		Verb: string(v.Verb), Cycle: in.ID(), Plan: in.Body.Plan, Reason: in.Body.Reason, Body: body(in.Body),
	})
	if err != nil {
		return wire.Answer{}, err
	}
	a, err := s.Starter.Do(ctx, in.ID(), v.Verb, contract.Act{
		Request: id, Plan: in.Body.Plan, Reason: in.Body.Reason, Assets: in.Body.Assets,
		Signature: in.Body.Signature, BreakGlass: in.Body.BreakGlass,
	})
	var notNow *starter.NotNow
	if errors.As(err, &notNow) {
		if _, err := s.Store.Cycle(ctx, in.ID()); errors.Is(err, store.ErrNotFound) {
			return wire.Answer{}, absent(aCycle, in.ID(), err)
		}
	}
	if err = engine(err); err != nil {
		return wire.Answer{}, s.unanswered(ctx, string(v.Verb)+"-cycle", in.Key, err)
	}
	switch {
	case a.NotNow:
		return wire.Answer{}, &starter.NotNow{Words: a.Words}
	case !a.Accepted:
		return wire.Answer{}, notAllowed(a.Words)
	}
	return wire.Answer{Words: a.Words, Votes: a.Votes, Quorum: a.Quorum, Request: id}, nil
}

// inScope refuses an act on machines that are outside of the account's scope, as
// the cycle would.
func (s *server) inScope(ctx context.Context, v contract.VerbRule, in *actInput) error {
	who, policy := account(ctx), patching.PolicyName(in.Policy)
	if !v.OfMachines || who.Covers(policy) {
		return nil
	}
	at, err := s.sites(ctx, in.Body.Assets)
	if err != nil {
		return err
	}
	words := v.Outside(who, policy, in.Body.Assets, at)
	if words == "" {
		return nil
	}
	s.recordRefused(ctx, who, string(v.Verb), string(in.ID()), words)
	return notAllowed(words)
}

// sites finds out where machines are.
func (s *server) sites(ctx context.Context, ids []patching.AssetID) (func(patching.AssetID) (patching.SiteName, bool), error) {
	found := make(map[patching.AssetID]patching.SiteName, len(ids))
	assets, err := s.Store.Assets(ctx, store.AssetFilter{IDs: ids})
	for _, a := range assets {
		found[a.ID] = cmp.Or(a.Site, patching.Roaming)
	}
	return func(id patching.AssetID) (patching.SiteName, bool) { site, ok := found[id]; return site, ok }, err
}

// unanswered explains an act that is on record but of which nobody knows yet
// whether the cycle took it: repeating it with its key is harmless.
func (s *server) unanswered(ctx context.Context, operation, key string, err error) *wire.Problem {
	p := s.explain(ctx, operation, err)
	if p.Status < http.StatusInternalServerError {
		return p
	}
	if p.Code == wire.CodeEngineAway {
		p.Detail = "The engine does not answer: it is not known yet whether the cycle took it."
	}
	if p.Key = key; key != "" {
		p.WayOut = "Send it again with the same " + wire.KeyHeader + ": it counts once."
	} else {
		p.WayOut = "See with \"patchcycle cycle show\" how it stands before you repeat it."
	}
	return p
}
