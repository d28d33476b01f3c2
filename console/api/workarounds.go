package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
)

type workAroundInput struct {
	Decision patching.DecisionID `path:"decision" maxLength:"64"`
}

type addWorkAroundInput struct {
	Keyed
	Body wire.NewWorkAround
}

type stepInput struct {
	Decision patching.DecisionID `path:"decision" maxLength:"64"`
	Body     wire.NewWorkAroundStep
}

// applies are the roles in which work-arounds are proposed and applied.
var applies = []patching.Role{patching.RoleSecurityLead, patching.RoleOperator, patching.RoleSiteAdmin}

func (s *server) addWorkArounds(api huma.API) {
	handle(s, api, about("decisions", "list-workarounds", http.MethodGet, "/workarounds", "List work-arounds, and where they are in place"), s.listWorkArounds)
	handle(s, api, about("decisions", "get-workaround", http.MethodGet, "/workarounds/{decision}", "Show the whole life of a work-around"), s.getWorkAround)
	op := about("decisions", "add-workaround", http.MethodPost, "/workarounds", "Propose a work-around")
	op.DefaultStatus = http.StatusCreated
	handle(s, api, op, s.addWorkAround)
	op = about("decisions", "step-workaround", http.MethodPost, "/workarounds/{decision}/steps", "Say what became of a work-around")
	op.Description = "In place on machines, and how that was verified; to be removed; removed from machines. Machines have to be in your scope."
	handle(s, api, op, s.stepWorkAround)
}

func (s *server) listWorkArounds(ctx context.Context, in *decisionsInput) (wire.WorkArounds, error) {
	out := wire.WorkArounds{Items: []wire.WorkAround{}}
	all, err := s.Store.WorkArounds(ctx, since(in.All, s.Now()))
	if err != nil {
		return out, err
	}
	for _, w := range all {
		shape, err := s.workAroundShape(ctx, w)
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, shape)
	}
	return out, nil
}

func (s *server) getWorkAround(ctx context.Context, in *workAroundInput) (wire.WorkAround, error) {
	w, err := s.Store.WorkAround(ctx, in.Decision)
	if err != nil {
		return wire.WorkAround{}, absent(aWorkAround, in.Decision, err)
	}
	return s.workAroundShape(ctx, w)
}

func (s *server) addWorkAround(ctx context.Context, in *addWorkAroundInput) (wire.WorkAroundAnswer, error) {
	who := account(ctx)
	id := decisionID(ctx, "workaround", in.Key)
	first := patching.WorkAroundStep{
		WorkAround: id, State: patching.WorkAroundProposed, At: s.Now().UTC(), By: who.Name, Role: standsFor(who, applies...), Note: in.Body.Reason,
	}
	w := patching.WorkAround{ID: id, Subject: subject(in.Body.Subject), What: in.Body.What, Owner: strings.TrimSpace(in.Body.Owner), Steps: []patching.WorkAroundStep{first}}
	is, err := s.Store.WorkAround(ctx, id)
	switch {
	case err == nil: // sent again
		shape, err := s.workAroundShape(ctx, is)
		return wire.WorkAroundAnswer{WorkAround: shape, Words: "It is on record already."}, errors.Join(err, s.Store.PutWorkAround(ctx, w))
	case !errors.Is(err, store.ErrNotFound):
		return wire.WorkAroundAnswer{}, err
	}
	if err := w.Check(); err != nil {
		return wire.WorkAroundAnswer{}, misfits(err)
	}
	about, err := s.takes(ctx, w.Subject)
	if err != nil {
		return wire.WorkAroundAnswer{}, err
	}
	if err := withinSites(who, about); err != nil {
		return wire.WorkAroundAnswer{}, err
	}
	said := fmt.Sprintf("for %s; owner %s; %q; reason %q", w.Words(), w.Owner, w.What, in.Body.Reason)
	if err := s.change(ctx, "propose work-around", string(id), said, func() error { return s.Store.PutWorkAround(ctx, w) }); err != nil {
		return wire.WorkAroundAnswer{}, err
	}
	shape, err := s.workAroundShape(ctx, w)
	return wire.WorkAroundAnswer{
		WorkAround: shape, Words: about.words() + " Once it works on a machine: patchcycle workaround place " + string(id) + ".", Warning: s.Urgent.Doubt(ctx, w.Subject),
	}, err
}

func (s *server) stepWorkAround(ctx context.Context, in *stepInput) (wire.WorkAroundAnswer, error) {
	w, err := s.Store.WorkAround(ctx, in.Decision)
	if err != nil {
		return wire.WorkAroundAnswer{}, absent(aWorkAround, in.Decision, err)
	}
	who := account(ctx)
	step := patching.WorkAroundStep{
		WorkAround: w.ID, State: in.Body.State, At: s.Now().UTC(), By: who.Name, Role: standsFor(who, applies...), Assets: in.Body.Assets, Note: in.Body.Note,
	}
	if err := w.Fits(step); err != nil {
		return wire.WorkAroundAnswer{}, misfits(err)
	}
	on := step.Assets
	if len(on) == 0 { // it is about all on which it is
		on = w.InPlace(step.At)
	}
	if err := s.reaches(ctx, on, len(step.Assets) > 0); err != nil {
		return wire.WorkAroundAnswer{}, err
	}
	if err := s.concerns(ctx, w, step); err != nil {
		return wire.WorkAroundAnswer{}, err
	}
	said := fmt.Sprintf("%s on %s; %q", step.State, phrase.Few(on, 20), step.Note)
	err = s.change(ctx, "work-around", string(w.ID), said, func() (err error) { w, err = s.Store.AddWorkAroundStep(ctx, step); return err })
	if err != nil {
		return wire.WorkAroundAnswer{}, misfits(err)
	}
	shape, err := s.workAroundShape(ctx, w)
	words := fmt.Sprintf("Work-around %s is %s, on %s.", w.ID, w.State(), phrase.Count(len(w.InPlace(step.At)), "machine"))
	return wire.WorkAroundAnswer{WorkAround: shape, Words: words}, err
}

// reaches refuses machines that are outside of the account's scope, and, where they were
// named, those that are not there.
func (s *server) reaches(ctx context.Context, on []patching.AssetID, named bool) error {
	if len(on) == 0 {
		return nil
	}
	site, err := s.sites(ctx, on)
	if err != nil {
		return err
	}
	who := account(ctx)
	for _, id := range on {
		at, known := site(id)
		switch {
		case !known && named:
			return absent(aMachine, id, store.ErrNotFound)
		case known && !who.CoversSite(at):
			return outsideSite(who, at)
		}
	}
	return nil
}

// concerns refuses to put a work-around in place where it is not about the machine: it
// would count for nothing there. One that is there can be removed, whatever the machine
// has become since.
func (s *server) concerns(ctx context.Context, w patching.WorkAround, step patching.WorkAroundStep) error {
	if step.State != patching.WorkAroundInPlace || w.Selector == "" {
		return nil
	}
	in, err := s.takes(ctx, w.Subject, step.Assets...)
	if err != nil {
		return err
	}
	if in.missed != "" {
		return invalid("body.assets", "%s is not among the machines that %s is about, %s: propose one that is about it", in.missed, w.ID, w.Selector)
	}
	return nil
}

// withinSites refuses what is about machines outside of the account's scope.
func withinSites(who patching.Account, in extent) error {
	if slices.Contains(who.Scopes, "*") {
		return nil
	}
	if in.every {
		return narrower(notAllowed(fmt.Sprintf("it is about all machines, and %s is limited to %s.", who.Name, join(who.Scopes))))
	}
	for _, at := range slices.Sorted(maps.Keys(in.sites)) {
		if !who.CoversSite(at) {
			return narrower(outsideSite(who, at))
		}
	}
	return nil
}

func narrower(p *wire.Problem) *wire.Problem {
	p.WayOut = `Narrow it to your sites, as in --select 'site == "bern"', or ask somebody whose scope is wider.`
	return p
}

// workAroundShape shows the machines that are in the account's scope, and counts the others.
func (s *server) workAroundShape(ctx context.Context, w patching.WorkAround) (wire.WorkAround, error) {
	out := wire.WorkAround{ID: w.ID, Subject: subjectShape(w.Subject), What: w.What, Owner: w.Owner, State: w.State(), Machines: []patching.AssetID{}}
	for _, step := range w.Steps {
		out.Steps = append(out.Steps, wire.WorkAroundStep{
			State: step.State, At: step.At, By: step.By, Role: step.Role, Machines: len(step.Assets), Note: step.Note,
		})
	}
	on := w.InPlace(s.Now())
	who := account(ctx)
	if len(on) == 0 || seesAllSites(who) {
		out.Machines = append(out.Machines, on...)
		return out, nil
	}
	site, err := s.sites(ctx, on)
	if err != nil {
		return out, err
	}
	for _, id := range on {
		if at, known := site(id); known && seesSite(who, at) {
			out.Machines = append(out.Machines, id)
		}
	}
	out.Others = len(on) - len(out.Machines)
	return out, nil
}
