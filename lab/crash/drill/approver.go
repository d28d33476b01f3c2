package drill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// approver is a person who watches the cycle through the API, also while the
// server comes and goes, and approves its plan once. What has been acknowledged
// is not sent again: if the cycle lost it, the run waits in vain.
type approver struct {
	dir string
	// approves is unset where the demo does it.
	approves bool

	mu      sync.Mutex
	cycle   patching.CycleID
	phase   patching.Phase
	sending patching.Digest // the plan that an approval is on its way for
	key     string
	acked   patching.Digest // the plan whose approval was acknowledged
	changed chan struct{}   // closed and replaced when one of these changes
}

func newApprover(dir string, approves bool) *approver {
	return &approver{dir: dir, approves: approves, changed: make(chan struct{}), key: client.NewKey()}
}

// watch returns when the cycle has closed, or ctx ends, or an answer is not to
// be explained by a server that is away.
func (a *approver) watch(ctx context.Context) error {
	mark := ""
	for ctx.Err() == nil {
		c, err := a.look(ctx, mark)
		if err != nil && !passing(err) {
			return fmt.Errorf("watch the cycle: %w", err)
		}
		if err != nil || c.ID == "" {
			mark = ""
			_ = pause.For(ctx, 50*time.Millisecond)
			continue
		}
		mark = c.Mark
		a.set(func() { a.cycle, a.phase = c.ID, c.Phase })
		switch {
		case c.Phase.Terminal():
			return nil
		case c.Phase == patching.PhaseApproval && a.approves && a.acked == "":
			if err := a.approve(ctx, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// look asks how the cycle stands, and waits a while for something new.
func (a *approver) look(ctx context.Context, mark string) (wire.CycleDetail, error) {
	c, err := a.client()
	if err != nil || c == nil {
		return wire.CycleDetail{}, err
	}
	a.mu.Lock()
	id := a.cycle
	a.mu.Unlock()
	if id == "" {
		all, err := c.Cycles(ctx, client.CycleQuery{Policy: trial.PolicyName, Limit: 1})
		if err != nil || len(all.Items) == 0 {
			return wire.CycleDetail{}, err
		}
		id = all.Items[0].ID
	}
	return c.WatchCycle(ctx, id, mark, 10*time.Second)
}

// client is nil before the approver has an account.
func (a *approver) client() (*client.Client, error) {
	tokens, err := trial.Tokens(a.dir)
	if err != nil || tokens[trial.Approver] == "" {
		return nil, err
	}
	return trial.As(a.dir, tokens[trial.Approver])
}

// approve sends the approval, and after a failure of the server the same again,
// by its key.
func (a *approver) approve(ctx context.Context, c wire.CycleDetail) error {
	as, err := a.client()
	if err != nil {
		return err
	}
	a.set(func() { a.sending = c.Plan })
	_, err = as.Do(ctx, c.ID, "approve", wire.Act{Plan: c.Plan, Reason: "crash drill"}, a.key)
	switch {
	case err == nil:
		a.set(func() { a.acked = c.Plan })
		return nil
	case passing(err) || ctx.Err() != nil:
		return nil //nolint:nilerr // looked at again, and sent again if it still waits
	default:
		return fmt.Errorf("approve: %w", err)
	}
}

// passing says of an error that a server which is away or starting explains it.
func passing(err error) bool {
	var p *wire.Problem
	if errors.As(err, &p) {
		return p.Code == wire.CodeEngineAway
	}
	return errors.Is(err, client.ErrAway) || errors.Is(err, context.Canceled)
}

func (a *approver) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
	close(a.changed)
	a.changed = make(chan struct{})
}

// await waits until something is so.
func (a *approver) await(ctx context.Context, is func() bool) error {
	for {
		a.mu.Lock()
		so, changed := is(), a.changed
		a.mu.Unlock()
		if so {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// rank orders the phases.
func rank(p patching.Phase) int {
	for i, q := range []patching.Phase{
		patching.PhaseMonitor, patching.PhaseAssess, patching.PhasePlan, patching.PhaseTest, patching.PhaseApproval,
		patching.PhaseDeploy, patching.PhaseVerify, patching.PhaseCleanUp, patching.PhaseReport, patching.PhaseClosed,
	} {
		if p == q {
			return i
		}
	}
	return -1
}
