package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

type holdInput struct{ Body wire.NewHold }

type liftInput struct{ Body wire.Because }

func (s *server) addHold(api huma.API) {
	handle(s, api, about("machines", "get-hold", http.MethodGet, "/hold", "Say whether machines are held, and who held them before"), s.hold)
	op := about("machines", "hold-machines", http.MethodPost, "/hold", "Have nothing start on any machine")
	op.Description = "By one person. What has started runs to its end; going back is held too."
	handle(s, api, op, s.holdMachines)
	handle(s, api, about("machines", "lift-hold", http.MethodPost, "/hold/lift", "Let machines go on"), s.liftHold)
}

// holdsShown is how much of what was said is listed.
const holdsShown = 20

func (s *server) hold(ctx context.Context, _ *struct{}) (wire.Holds, error) {
	all, err := s.Store.Holds(ctx, holdsShown)
	out := wire.Holds{Items: []wire.Hold{}, Words: "Machines are not held."}
	for i, h := range all {
		if words := h.Words(s.Now()); i == 0 && words != "" {
			out.Held, out.Words = true, words
		}
		out.Items = append(out.Items, wire.Hold{Version: h.Version, Lifted: h.Lifted, By: h.By, Reason: h.Reason, At: h.At, Until: h.Until})
	}
	return out, err
}

func (s *server) holdMachines(ctx context.Context, in *holdInput) (wire.Holds, error) {
	if !in.Body.Until.IsZero() && !in.Body.Until.After(s.Now()) {
		return wire.Holds{}, invalid("body.until", "%s has passed", in.Body.Until.Format("2006-01-02 15:04 MST"))
	}
	return s.sayHold(ctx, "hold machines", patching.Hold{Reason: in.Body.Reason, Until: in.Body.Until.UTC()})
}

func (s *server) liftHold(ctx context.Context, in *liftInput) (wire.Holds, error) {
	last, err := s.Store.Hold(ctx)
	if err != nil {
		return wire.Holds{}, err
	}
	if !last.Holds(s.Now()) {
		return wire.Holds{}, conflict("Machines are not held.", "See who said what: patchcycle hold show.")
	}
	return s.sayHold(ctx, "lift hold", patching.Hold{Lifted: true, Reason: in.Body.Reason})
}

// holdTries bounds how often a word is said anew that came second.
const holdTries = 5

func (s *server) sayHold(ctx context.Context, verb string, h patching.Hold) (wire.Holds, error) {
	h.By, h.At = account(ctx).Name, s.Now().UTC()
	words := fmt.Sprintf("reason %q; until %s", h.Reason, h.Until)
	err := s.change(ctx, verb, "all machines", words, func() error {
		for range holdTries {
			last, err := s.Store.Hold(ctx)
			if err != nil {
				return err
			}
			h.Version = last.Version + 1
			if err = s.Store.SayHold(ctx, h); !errors.Is(err, store.ErrFinal) {
				return err
			}
		}
		return conflict("Others said something at the same time.", "See what counts: patchcycle hold show.")
	})
	if err == nil && s.HoldChanged != nil {
		err = s.HoldChanged(ctx)
	}
	if err != nil {
		return wire.Holds{}, err
	}
	return s.hold(ctx, nil)
}
