package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/workflows/contract"
)

// lapsed lists the rings for which nothing that people signed holds any more: an epoch
// has begun, or approvers have left the trust root. A cycle that is ending asks nobody.
func (c *cycle) lapsed(ctx workflow.Context) ([]contract.Lapse, error) {
	if !c.s.Plan.Signed || c.s.Shadow || c.s.Ending != nil || !cyclesAskAgain(ctx) {
		return nil, nil
	}
	out, err := contract.CheckGrants.Run(ctx, "does what was signed still count", contract.CheckGrantsIn{Cycle: c.s.ID})
	return out.Lapsed, err
}

// asksAgain looks whether a ring that would begin without asking has to be signed for
// again. Its machines would refuse what they are told, one by one.
func (c *cycle) asksAgain(ctx workflow.Context, ring contract.RingSummary) (bool, error) {
	lapses, err := c.lapsed(ctx)
	if err != nil {
		return false, err
	}
	return c.s.AskAgain(ring.Name, lapses), nil
}

// coverBack looks, before people are asked, whether the way back of rings that are done
// is still covered.
func (c *cycle) coverBack(ctx workflow.Context) error {
	if len(c.s.Votes) > 0 || len(c.s.Rings) == 0 {
		return nil // they have signed already, or nothing is done
	}
	lapses, err := c.lapsed(ctx)
	if err != nil {
		return err
	}
	c.s.CoverBack(lapses)
	return nil
}
