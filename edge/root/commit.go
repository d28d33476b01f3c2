package root

import (
	"context"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// committer gathers reports of many requests and commits them together: a
// commit costs a sync of the disk, however many reports are in it.
type committer struct {
	store  Store
	linger time.Duration
	most   int
	queue  chan *submission
	ended  chan struct{}
}

// submission is the reports of one request. done gets nil once they are on
// disk, and became is set before.
type submission struct {
	reports []patching.Report
	became  []patching.Intake
	done    chan error
}

func newCommitter(o Options) *committer {
	return &committer{store: o.Store, linger: o.Linger, most: o.MaxCommit, queue: make(chan *submission), ended: make(chan struct{})}
}

// take returns what became of reports when they are on disk. If ctx ends
// before, nothing is known: they may be taken all the same.
func (c *committer) take(ctx context.Context, reports []patching.Report) ([]patching.Intake, error) {
	if len(reports) == 0 {
		return nil, nil
	}
	sub := &submission{reports: reports, done: make(chan error, 1)}
	select {
	case c.queue <- sub:
	case <-c.ended:
		return nil, busy()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case err := <-sub.done:
		return sub.became, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run commits until ctx ends.
func (c *committer) run(ctx context.Context) {
	defer close(c.ended)
	for {
		select {
		case first := <-c.queue:
			c.commit(ctx, c.gather(first))
		case <-ctx.Done():
			return
		}
	}
}

// gather waits for company until linger has passed or there is enough.
func (c *committer) gather(first *submission) []*submission {
	group, n := []*submission{first}, len(first.reports)
	patience := time.NewTimer(c.linger)
	defer patience.Stop()
	for n < c.most {
		select {
		case next := <-c.queue:
			group, n = append(group, next), n+len(next.reports)
		case <-patience.C:
			return group
		}
	}
	return group
}

func (c *committer) commit(ctx context.Context, group []*submission) {
	// What was accepted into the group is committed although the server is
	// asked to stop: its senders still wait.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	var all []patching.Report
	for _, sub := range group {
		all = append(all, sub.reports...)
	}
	became, err := c.store.TakeReports(ctx, all)
	for _, sub := range group {
		if err == nil {
			sub.became, became = became[:len(sub.reports)], became[len(sub.reports):]
		}
		sub.done <- err
	}
}

// commitTime bounds one commit, so that a database that hangs is seen.
const commitTime = time.Minute
