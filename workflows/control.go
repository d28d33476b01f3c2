package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// disconnected returns a context that a cancellation of the workflow does not
// end: what was begun is brought to a consistent end.
func disconnected(ctx workflow.Context) workflow.Context {
	own, _ := workflow.NewDisconnectedContext(ctx)
	return own
}

// whenCancelled does something when the workflow is cancelled.
func whenCancelled(ctx workflow.Context, do func(workflow.Context)) {
	workflow.GoNamed(disconnected(ctx), "cancellation", func(own workflow.Context) {
		ctx.Done().Receive(own, nil)
		do(own)
	})
}

// cancelled is what a cancellation of a ring's or a wave's own workflow means.
func cancelled(what string) contract.Control {
	return contract.Control{Stop: true, Reason: patching.ReasonCancelled, Why: "the " + what + "'s workflow was cancelled"}
}

// arrived waits until the channel holds a signal, and leaves it there: what is
// still in a channel can be seen, and taken, before a run ends; what a blocked
// receiver was handed, but has not looked at yet, cannot.
func arrived(ctx workflow.Context, ch workflow.ReceiveChannel) bool {
	return workflow.Await(ctx, func() bool { return ch.Len() > 0 }) == nil
}

// listen takes what the cycle says and passes it on to the waves that run. The
// context that it returns outlives a cancellation of the workflow, which counts
// as a stop.
func (r *ring) listen(ctx workflow.Context) workflow.Context {
	own := disconnected(ctx)
	whenCancelled(ctx, func(ctx workflow.Context) { r.take(ctx, cancelled("ring")) })
	ch := workflow.GetSignalChannel(ctx, contract.SignalControl)
	workflow.Go(own, func(ctx workflow.Context) {
		for arrived(ctx, ch) {
			r.drain(ctx)
		}
	})
	return own
}

// take makes the control the ring's own and tells the waves that run. A stop is
// never taken back.
func (r *ring) take(ctx workflow.Context, said contract.Control) {
	if r.in.Control.Stop {
		return
	}
	r.in.Control = said
	for _, w := range r.waves {
		w.tell(ctx, said)
	}
}

// tell passes the control on, if the wave does not know it. A signal to a
// workflow that has not begun is lost: its start is awaited, see [ring.follow].
func (w *running) tell(ctx workflow.Context, said contract.Control) {
	if !w.begun || w.told == said {
		return
	}
	w.told = said
	// A wave that has just ended cannot be told, and need not be.
	_ = workflow.SignalExternalWorkflow(ctx, w.id, "", contract.SignalControl, said)
}

// drain takes what has arrived: signals that were not read would be lost when
// the ring continues as new.
func (r *ring) drain(ctx workflow.Context) {
	ch := workflow.GetSignalChannel(ctx, contract.SignalControl)
	for ch.Len() > 0 {
		var said contract.Control
		if ch.ReceiveAsync(&said) {
			r.take(ctx, said)
		}
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
