package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Wave patches the machines of one ring that share a site and a window: it
// waits for the window, has the packages fetched, gives the start permit batch
// by batch past the gate, and awaits the outcomes.
func Wave(ctx workflow.Context, in contract.WaveInput) (contract.WaveResult, error) {
	w := &wave{in: in}
	w.listen(ctx)
	return w.run(ctx)
}

type wave struct {
	in contract.WaveInput
	// known is what was counted last; the next wait ends when it has changed.
	known contract.Tallies
	// halt is set when a gate has halted the wave, against when that speaks
	// against what was installed.
	halt    *patching.Decision
	against bool
	// mute is why no further batch is released in this wave: nobody answers.
	mute string
}

// open reports whether the wave may release more.
func (w *wave) open() bool { return !w.stopping() && w.halt == nil && w.mute == "" }

func (w *wave) run(ctx workflow.Context) (contract.WaveResult, error) {
	w.show(ctx, "waiting for its window at "+clock(w.in.Wave.Start))
	if _, err := awaitUntil(ctx, w.in.Wave.Start, "window of "+string(w.in.Wave.Site), w.stopping); err != nil {
		return contract.WaveResult{}, err
	}
	if w.in.Shadow {
		return w.shadow(ctx)
	}
	if !w.stopping() {
		if err := w.release(ctx); err != nil {
			return contract.WaveResult{}, err
		}
	}
	return w.settle(ctx)
}

// release gives the start permit batch by batch for as long as window, gate and
// people allow.
func (w *wave) release(ctx workflow.Context) error {
	staged, err := contract.StageWave.Run(ctx, "issue instructions, fetch packages", contract.StageWaveIn{Wave: w.in})
	if err != nil {
		return err
	}
	if staged.Batches > 0 { // taken up again by a rebuilt engine
		if err := w.awaitBatch(ctx); err != nil {
			return err
		}
	}
	for batch := staged.Batches + 1; ; batch++ {
		if err := workflow.Await(ctx, func() bool { return w.stopping() || !w.in.Control.Paused }); err != nil {
			return err
		}
		if !w.open() || !workflow.Now(ctx).Before(w.in.Wave.End) {
			return nil
		}
		out, err := contract.Release.Run(ctx, batchWords(batch), contract.ReleaseIn{
			Cycle: w.in.Cycle, Wave: w.in.Wave.ID, Batch: batch, Size: w.in.Batch})
		if err != nil || out.Released == 0 {
			return err
		}
		if err := w.awaitBatch(ctx); err != nil {
			return err
		}
	}
}

// awaitBatch waits until the gate lets the next batch go, or halts.
func (w *wave) awaitBatch(ctx workflow.Context) error {
	until := workflow.Now(ctx).Add(w.in.Silence)
	for w.open() {
		tallies, err := w.await(ctx, until)
		if err != nil || w.stopping() {
			return err
		}
		if tallies.Slice.Open() > 0 && !workflow.Now(ctx).Before(until) {
			// Those who kept silent are judged before the gate is asked.
			if err := w.endSilent(ctx); err != nil {
				return err
			}
			if tallies, err = w.await(ctx, until); err != nil || w.stopping() {
				return err
			}
		}
		verb, err := w.ask(ctx, tallies, until)
		if err != nil || verb == patching.Proceed {
			return err
		}
	}
	return nil
}

// ask puts two questions to the gate. May the ring go on, by all that is known
// of the ring: other waves still wait for answers, so there silence counts only
// when the cycle closes. And are enough of this wave's answers in: a wave in
// which nobody answers gets no further batch, but says nothing about others.
func (w *wave) ask(ctx workflow.Context, t contract.Tallies, until time.Time) (patching.GateVerb, error) {
	now := workflow.Now(ctx)
	whole := w.in.Gate
	whole.Answered = 0
	q := gate.Question{Params: whole, Tally: t.Ring, GiveUp: w.in.CloseBy}
	d := gate.Decide(q, now)
	if d.Verb == patching.Halt {
		w.halt, w.against = &d, gate.Ground(q, now).AgainstPatch()
	} else {
		q = gate.Question{Params: gate.Params{Answered: w.in.Gate.Answered}, Tally: t.Slice, GiveUp: until}
		if d = gate.Decide(q, now); d.Verb == patching.Halt {
			w.mute = d.Why
		}
	}
	w.show(ctx, d.Why)
	if d.Verb == patching.Wait {
		return d.Verb, nil // only what was decided is kept: a wait decides nothing
	}
	return d.Verb, noteGate(ctx, w.in.Cycle, string(w.in.Wave.ID), q, d)
}

// settle waits for the machines that have started, and ends what has not.
func (w *wave) settle(ctx workflow.Context) (contract.WaveResult, error) {
	if _, err := contract.EndSlice.Run(ctx, "end what got no start permit", withdrawal(w.slice(), w.because())); err != nil {
		return contract.WaveResult{}, err
	}
	giveUp := latest(w.in.Wave.End, workflow.Now(ctx)).Add(w.in.Silence)
	if w.stopping() || w.halt != nil {
		giveUp = workflow.Now(ctx).Add(min(w.in.Silence, permitLife))
	}
	for {
		tallies, err := w.await(ctx, earliest(workflow.Now(ctx).Add(w.in.Silence), giveUp))
		if err != nil {
			return contract.WaveResult{}, err
		}
		if tallies.Slice.Open() == 0 {
			return w.result(ctx, tallies.Slice)
		}
		if err := w.endSilent(ctx); err != nil {
			return contract.WaveResult{}, err
		}
		if !workflow.Now(ctx).Before(giveUp) {
			return w.giveUp(ctx)
		}
	}
}

// permitLife is for how long a start permit can still be used after a stop.
const permitLife = 15 * time.Minute

// because is why machines leave the wave without a start permit.
func (w *wave) because() contract.Control {
	switch {
	case w.halt != nil:
		return contract.Control{Reason: patching.ReasonRingHalted, Why: w.halt.Why}
	case w.stopping():
		return w.in.Control
	case w.mute != "":
		return contract.Control{Reason: patching.ReasonPathDown, Why: w.mute}
	default:
		return contract.Control{Reason: patching.ReasonWindowOver}
	}
}

// giveUp ends the machines that did not start although they could, and those
// that began and never ended long after their window.
func (w *wave) giveUp(ctx workflow.Context) (contract.WaveResult, error) {
	released := contract.EndSliceIn{Outcome: patching.Unreachable, Reason: patching.ReasonPathDown}
	if c := w.because(); w.stopping() || w.halt != nil {
		released = contract.EndSliceIn{Outcome: patching.Deferred, Reason: c.Reason, Detail: c.Why}
	}
	released.States = []patching.DeploymentState{patching.DeploymentReleased}
	started := contract.EndSliceIn{Outcome: patching.NeedsHands, Reason: patching.ReasonUnknown,
		Detail: "It began and did not report an end.", States: []patching.DeploymentState{patching.DeploymentStarted}}
	for _, end := range []contract.EndSliceIn{released, started} {
		end.SliceIn, end.Withdraw = w.slice(), true
		if _, err := contract.EndSlice.Run(ctx, "end what never answered", end); err != nil {
			return contract.WaveResult{}, err
		}
	}
	tally, err := contract.ReadTally.Run(ctx, "count the wave", w.slice())
	if err != nil {
		return contract.WaveResult{}, err
	}
	return w.result(ctx, tally)
}

func (w *wave) result(ctx workflow.Context, t patching.Tally) (contract.WaveResult, error) {
	out := contract.WaveResult{Tally: t, Stopped: w.in.Control.Stop}
	if w.halt != nil {
		out.Decision, out.Against = *w.halt, w.against
	}
	w.show(ctx, "done: "+tallyWords(t))
	return out, nil
}

// shadow ends the wave without an instruction to any machine.
func (w *wave) shadow(ctx workflow.Context) (contract.WaveResult, error) {
	_, err := contract.EndSlice.Run(ctx, "shadow mode: nothing is installed", contract.EndSliceIn{
		SliceIn: w.slice(), Outcome: patching.Deferred, Reason: patching.ReasonShadow,
		States: []patching.DeploymentState{patching.DeploymentPlanned},
	})
	return contract.WaveResult{Stopped: w.in.Control.Stop}, err
}
