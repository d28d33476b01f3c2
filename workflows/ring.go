package workflows

import (
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// wavesAPage bounds what a ring keeps in its history before it may continue as new.
const wavesAPage = 50

// Ring deploys one ring: its waves, a soak, a verification, and the gate that
// decides whether the next ring may begin.
func Ring(ctx workflow.Context, in contract.RingInput) (contract.RingResult, error) {
	r := &ring{in: in}
	ctx = r.listen(ctx)
	return r.run(ctx)
}

type ring struct {
	in    contract.RingInput
	waves []*running
	// halt is the decision of the wave that halted the ring, see [contract.RingResult].
	halt    *patching.Decision
	against bool
	// diagnosis says what the failures so far have in common; diagnosing counts the
	// waves after which that is being found out.
	diagnosis  string
	diagnosing int
}

// running is a wave that runs, or is being started.
type running struct {
	id    string
	begun bool
	// told is what the wave knows.
	told contract.Control
}

func (r *ring) run(ctx workflow.Context) (contract.RingResult, error) {
	for !r.stopping() {
		r.show(ctx, "releasing waves")
		page, err := contract.ListWaves.Run(ctx, "next waves", contract.ListWavesIn{
			Cycle: r.in.Cycle, Ring: r.in.Ring.Name, Offset: r.in.Next, Limit: wavesAPage,
		})
		if err != nil {
			return contract.RingResult{}, err
		}
		if len(page) == 0 {
			break
		}
		if err := r.deploy(ctx, page); err != nil {
			return contract.RingResult{}, err
		}
		r.in.Next += len(page)
		if r.halt == nil && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			r.drain(ctx)
			return contract.RingResult{}, workflow.NewContinueAsNewError(ctx, contract.RingWorkflow, r.in)
		}
	}
	if r.in.Control.Stop {
		return r.stopped(ctx)
	}
	return r.judge(ctx)
}

// stopping reports whether the ring begins no more waves. One that was taken up
// does: a wave that is to stop waits for the machines that are at work.
func (r *ring) stopping() bool { return r.in.Control.Stop && !r.in.TakenUp }

// deploy runs a page of waves, at most so many at once, and waits for all of them.
func (r *ring) deploy(ctx workflow.Context, page []patching.WaveSummary) error {
	slots := max(1, r.in.Ring.Parallel)
	var failed error
	for _, w := range page {
		if err := workflow.Await(ctx, func() bool { return len(r.waves) < slots || r.stopping() || failed != nil }); err != nil {
			return err
		}
		if r.stopping() || failed != nil {
			break
		}
		one := &running{id: string(w.ID), told: r.in.Control}
		r.waves = append(r.waves, one)
		run := r.start(ctx, w)
		workflow.Go(ctx, func(ctx workflow.Context) {
			out, err := r.follow(ctx, one, run)
			switch {
			case err != nil:
				failed = err
			case out.Decision.Verb == patching.Halt && r.halt == nil:
				r.halt, r.against = &out.Decision, out.Against
				r.take(ctx, contract.Control{Stop: true, Reason: patching.ReasonRingHalted, Why: out.Decision.Why})
			case out.Stopped: // by whoever cancelled it: what it left out was not tried
				r.take(ctx, cancelled("wave"))
			}
			if err == nil && troubled(out.Tally) && !r.in.Control.Stop { // a ring that stops is weighed at its end
				r.diagnosing++
				r.diagnose(ctx)
				r.diagnosing--
			}
		})
	}
	if err := workflow.Await(ctx, func() bool { return len(r.waves) == 0 && r.diagnosing == 0 }); err != nil {
		return err
	}
	return failed
}

// follow awaits a wave's start and its end. What was said while it started, it
// is told then.
func (r *ring) follow(ctx workflow.Context, one *running, run workflow.ChildWorkflowFuture) (contract.WaveResult, error) {
	defer func() { r.waves = slices.DeleteFunc(r.waves, func(w *running) bool { return w == one }) }()
	if err := run.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
		return contract.WaveResult{}, err
	}
	one.begun = true
	one.tell(ctx, r.in.Control)
	var out contract.WaveResult
	err := run.Get(ctx, &out)
	return out, err
}

func (r *ring) start(ctx workflow.Context, w patching.WaveSummary) workflow.ChildWorkflowFuture {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: string(w.ID), StaticSummary: string(w.Site) + ": " + phrase.Count(w.Assets, "machine") + " from " + clock(w.Start),
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_TERMINATE,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		TypedSearchAttributes: temporal.NewSearchAttributes(contract.AttrCycle.ValueSet(string(r.in.Cycle)),
			contract.AttrPolicy.ValueSet(string(r.in.Policy)), contract.AttrKind.ValueSet(string(r.in.Kind)),
			contract.AttrRing.ValueSet(string(r.in.Ring.Name)), contract.AttrSite.ValueSet(string(w.Site))),
	})
	return workflow.ExecuteChildWorkflow(ctx, contract.WaveWorkflow, contract.WaveInput{
		Cycle: r.in.Cycle, Policy: r.in.Policy, Kind: r.in.Kind, Ring: r.in.Ring.Name, Wave: w,
		Batch: r.in.Ring.Batch, Gate: r.in.Ring.Gate, Shadow: r.in.Shadow,
		Silence: r.in.Silence, CloseBy: r.in.CloseBy, Mend: r.in.Mend, Control: r.in.Control,
	})
}

// judge soaks, verifies by fresh inventories and asks the gate until it says
// proceed or halt.
func (r *ring) judge(ctx workflow.Context) (contract.RingResult, error) {
	soaked := workflow.Now(ctx).Add(r.in.Ring.Soak)
	r.show(ctx, "soaking until "+clock(soaked))
	if err := r.sleepUntil(ctx, soaked, "soak of ring "+string(r.in.Ring.Name)); err != nil {
		return contract.RingResult{}, err
	}
	slice := contract.SliceIn{Cycle: r.in.Cycle, Ring: r.in.Ring.Name, Silence: r.in.Silence}
	if r.in.Shadow && !r.in.Control.Stop {
		return r.shadow(ctx, slice)
	}
	if !r.in.Control.Stop {
		r.show(ctx, "verifying by fresh inventories")
		if err := verifySlice(ctx, slice); err != nil {
			return contract.RingResult{}, err
		}
	}
	for !r.in.Control.Stop {
		tally, err := contract.ReadTally.Run(ctx, "count the ring", slice)
		if err != nil {
			return contract.RingResult{}, err
		}
		q := gate.Question{Params: r.in.Ring.Gate, Tally: tally, SoakUntil: soaked, GiveUp: soaked.Add(r.in.Silence), HoursBy: r.in.CloseBy}
		d := gate.Decide(q, workflow.Now(ctx))
		if err := noteGate(ctx, r.in.Cycle, patching.RingID(r.in.Cycle, r.in.Ring.Name), q, d); err != nil {
			return contract.RingResult{}, err
		}
		if d.Verb != patching.Wait {
			against := d.Verb == patching.Halt && gate.Ground(q, d.At).AgainstPatch()
			if against || troubled(tally) {
				against = r.weigh(ctx, q, against)
			}
			r.show(ctx, d.Why)
			return contract.RingResult{Decision: d, Against: against, Tally: tally, Diagnosis: r.diagnosis}, nil
		}
		r.show(ctx, d.Why)
		if err := r.sleepUntil(ctx, d.Until, "gate of ring "+string(r.in.Ring.Name)); err != nil {
			return contract.RingResult{}, err
		}
	}
	return r.stopped(ctx)
}

// shadow lets the next ring begin. No gate is asked: it would halt a ring in
// which nothing was installed, and what it did not say is not kept as its word.
func (r *ring) shadow(ctx workflow.Context, slice contract.SliceIn) (contract.RingResult, error) {
	tally, err := contract.ReadTally.Run(ctx, "count the ring", slice)
	d := patching.Decision{Verb: patching.Proceed, Why: "Shadow mode: nothing was installed.", At: workflow.Now(ctx)}
	r.show(ctx, d.Why)
	return contract.RingResult{Decision: d, Tally: tally}, err
}

// stopped is how a ring ends that was told to, or that one of its waves halted:
// what has not started leaves with that reason.
func (r *ring) stopped(ctx workflow.Context) (contract.RingResult, error) {
	slice := contract.SliceIn{Cycle: r.in.Cycle, Ring: r.in.Ring.Name, Silence: r.in.Silence}
	if _, err := contract.EndSlice.Run(ctx, "withdraw what has not started", withdrawal(slice, r.in.Control)); err != nil {
		return contract.RingResult{}, err
	}
	tally, err := contract.ReadTally.Run(ctx, "count the ring", slice)
	if err != nil {
		return contract.RingResult{}, err
	}
	out := contract.RingResult{Tally: tally, Stopped: true}
	if r.halt != nil {
		whole := r.in.Ring.Gate
		whole.Answered = 0 // as the wave that halted asked
		q := gate.Question{Params: whole, Tally: tally, GiveUp: r.in.CloseBy}
		out.Decision, out.Against, out.Stopped = *r.halt, r.weigh(ctx, q, r.against), false
	}
	out.Diagnosis = r.diagnosis
	r.show(ctx, "stopped: "+r.in.Control.Why)
	return out, nil
}
