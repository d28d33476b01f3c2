package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// endNow settles how the cycle closes and says so on its page: what runs may
// take long to come to its end.
func (c *cycle) endNow(ctx workflow.Context, e contract.Ending) {
	c.end(ctx, e)
	c.tryShow(ctx)
}

// onward returns the phase that a cycle enters after its current one: when it is
// ending it begins nothing new, and what is to be undone is undone before it is
// verified. A person can ask for that as late as while residue is removed.
func (c *cycle) onward(next patching.Phase) patching.Phase {
	if c.s.Ending == nil || next.Terminal() {
		return next
	}
	switch {
	case c.nextToUndo() != nil:
		return patching.PhaseRollBack
	case len(c.s.Rings) == 0:
		return patching.PhaseReport
	case next == patching.PhaseVerify, next == patching.PhaseCleanUp, next == patching.PhaseReport:
		return next
	default:
		return patching.PhaseVerify
	}
}

// salvage ends a cycle one of whose own steps failed for good. It counts,
// reports and gives the machines back like any other; that step is on the page
// and in the report. What cannot even be closed fails, and can be seen.
func (c *cycle) salvage(ctx workflow.Context, err error) (patching.Phase, error) {
	if c.s.Phase == patching.PhaseReport {
		return "", err
	}
	why := "the step " + string(c.s.Phase) + " failed: " + wordsOf(err)
	c.log.Error("a step failed for good", "phase", string(c.s.Phase), "error", err)
	c.note(ctx, why)
	c.end(ctx, contract.Ending{As: patching.ClosedWithExceptions, Reason: patching.ReasonCancelled, Why: why})
	switch c.s.Phase {
	case patching.PhaseRollBack:
		c.s.Ending.Undo, c.s.Ending.As = false, patching.ClosedWithExceptions
		c.s.Ending.Why += "; " + why
		return patching.PhaseVerify, nil
	case patching.PhaseVerify:
		return patching.PhaseCleanUp, nil
	case patching.PhaseCleanUp:
		return patching.PhaseReport, nil
	default:
		return patching.PhaseVerify, nil
	}
}

// wordsOf returns what an activity said, without the wrapping of those who
// passed it on.
func wordsOf(err error) string {
	var app *temporal.ApplicationError
	if errors.As(err, &app) {
		return app.Message()
	}
	return err.Error()
}
