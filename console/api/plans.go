package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

type planInput struct {
	CyclePath
	Revision int `query:"revision" minimum:"1" doc:"An earlier one; none: the newest."`
}

type deploymentsInput struct {
	CyclePath
	Ring    patching.RingName        `query:"ring"`
	Wave    patching.WaveID          `query:"wave"`
	State   patching.DeploymentState `query:"state" enum:"planned,staged,released,started,done"`
	Outcome []patching.Outcome       `query:"outcome" doc:"Any of these."`
	After   patching.AssetID         `query:"after"`
	Limit   int                      `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type machineInput struct {
	CyclePath
	Asset patching.AssetID `path:"asset"`
}

func (s *server) addPlans(api huma.API) {
	handle(s, api, about("plans", "get-plan", http.MethodGet, cyclePath+"/plan", "Show the plan, with the text that its hash is of"), s.plan)
	handle(s, api, about("plans", "list-deployments", http.MethodGet, cyclePath+"/machines", "List how the cycle's machines fare, those left out too"), s.deployments)
	handle(s, api, about("plans", "get-machine", http.MethodGet, cyclePath+"/machines/{asset}", "Follow one machine through the cycle"), s.machine)
	handle(s, api, about("plans", "list-decisions", http.MethodGet, cyclePath+"/decisions", "List what the gates said, with all that they saw"),
		func(ctx context.Context, in *cycleInput) (wire.Decisions, error) { return s.decisions(ctx, in.ID()) })
	handle(s, api, about("plans", "list-approvals", http.MethodGet, cyclePath+"/approvals", "List the votes, those that do not count too"),
		func(ctx context.Context, in *cycleInput) (wire.Approvals, error) { return s.approvals(ctx, in.ID()) })
	handle(s, api, about("plans", "get-grants", http.MethodGet, cyclePath+"/grants", "Show what has to be signed to approve the plan"), s.grants)
	s.addPlanFile(api)
	op := about("plans", "get-report", http.MethodGet, cyclePath+"/report", "Get the report")
	op.Responses = map[string]*huma.Response{
		"200":     {Description: "The report.", Content: map[string]*huma.MediaType{"text/html": {Schema: &huma.Schema{Type: huma.TypeString}}}},
		"default": s.problems(api),
	}
	huma.Register(api, op, s.report)
}

// wavesShown bounds how many waves of a ring a plan lists.
const wavesShown = 200

func (s *server) plan(ctx context.Context, in *planInput) (wire.Plan, error) {
	c, err := s.Store.Cycle(ctx, in.ID())
	if err != nil {
		return wire.Plan{}, absent(aCycle, in.ID(), err)
	}
	p, err := s.chosenPlan(ctx, in)
	if err != nil {
		return wire.Plan{}, err
	}
	hash := p.Hash()
	out := wire.Plan{
		Cycle: p.Cycle, Policy: p.Policy, Hash: hash, Counts: hash == c.Plan, Revision: p.Revision, Shadow: p.Shadow, Author: p.Author,
		Made: p.Made, CloseBy: p.CloseBy, Machines: p.Assets(), Rings: []wire.PlanRing{}, Text: string(p.Canonical()),
	}
	for _, r := range p.Rings {
		ring := wire.PlanRing{Name: r.Name, Machines: r.Assets, Waves: []wire.Wave{}, StandIns: r.StandIns}
		waves, err := s.Store.Waves(ctx, p.Cycle, r.Name, 0, wavesShown)
		if err != nil {
			return wire.Plan{}, err
		}
		for _, w := range waves {
			ring.Waves = append(ring.Waves, wire.Wave{ID: w.ID, Site: w.Site, Window: w.Window, Start: w.Start, End: w.End, Machines: w.Assets})
		}
		out.Rings = append(out.Rings, ring)
	}
	out.Excluded = exclusions(p.Excluded)
	looks, err := s.Store.Outlooks(ctx, p.Cycle)
	if err != nil {
		return wire.Plan{}, err
	}
	if look, kept := looks[hash]; kept {
		out.Outlook = outlookShape(look)
	}
	return out, nil
}

func (s *server) chosenPlan(ctx context.Context, in *planInput) (patching.Plan, error) {
	if in.Revision == 0 {
		p, err := s.Store.Plan(ctx, in.ID())
		if errors.Is(err, store.ErrNotFound) {
			return p, noPlanYet(in.ID())
		}
		return p, err
	}
	plans, err := s.Store.Plans(ctx, in.ID())
	if err != nil {
		return patching.Plan{}, err
	}
	var found *patching.Plan
	for i := range plans {
		if plans[i].Revision == in.Revision {
			found = &plans[i]
		}
	}
	if found == nil {
		return patching.Plan{}, notFound(fmt.Sprintf("The plan of %s has no revision %d.", in.ID(), in.Revision))
	}
	return *found, nil
}

func noPlanYet(id patching.CycleID) *wire.Problem {
	p := notFound(fmt.Sprintf("%s has no plan yet.", id))
	p.WayOut = "It is made when all is known of the machines: patchcycle cycle watch " + string(id)
	return p
}

// deployments pages through what the account may see: pages are filled, so that
// only the last one is short.
func (s *server) deployments(ctx context.Context, in *deploymentsInput) (wire.DeploymentPage, error) {
	out := wire.DeploymentPage{Items: []wire.Deployment{}}
	if _, err := s.Store.Cycle(ctx, in.ID()); err != nil {
		return out, absent(aCycle, in.ID(), err)
	}
	who := account(ctx)
	want := store.DeploymentFilter{Cycle: in.ID(), Ring: in.Ring, Wave: in.Wave, Outcomes: in.Outcome, After: in.After, Limit: in.Limit + 1}
	if !who.Covers(patching.PolicyName(in.Policy)) {
		want.Limit = maxPage // most of what is read is left out
	}
	if in.State != "" {
		want.States = []patching.DeploymentState{in.State}
	}
	var rows []patching.Deployment
	for {
		page, err := s.Store.Deployments(ctx, want)
		if err != nil {
			return out, err
		}
		for _, d := range page {
			if !seesInCycle(who, patching.PolicyName(in.Policy), d.Site) {
				continue
			}
			if len(rows) == in.Limit {
				out.Next = rows[in.Limit-1].Asset
				break
			}
			rows = append(rows, d)
		}
		if out.Next != "" || len(page) < want.Limit {
			break
		}
		want.After = page[len(page)-1].Asset
	}
	ids := make([]patching.AssetID, 0, len(rows))
	for _, d := range rows {
		ids = append(ids, d.Asset)
	}
	names, err := s.hostnames(ctx, ids)
	if err != nil {
		return out, err
	}
	for _, d := range rows {
		out.Items = append(out.Items, deploymentShape(d, names[d.Asset]))
	}
	return out, nil
}

func (s *server) machine(ctx context.Context, in *machineInput) (wire.MachineRecord, error) {
	if _, err := s.Store.Cycle(ctx, in.ID()); err != nil {
		return wire.MachineRecord{}, absent(aCycle, in.ID(), err)
	}
	d, err := s.Store.Deployment(ctx, in.ID(), in.Asset)
	if err != nil {
		return wire.MachineRecord{}, notIn(in.ID(), in.Asset, err)
	}
	who := account(ctx)
	if !seesInCycle(who, patching.PolicyName(in.Policy), d.Site) {
		return wire.MachineRecord{}, outsideSite(who, d.Site)
	}
	names, err := s.hostnames(ctx, []patching.AssetID{d.Asset})
	if err != nil {
		return wire.MachineRecord{}, err
	}
	out := wire.MachineRecord{
		Deployment: deploymentShape(d, names[d.Asset]), Steps: []wire.Step{}, Receipts: []wire.Receipt{},
		Reversible: d.Rollback != "", Would: d.Bundle == "" && d.Would != "",
	}
	bundle, err := s.bundle(ctx, d)
	if err != nil {
		return out, err
	}
	out.Steps = stepsShape(bundle)
	if out.Reversible {
		for _, p := range bundle.MayStay() {
			out.Stays = append(out.Stays, p.Name)
		}
	}
	if d.Device != "" {
		receipts, err := s.Store.Receipts(ctx, d.Device, d.Cycle)
		if err != nil {
			return out, err
		}
		for _, r := range receipts {
			out.Receipts = append(out.Receipts, receiptShape(r))
		}
	}
	tasks, err := s.Store.Tasks(ctx, store.TaskFilter{Cycle: d.Cycle, Asset: d.Asset})
	for _, t := range tasks {
		out.Tasks = append(out.Tasks, taskShape(t, names[d.Asset]))
	}
	return out, err
}

// bundle reads what a machine gets, or would have got.
func (s *server) bundle(ctx context.Context, d patching.Deployment) (patching.Bundle, error) {
	address := cmp.Or(d.Bundle, d.Would)
	if address == "" {
		return patching.Bundle{}, nil
	}
	texts, err := s.Store.Contents(ctx, []patching.Digest{address})
	if err != nil {
		return patching.Bundle{}, err
	}
	b, err := patching.ParseBundle(texts[address])
	if err != nil {
		return b, fmt.Errorf("what %s installs: %w", d.Asset, err)
	}
	return b, nil
}

func stepsShape(bundle patching.Bundle) []wire.Step {
	out := []wire.Step{}
	for _, step := range bundle.Steps {
		shape := wire.Step{Restart: step.Restart, Patches: []wire.Patch{}}
		for _, p := range step.Patches {
			shape.Patches = append(shape.Patches, wire.Patch{
				Action: p.Action, Name: p.Name, Arch: p.Arch, From: p.From, To: p.To, Origin: p.Origin, Security: p.Security,
			})
		}
		out = append(out, shape)
	}
	return out
}

func (s *server) decisions(ctx context.Context, id patching.CycleID) (wire.Decisions, error) {
	out := wire.Decisions{Items: []wire.Decision{}}
	rows, err := s.Store.Decisions(ctx, id)
	for _, r := range rows {
		d := r.Decision
		out.Items = append(out.Items, wire.Decision{
			Subject: r.Subject, Verb: d.Verb, Why: d.Why, Until: d.Until, At: d.At, Gate: d.Gate, Params: string(r.ParamsText), Tally: string(r.TallyText),
		})
	}
	return out, err
}

func (s *server) approvals(ctx context.Context, id patching.CycleID) (wire.Approvals, error) {
	out := wire.Approvals{Items: []wire.Approval{}}
	rows, err := s.Store.Approvals(ctx, id)
	for _, a := range rows {
		out.Items = append(out.Items, wire.Approval{
			Account: a.Account, Verdict: a.Verdict, Plan: a.Plan, Reason: a.Reason, Via: a.Via, At: a.At, Counts: a.Refused == "", Refused: a.Refused, Key: a.Key, Paper: a.Paper,
		})
	}
	return out, err
}

// reportOutput is a page, not JSON.
type reportOutput struct {
	ContentType string `header:"Content-Type"`
	// Policy keeps what machines named themselves from running as a script.
	Policy string `header:"Content-Security-Policy"`
	Body   []byte
}

func (s *server) report(ctx context.Context, in *cycleInput) (*reportOutput, error) {
	c, err := s.Store.Cycle(ctx, in.ID())
	if err != nil {
		return nil, s.explain(ctx, "get-report", absent(aCycle, in.ID(), err))
	}
	if c.Report == "" {
		p := notFound(fmt.Sprintf("%s has no report yet.", c.ID))
		p.WayOut = "It is written when the cycle closes."
		return nil, s.explain(ctx, "get-report", p)
	}
	page, err := os.ReadFile(c.Report)
	if err != nil {
		return nil, s.explain(ctx, "get-report", fmt.Errorf("read the report of %s: %w", c.ID, err))
	}
	return &reportOutput{
		ContentType: "text/html; charset=utf-8", Body: page,
		Policy: "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
	}, nil
}

// hostnames finds what machines are called.
func (s *server) hostnames(ctx context.Context, ids []patching.AssetID) (map[patching.AssetID]string, error) {
	out := make(map[patching.AssetID]string, len(ids))
	if len(ids) == 0 {
		return out, nil
	}
	assets, err := s.Store.Assets(ctx, store.AssetFilter{IDs: ids})
	for _, a := range assets {
		out[a.ID] = a.Hostname
	}
	return out, err
}

func deploymentShape(d patching.Deployment, hostname string) wire.Deployment {
	out := wire.Deployment{
		Cycle: d.Cycle, Asset: d.Asset, Hostname: hostname, Site: d.Site, Ring: d.Ring, Wave: d.Wave, Start: d.Start, End: d.End,
		State: d.State, Outcome: d.Outcome, Words: d.Outcome.Words(), Reason: d.Reason,
		Released: d.Released, Answered: d.Answered, Verified: d.Verified, Repairs: d.Repairs,
	}
	if d.Reason != "" {
		out.Why = d.Reason.Words()
	}
	if d.Detail != "" {
		out.Why += " (" + d.Detail + ")"
	}
	return out
}

func receiptShape(r patching.Receipt) wire.Receipt {
	out := wire.Receipt{
		Stage: r.Stage, At: r.At, Order: r.Order, Outcome: r.Outcome, Reason: r.Reason, Detail: r.Detail, Repairs: r.Repairs, Signature: r.Signature,
	}
	for _, c := range r.Changes {
		out.Changes = append(out.Changes, wire.Change(c))
	}
	return out
}
