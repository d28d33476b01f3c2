package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// listen takes what the cycle says and passes it on to the waves that run.
func (r *ring) listen(ctx workflow.Context) {
	ch := workflow.GetSignalChannel(ctx, contract.SignalControl)
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var said contract.Control
			if more := ch.Receive(ctx, &said); !more {
				return
			}
			r.take(ctx, said)
		}
	})
}

// take makes the control the ring's own and tells the waves that run. A stop is
// never taken back.
func (r *ring) take(ctx workflow.Context, said contract.Control) {
	if r.in.Control.Stop {
		return
	}
	r.in.Control = said
	for _, id := range r.waves {
		// A wave that has just ended cannot be told, and need not be.
		_ = workflow.SignalExternalWorkflow(ctx, id, "", contract.SignalControl, said)
	}
}

// drain takes what arrived before the ring continues as new: signals that were
// not read would be lost with the run.
func (r *ring) drain(ctx workflow.Context) {
	ch := workflow.GetSignalChannel(ctx, contract.SignalControl)
	var said contract.Control
	for ch.ReceiveAsync(&said) {
		r.take(ctx, said)
	}
}

// sleepUntil returns at the time, or when the ring is told to stop; a pause
// makes it wait for longer.
func (r *ring) sleepUntil(ctx workflow.Context, at time.Time, what string) error {
	if _, err := awaitUntil(ctx, at, what, func() bool { return r.in.Control.Stop }); err != nil {
		return err
	}
	return workflow.Await(ctx, func() bool { return r.in.Control.Stop || !r.in.Control.Paused })
}

// awaitUntil waits for the condition, at most until the time; ok is false when
// the time came first.
func awaitUntil(ctx workflow.Context, at time.Time, what string, done func() bool) (ok bool, err error) {
	left := at.Sub(workflow.Now(ctx))
	if left <= 0 {
		return done(), nil
	}
	return workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
		Timeout: left, TimerOptions: workflow.TimerOptions{Summary: what + ", until " + clock(at)},
	}, done)
}

// withdrawal ends what has no start permit in the slice, for the reason that
// the control gives. A machine that has one may have used it: it is waited for.
func withdrawal(in contract.SliceIn, c contract.Control) contract.EndSliceIn {
	end := contract.EndSliceIn{
		SliceIn: in, Outcome: patching.Deferred, Reason: c.Reason, Detail: c.Why, Withdraw: true,
		States: []patching.DeploymentState{patching.DeploymentPlanned, patching.DeploymentStaged},
	}
	if end.Reason == "" {
		end.Reason = patching.ReasonCancelled
	}
	return end
}
