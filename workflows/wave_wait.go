package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// listen takes what the ring says. A stop is never taken back. The context that
// it returns outlives a cancellation of the workflow, which counts as a stop: a
// machine that has a start permit is waited for.
func (w *wave) listen(ctx workflow.Context) workflow.Context {
	own := disconnected(ctx)
	whenCancelled(ctx, func(workflow.Context) { w.take(cancelled("wave")) })
	ch := workflow.GetSignalChannel(ctx, contract.SignalControl)
	workflow.Go(own, func(ctx workflow.Context) {
		for arrived(ctx, ch) {
			w.drain(ctx)
		}
	})
	return own
}

func (w *wave) take(said contract.Control) {
	if !w.in.Control.Stop {
		w.in.Control = said
	}
}

// drain takes what has arrived: signals that were not read would be lost when
// the wave continues as new.
func (w *wave) drain(ctx workflow.Context) {
	ch := workflow.GetSignalChannel(ctx, contract.SignalControl)
	for ch.Len() > 0 {
		var said contract.Control
		if ch.ReceiveAsync(&said) {
			w.take(said)
		}
	}
}

// continueIfLong goes on in a new run when the history has grown long: a wave of
// many batches, in a ring where machines fail one by one, looks often.
func (w *wave) continueIfLong(ctx workflow.Context) error {
	if !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		return nil
	}
	w.drain(ctx)
	return workflow.NewContinueAsNewError(ctx, contract.WaveWorkflow, w.in)
}

// unpaused waits until the wave may release more, or has to stop.
func (w *wave) unpaused(ctx workflow.Context) error {
	return workflow.Await(ctx, func() bool { return w.stopping() || !w.in.Control.Paused })
}

func (w *wave) stopping() bool { return w.in.Control.Stop }

func (w *wave) slice() contract.SliceIn {
	return contract.SliceIn{Cycle: w.in.Cycle, Ring: w.in.Ring, Wave: w.in.Wave.ID, Silence: w.in.Silence}
}

// await runs the one activity that returns when the tally changes. A stop ends
// the wait at once, so that what has not started can be withdrawn; answered is
// then false, and what was counted before says nothing about now.
func (w *wave) await(ctx workflow.Context, until time.Time) (t contract.Tallies, answered bool, err error) {
	wait := max(0, until.Sub(workflow.Now(ctx)))
	wasStopping := w.stopping()
	actx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	run := contract.AwaitTally.Start(actx, "await results until "+clock(until), contract.AwaitTallyIn{
		SliceIn: w.slice(), Known: w.known, Answered: w.in.Gate.Answered, Until: until,
	}, wait)
	if err := workflow.Await(ctx, func() bool { return run.IsReady() || w.stopping() != wasStopping }); err != nil {
		return contract.Tallies{}, false, err
	}
	if !run.IsReady() {
		return contract.Tallies{}, false, nil
	}
	out, err := run.Get(ctx)
	if err != nil {
		return contract.Tallies{}, false, err
	}
	w.known = out
	return out, true, nil
}

// endSilent ends the released machines whose silence, while the path to them
// listened, has lasted too long.
func (w *wave) endSilent(ctx workflow.Context) error {
	_, err := contract.EndSlice.Run(ctx, "judge silence", contract.EndSliceIn{
		SliceIn: w.slice(), Silent: true, Withdraw: true, Outcome: patching.Unreachable, Reason: patching.ReasonSilent,
		States: []patching.DeploymentState{patching.DeploymentReleased, patching.DeploymentStarted},
	})
	return err
}
