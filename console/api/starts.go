package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
)

// PolicyPath names a policy.
type PolicyPath struct {
	Policy patching.PolicyName `path:"policy" pattern:"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"`
}

type startInput struct {
	PolicyPath
	Keyed
	Body wire.StartCycle
}

type emergencyInput struct {
	PolicyPath
	Keyed
	Body wire.StartEmergency
}

func (s *server) addStarts(api huma.API) {
	op := about("cycles", "start-cycle", http.MethodPost, "/policies/{policy}/cycles", "Start the policy's monthly cycle now")
	op.Description = "You become its author: somebody else has to approve it."
	op.DefaultStatus = http.StatusCreated
	handle(s, api, op, func(ctx context.Context, in *startInput) (wire.Started, error) {
		return s.start(ctx, in.Key, starter.Request{Policy: in.Policy, Kind: patching.Monthly, Shadow: in.Body.Shadow}, body(in.Body))
	})
	op = about("cycles", "start-emergency", http.MethodPost, "/policies/{policy}/emergencies", "Call an emergency cycle")
	op.Description = "The same path with shorter soaks, the test ring included. You become its author: somebody else has to approve it."
	op.DefaultStatus = http.StatusCreated
	handle(s, api, op, func(ctx context.Context, in *emergencyInput) (wire.Started, error) {
		return s.start(ctx, in.Key, starter.Request{
			Policy: in.Policy, Kind: patching.Emergency, Slug: in.Body.Slug, Reason: in.Body.Reason, Shadow: in.Body.Shadow,
		}, body(in.Body))
	})
}

// start puts the wish on record and starts the cycle. One that is repeated
// with its key finds the cycle that the first one started.
func (s *server) start(ctx context.Context, key string, r starter.Request, body string) (wire.Started, error) {
	policy, err := s.inForce(ctx, r.Policy)
	if err != nil {
		return wire.Started{}, absent(aPolicy, r.Policy, err)
	}
	if why := policy.NotYet(s.Now(), r.Shadow); why != "" {
		return wire.Started{}, conflict(why, "Try it with --shadow, which installs nothing, or apply it with an earlier valid_from.")
	}
	r.Author = account(ctx).Name
	id, again, err := s.record(ctx, key, store.Request{Verb: "start " + string(r.Kind), Body: string(r.Policy) + " " + body, Reason: r.Reason})
	if err != nil {
		return wire.Started{}, err
	}
	if again {
		if c, ok, err := s.startedBy(ctx, id, r); err != nil || ok {
			return wire.Started{Cycle: c, Request: id, Words: fmt.Sprintf("Started %s before.", c)}, err
		}
	}
	c, err := s.Starter.Start(ctx, r)
	if errors.Is(err, starter.ErrExists) && again {
		err = nil // the first try started it, and it is not on record yet
	}
	if err = engine(err); err != nil {
		return wire.Started{}, s.unanswered(ctx, "start-cycle", key, err)
	}
	if err := s.note(ctx, "start", string(c), fmt.Sprintf("request %s; shadow %t; reason %q", id, r.Shadow, r.Reason)); err != nil {
		return wire.Started{}, err
	}
	return wire.Started{Cycle: c, Request: id, Words: fmt.Sprintf("Started %s. %s is its author and cannot approve it.", c, r.Author)}, nil
}

// startedBy finds the cycle that an earlier try of the same request started: by
// the same person, of that policy and kind, since the request came.
func (s *server) startedBy(ctx context.Context, request string, r starter.Request) (patching.CycleID, bool, error) {
	first, err := s.Store.Request(ctx, request)
	if err != nil {
		return "", false, err
	}
	cycles, err := s.Store.Cycles(ctx, store.CycleFilter{Policy: r.Policy, Limit: 100})
	if err != nil {
		return "", false, err
	}
	var found patching.CycleID
	for _, c := range cycles { // the newest first: the oldest of them is the request's
		if c.Author == r.Author && c.Kind == r.Kind && !c.Opened.Before(first.At) &&
			(r.Kind != patching.Emergency || c.ID == patching.NewEmergencyID(r.Policy, r.Slug)) {
			found = c.ID
		}
	}
	return found, found != "", nil
}
