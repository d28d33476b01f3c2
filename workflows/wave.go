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
// by batch past the gate, and awaits the outcomes. Its input is its carried
// state.
func Wave(ctx workflow.Context, in contract.WaveInput) (contract.WaveResult, error) {
	w := &wave{in: in}
	ctx = w.listen(ctx)
	return w.run(ctx)
}

type wave struct {
	in contract.WaveInput
	// known is what was counted last; the next wait ends when it has changed. It
	// is not carried over: a wait that knows nothing answers at once.
	known contract.Tallies
}

// open reports whether the wave may release more.
func (w *wave) open() bool { return !w.stopping() && w.in.State.Halt == nil && w.in.State.Mute == "" }

func (w *wave) run(ctx workflow.Context) (contract.WaveResult, error) {
	if w.in.State.Settling {
		return w.settle(ctx)
	}
	w.show(ctx, "waiting for its window at "+clock(w.in.Wave.Start))
	if _, err := awaitUntil(ctx, w.in.Wave.Start, "window of "+string(w.in.Wave.Site), w.stopping); err != nil {
		return contract.WaveResult{}, err
	}
	if w.in.Shadow {
		return w.shadow(ctx)
	}
	if err := w.release(ctx); err != nil {
		return contract.WaveResult{}, err
	}
	return w.settle(ctx)
}

// release gives the start permit batch by batch for as long as window, gate and
// people allow.
func (w *wave) release(ctx workflow.Context) error {
	if err := w.unpaused(ctx); err != nil || !w.open() {
		return err
	}
	staged, err := contract.StageWave.Run(ctx, "issue instructions, fetch packages", contract.StageWaveIn{Wave: w.in})
	if err != nil {
		return err
	}
	if staged.Batches > 0 { // continued as new, or taken up again by a rebuilt engine
		if err := w.awaitBatch(ctx); err != nil {
			return err
		}
	}
	for batch := staged.Batches + 1; ; batch++ {
		if err := w.unpaused(ctx); err != nil {
			return err
		}
		if !w.open() || !workflow.Now(ctx).Before(w.in.Wave.End) {
			return nil
		}
		out, err := contract.Release.Run(ctx, batchWords(batch), contract.ReleaseIn{
			Cycle: w.in.Cycle, Wave: w.in.Wave.ID, Batch: batch, Size: w.in.Batch,
		})
		if err != nil || out.Released == 0 {
			return err
		}
		if err := w.awaitBatch(ctx); err != nil {
			return err
		}
		if err := w.continueIfLong(ctx); err != nil {
			return err
		}
	}
}

// awaitBatch waits until the gate lets the next batch go, or halts.
func (w *wave) awaitBatch(ctx workflow.Context) error {
	s := &w.in.State
	if s.Until.IsZero() {
		s.Until = workflow.Now(ctx).Add(w.in.Silence)
	}
	for w.open() {
		tallies, answered, err := w.await(ctx, s.Until)
		if err != nil || !answered {
			return err
		}
		switch late := tallies.Slice.Open() > 0 && !workflow.Now(ctx).Before(s.Until); {
		case late && tallies.Held != "":
			s.Until = workflow.Now(ctx).Add(w.in.Silence)
		case late:
			// Those who kept silent are judged before the gate is asked.
			if err := w.endSilent(ctx); err != nil {
				return err
			}
			if tallies, answered, err = w.await(ctx, s.Until); err != nil || !answered {
				return err
			}
		}
		verb, err := w.ask(ctx, tallies, s.Until)
		if err != nil {
			return err
		}
		if verb == patching.Proceed {
			break
		}
		if err := w.continueIfLong(ctx); err != nil {
			return err
		}
	}
	s.Until = time.Time{}
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
		w.in.State.Halt, w.in.State.Against = &d, gate.Ground(q, now).AgainstPatch()
	} else {
		q = gate.Question{Params: gate.Params{Answered: w.in.Gate.Answered}, Tally: t.Slice, GiveUp: until}
		if d = gate.Decide(q, now); d.Verb == patching.Halt {
			w.in.State.Mute = d.Why
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
	s := &w.in.State
	if !s.Settling {
		s.Settling, s.Hurry, s.GiveUp = true, w.stopping(), w.patience(ctx)
	}
	for {
		if w.stopping() && !s.Hurry {
			s.Hurry, s.GiveUp = true, earliest(s.GiveUp, w.patience(ctx))
		}
		tallies, answered, err := w.await(ctx, earliest(workflow.Now(ctx).Add(w.in.Silence), s.GiveUp))
		switch {
		case err != nil:
			return contract.WaveResult{}, err
		case !answered:
			continue // stopped while it waited
		case tallies.Slice.Open() == 0:
			again, err := w.mend(ctx)
			if err != nil {
				return contract.WaveResult{}, err
			}
			if again {
				continue
			}
			return w.result(ctx, tallies.Slice)
		}
		if err := w.endSilent(ctx); err != nil {
			return contract.WaveResult{}, err
		}
		if !workflow.Now(ctx).Before(s.GiveUp) {
			return w.giveUp(ctx)
		}
		if err := w.continueIfLong(ctx); err != nil {
			return contract.WaveResult{}, err
		}
	}
}

// permitLife is for how long a start permit can still be used after a stop.
const permitLife = 15 * time.Minute

// patience is until when machines that may have started are waited for.
func (w *wave) patience(ctx workflow.Context) time.Time {
	now := workflow.Now(ctx)
	if w.stopping() || w.in.State.Halt != nil {
		return now.Add(min(w.in.Silence, permitLife))
	}
	return latest(w.in.Wave.End, now).Add(w.in.Silence)
}

// because is why machines leave the wave without a start permit.
func (w *wave) because() contract.Control {
	switch {
	case w.in.State.Halt != nil:
		return contract.Control{Reason: patching.ReasonRingHalted, Why: w.in.State.Halt.Why}
	case w.stopping():
		return w.in.Control
	case w.in.State.Mute != "":
		return contract.Control{Reason: patching.ReasonPathDown, Why: w.in.State.Mute}
	default:
		return contract.Control{Reason: patching.ReasonWindowOver}
	}
}

// giveUp ends the machines that did not start although they could, and those
// that began and never ended long after their window. One that may have ended
// and could not say so is no failure: the gate would count it against the patch.
func (w *wave) giveUp(ctx workflow.Context) (contract.WaveResult, error) {
	released := contract.EndSliceIn{Outcome: patching.Unreachable, Reason: patching.ReasonPathDown}
	if c := w.because(); w.stopping() || w.in.State.Halt != nil {
		released = contract.EndSliceIn{Outcome: patching.Deferred, Reason: c.Reason, Detail: c.Why}
	}
	released.States = []patching.DeploymentState{patching.DeploymentReleased}
	started := contract.EndSliceIn{
		Outcome: patching.NeedsHands, Reason: patching.ReasonUnknown,
		Detail: "It began and did not report an end.", States: []patching.DeploymentState{patching.DeploymentStarted},
		ByPath: true,
	}
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
	if w.in.State.Halt != nil {
		out.Decision, out.Against = *w.in.State.Halt, w.in.State.Against
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
