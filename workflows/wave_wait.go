package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// listen takes what the ring says. A stop is never taken back.
func (w *wave) listen(ctx workflow.Context) {
	ch := workflow.GetSignalChannel(ctx, contract.SignalControl)
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var said contract.Control
			if more := ch.Receive(ctx, &said); !more {
				return
			}
			if !w.in.Control.Stop {
				w.in.Control = said
			}
		}
	})
}

func (w *wave) stopping() bool { return w.in.Control.Stop }

func (w *wave) slice() contract.SliceIn {
	return contract.SliceIn{Cycle: w.in.Cycle, Ring: w.in.Ring, Wave: w.in.Wave.ID, Silence: w.in.Silence}
}

// await runs the one activity that returns when the tally changes. A stop ends
// the wait at once, so that what has not started can be withdrawn.
func (w *wave) await(ctx workflow.Context, until time.Time) (contract.Tallies, error) {
	wait := max(0, until.Sub(workflow.Now(ctx)))
	wasStopping := w.stopping()
	actx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	run := contract.AwaitTally.Start(actx, "await results until "+clock(until), contract.AwaitTallyIn{
		SliceIn: w.slice(), Known: w.known, Answered: w.in.Gate.Answered, Until: until}, wait)
	if err := workflow.Await(ctx, func() bool { return run.IsReady() || w.stopping() != wasStopping }); err != nil {
		return contract.Tallies{}, err
	}
	if !run.IsReady() {
		return w.known, nil
	}
	out, err := run.Get(ctx)
	if err == nil {
		w.known = out
	}
	return out, err
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
