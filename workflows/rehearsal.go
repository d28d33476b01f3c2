package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// rehearsalTakes is how long a rehearsal holds a cycle up at most. A machine that
// is on answers within seconds, or minutes where it has to fetch the lists of a
// snapshot first; one that is off may stay off, and nobody should wait for it.
const rehearsalTakes = 5 * time.Minute

// rehearse asks one machine of each kind what the plan would change there, before
// people are asked and before anything is installed, and puts the answers beside
// the plan. They stop nothing: whoever approves reads them. A shadow cycle
// rehearses too, for nothing is changed by it.
//
// After the test ring only what is new is asked for: a bundle that lost a patch
// may need what it lost.
func (c *cycle) rehearse(ctx workflow.Context) error {
	if c.s.Ending != nil || len(c.s.Plan.Rings) == 0 {
		return nil
	}
	wait := min(c.s.Rules.Silence, rehearsalTakes)
	in := contract.RehearseIn{Cycle: c.s.ID, Plan: c.s.Plan.Hash, Revision: c.s.Plan.Revision, Until: workflow.Now(ctx).Add(wait)}
	asked, err := contract.Rehearse.Run(ctx, "ask one machine of each kind what the plan would change", in)
	if err != nil {
		return err
	}
	if asked.Asked > 0 {
		if err := c.awaitRehearsal(ctx, in, asked.Asked, wait); err != nil {
			return err
		}
	}
	if c.s.Ending != nil {
		return nil
	}
	out, err := contract.NoteRehearsal.Run(ctx, "put what they answered beside the plan", in)
	if err != nil {
		return err
	}
	c.s.Plan.Rehearsal = out.Words
	return nil
}

// awaitRehearsal returns when all have answered, when the time is over, or when the
// cycle ends.
func (c *cycle) awaitRehearsal(ctx workflow.Context, in contract.RehearseIn, asked int, wait time.Duration) error {
	until := workflow.Now(ctx).Add(wait) // from when they were asked, which may have taken long
	c.s.Rehearsing = &contract.Rehearsing{Asked: asked, Until: until}
	defer func() { c.s.Rehearsing = nil }()
	if err := c.show(ctx); err != nil {
		return err
	}
	actx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	what := "rehearsal on " + phrase.Count(asked, "machine")
	answers := contract.AwaitOrders.Start(actx, what+" until "+clock(until),
		contract.AwaitOrdersIn{Cycle: in.Cycle, Verb: "simulate", Revision: in.Revision, Until: until}, wait)
	// The timer is the cycle's own: how long it waits must not hang on a queue.
	answered, err := awaitUntil(ctx, until, what, func() bool { return answers.IsReady() || c.s.Ending != nil })
	if err != nil || !answered || c.s.Ending != nil {
		return err
	}
	_, err = answers.Get(ctx)
	return err
}
