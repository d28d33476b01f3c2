package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// admit brings machines in, and reports whether any came. The cycle waits for it before
// it looks for its next ring.
func (c *cycle) admit(ctx workflow.Context, a contract.Act, by patching.AccountName) (words string, some bool, err error) {
	if err := c.planning.Lock(ctx); err != nil {
		return "", false, err
	}
	defer c.planning.Unlock()
	out, given, err := orGiveUp(ctx, c, contract.AdmitMachines, "bring machines in",
		contract.AdmitIn{State: c.s, Assets: a.Assets, By: by, Why: a.Reason})
	switch {
	case err != nil:
		return "", false, err
	case given:
		return "No machine comes in: the cycle is ending.", false, nil
	case out.Admitted == 0:
		return out.Words, false, nil
	}
	words = out.Words
	if n := len(c.s.Votes); n > 0 {
		words += fmt.Sprintf(" The plan is %s now: approvals of %s have to be given again.", out.Plan.Hash.Short(), c.s.Plan.Hash.Short())
	}
	c.s.Admit(out.Plan, by)
	return words, true, nil
}
