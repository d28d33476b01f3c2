package contract

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Work names a kind of work, and with it how long it may take, how it is
// retried and on which queue it waits.
type Work int

// The kinds of work.
const (
	// Quick is one question to the store or the engine, or some statements for
	// rows that are named.
	Quick Work = iota
	// Bulk touches every row of a ring or a cycle.
	Bulk
	// Waiting returns when machines have answered, or at a given time.
	Waiting
	// Feed speaks to the outside.
	Feed
)

// Activity is the typed handle of an activity: workflows run it, activities
// register under it, and neither can get the other's types wrong.
type Activity[In, Out any] struct {
	Name string
	Work Work
}

// Register puts the implementation under the activity's name.
func (a Activity[In, Out]) Register(r worker.ActivityRegistry, do func(context.Context, In) (Out, error)) {
	r.RegisterActivityWithOptions(do, activity.RegisterOptions{Name: a.Name})
}

// Run executes the activity and waits for it. The summary is what the Temporal
// UI shows beside it.
func (a Activity[In, Out]) Run(ctx workflow.Context, summary string, in In) (Out, error) {
	return a.Start(ctx, summary, in, 0).Get(ctx)
}

// Start executes the activity. For [Waiting] work, wait is how long it may take
// by its own account; its time-outs are scaled to it.
func (a Activity[In, Out]) Start(ctx workflow.Context, summary string, in In, wait time.Duration) Future[Out] {
	ctx = workflow.WithActivityOptions(ctx, a.Work.options(summary, wait))
	return Future[Out]{workflow.ExecuteActivity(ctx, a.Name, in)}
}

// Future is a typed [workflow.Future].
type Future[T any] struct{ workflow.Future }

// Get waits for the value.
func (f Future[T]) Get(ctx workflow.Context) (T, error) {
	var v T
	err := f.Future.Get(ctx, &v)
	return v, err
}

// options are named by kind of work, so that a change of mind is made once.
func (w Work) options(summary string, wait time.Duration) workflow.ActivityOptions {
	retry := &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute}
	o := workflow.ActivityOptions{TaskQueue: QueueCycles, Summary: summary, RetryPolicy: retry, WaitForCancellation: true}
	switch w {
	case Quick:
		// Nothing else tells that a server was killed inside of one: a person whose
		// approval it judges waits for that long. They take milliseconds, each can be
		// repeated, and one that had to wait for a larger transaction is.
		o.StartToCloseTimeout = 10 * time.Second
		o.RetryPolicy.MaximumInterval = 10 * time.Second
	case Bulk:
		// A worker that dies must not keep a plan waiting for half an hour: bulk
		// work beats its heart.
		o.StartToCloseTimeout = 30 * time.Minute
		o.HeartbeatTimeout = 15 * time.Second
	case Feed:
		o.StartToCloseTimeout = 10 * time.Minute
		o.HeartbeatTimeout = 30 * time.Second
		o.RetryPolicy.MaximumAttempts = 5
	case Waiting:
		o.TaskQueue = QueueWaits
		o.StartToCloseTimeout = wait + 5*time.Minute
		o.HeartbeatTimeout = HeartbeatFor(wait)
	}
	return o
}

// HeartbeatFor returns the heartbeat time-out of a wait. Every heartbeat that
// reaches the server is a state transition, so a wait of hours beats every few
// minutes; after a crash the wait is taken up again that much later.
func HeartbeatFor(wait time.Duration) time.Duration {
	return min(max(wait/40, 10*time.Second), 5*time.Minute)
}
