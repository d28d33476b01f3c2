// Package worker assembles and runs the Temporal worker: workflows, activities
// and the adapters that only a client of Temporal can be.
package worker

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/worker"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/workflows"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Limits of what one process does at once.
const (
	// quickAtOnce matches what one database serves; more would only queue there.
	quickAtOnce = 40
	// waitsAtOnce is how many waves wait at once: a wait costs one counting query
	// a look, and little memory.
	waitsAtOnce = 4000
	pollers     = 4
	// stopWithin is how long a stop waits for activities: those that wait for
	// machines are given up, the next process takes them up again.
	stopWithin = 5 * time.Second
)

// Worker runs workflows and activities until it is stopped.
type Worker struct{ queues []sdk.Worker }

// Start begins to poll; it returns when the polling has begun.
func Start(c client.Client, a activities.All) (*Worker, error) {
	quick := sdk.New(c, contract.QueueCycles, sdk.Options{
		MaxConcurrentActivityExecutionSize: quickAtOnce, MaxConcurrentActivityTaskPollers: pollers,
		MaxConcurrentWorkflowTaskPollers: pollers, WorkerStopTimeout: stopWithin,
	})
	workflows.Register(quick)
	a.Register(quick)
	waits := sdk.New(c, contract.QueueWaits, sdk.Options{
		MaxConcurrentActivityExecutionSize: waitsAtOnce, MaxConcurrentActivityTaskPollers: pollers,
		DisableWorkflowWorker: true, WorkerStopTimeout: stopWithin,
	})
	a.Register(waits)
	w := &Worker{}
	for name, q := range map[string]sdk.Worker{contract.QueueCycles: quick, contract.QueueWaits: waits} {
		if err := q.Start(); err != nil {
			w.Stop()
			return nil, fmt.Errorf("start worker of queue %s: %w", name, err)
		}
		w.queues = append(w.queues, q)
	}
	return w, nil
}

// Stop stops polling and waits for what runs, at most a few seconds.
func (w *Worker) Stop() {
	for _, q := range w.queues {
		q.Stop()
	}
	w.queues = nil
}
