package workflows

import (
	"slices"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// test patches the test ring under its pre-approval, or the approval of those
// that stand in for it, then makes the plan again:
// same inputs less what failed. It may only shrink; its hash is what people approve.
func (c *cycle) test(ctx workflow.Context) (patching.Phase, error) {
	// Before its windows are looked up: they could pass during a pause.
	if err := c.whileHeld(ctx); err != nil {
		return "", err
	}
	if c.s.Ending != nil && !c.begun(c.s.Plan.Rings[0].Name) {
		return c.afterEnding(), nil
	}
	if again, err := c.asksAgain(ctx, c.s.Plan.Rings[0]); err != nil || again {
		return patching.PhaseApproval, err
	}
	if c.s.Ending != nil && !c.begun(c.s.Plan.Rings[0].Name) {
		return c.afterEnding(), nil
	}
	if err := c.deployRing(ctx, c.s.Plan.Rings[0]); err != nil {
		return "", err
	}
	if c.s.Ending != nil {
		return c.afterEnding(), nil
	}
	if err := c.makePlan(ctx); err != nil {
		return "", err
	}
	if c.nextRing() == nil {
		return patching.PhaseVerify, nil
	}
	if err := c.rehearse(ctx); err != nil {
		return "", err
	}
	if c.s.Shadow {
		return patching.PhaseDeploy, nil // nothing is installed, so nothing is asked
	}
	return patching.PhaseApproval, nil
}

// deploy patches ring after ring.
func (c *cycle) deploy(ctx workflow.Context) (patching.Phase, error) {
	for {
		ring, err := c.ringAfter(ctx)
		if err != nil || ring == nil {
			return c.afterEnding(), err
		}
		if err := c.whileHeld(ctx); err != nil {
			return "", err
		}
		switch {
		case c.s.Ending != nil && !c.begun(ring.Name):
			return c.afterEnding(), nil
		case c.tooLong(ctx):
			return patching.PhaseDeploy, nil // in a new run
		}
		if c.asksBefore(*ring) {
			return patching.PhaseApproval, nil
		}
		if again, err := c.asksAgain(ctx, *ring); err != nil || again {
			return patching.PhaseApproval, err
		}
		if c.s.Ending != nil && !c.begun(ring.Name) {
			return c.afterEnding(), nil
		}
		if err := c.deployRing(ctx, *ring); err != nil {
			return "", err
		}
	}
}

// asksBefore reports whether people have to agree before the ring begins. The
// test ring has its pre-approval, unless others stand in for its machines.
func (c *cycle) asksBefore(ring contract.RingSummary) bool {
	return !c.s.Shadow && ring.Approve && !slices.Contains(c.s.Cleared, ring.Name)
}

// ringAfter returns the next ring, or nil. It waits for machines that are being brought
// in: they come after all others, and would miss the cycle.
func (c *cycle) ringAfter(ctx workflow.Context) (*contract.RingSummary, error) {
	err := workflow.Await(ctx, func() bool { return !c.planning.IsLocked() || c.s.Ending != nil })
	return c.nextRing(), err
}

// nextRing returns the first ring that has not ended, or nil.
func (c *cycle) nextRing() *contract.RingSummary {
	for i := range c.s.Plan.Rings {
		r := &c.s.Plan.Rings[i]
		ended := slices.ContainsFunc(c.s.Rings, func(b contract.RingState) bool { return b.Name == r.Name && b.Ended })
		if !ended {
			return r
		}
	}
	return nil
}

// afterEnding returns where a cycle goes when its rings are through.
func (c *cycle) afterEnding() patching.Phase {
	if c.s.Ending != nil && c.s.Ending.Undo {
		return patching.PhaseRollBack
	}
	return patching.PhaseVerify
}

// deployRing runs the ring as a child and takes its gate's decision over. The
// ring is on the saga's list before it starts.
func (c *cycle) deployRing(ctx workflow.Context, ring contract.RingSummary) error {
	if len(c.s.Rings) > 0 || len(c.s.Cleared) > 0 {
		if err := c.reschedule(ctx); err != nil {
			return err
		}
	}
	takenUp := c.begun(ring.Name)
	state := c.beginRing(ring.Name)
	id := patching.RingID(c.s.ID, ring.Name)
	child := workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID: id, StaticSummary: "ring " + string(ring.Name) + ": " + phrase.Count(ring.Assets, "machine"),
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_TERMINATE,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		TypedSearchAttributes: temporal.NewSearchAttributes(contract.AttrCycle.ValueSet(string(c.s.ID)),
			contract.AttrPolicy.ValueSet(string(c.s.Policy)), contract.AttrKind.ValueSet(string(c.s.Kind)),
			contract.AttrRing.ValueSet(string(ring.Name))),
	})
	in := contract.RingInput{
		Cycle: c.s.ID, Policy: c.s.Policy, Kind: c.s.Kind, Ring: ring, Shadow: c.s.Shadow,
		Silence: c.s.Rules.Silence, CloseBy: c.s.CloseBy, Mend: c.s.Rules.Mend, TakenUp: takenUp, Control: c.control(),
	}
	run := workflow.ExecuteChildWorkflow(child, contract.RingWorkflow, in)
	if err := run.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
		return err
	}
	c.ring = id
	if now := c.control(); now != in.Control {
		c.tell(ctx) // what was said while the ring started
	}
	if err := c.show(ctx); err != nil {
		return err
	}
	var out contract.RingResult
	err := run.Get(ctx, &out)
	c.ring = ""
	state.Ended = true
	if err != nil {
		return err
	}
	state.Decision, state.Diagnosis = out.Decision, out.Diagnosis
	switch {
	case c.s.Ending != nil:
	case out.Decision.Verb == patching.Halt:
		c.end(ctx, c.haltedBy(ring.Name, out))
	case out.Stopped: // by whoever cancelled its workflow: what it left out was not tried
		c.end(ctx, contract.Ending{
			As: patching.ClosedWithExceptions, Reason: patching.ReasonCancelled,
			Why: "the workflow of ring " + string(ring.Name) + " was cancelled",
		})
	}
	return c.show(ctx)
}

// reschedule moves what has not begun to windows that are still to come: testing and
// approval took their time.
func (c *cycle) reschedule(ctx workflow.Context) error {
	if err := c.planning.Lock(ctx); err != nil {
		return err
	}
	defer c.planning.Unlock()
	_, err := contract.Reschedule.Run(ctx, "next occurrences of the windows", contract.MakePlanIn{State: c.s, Revision: c.s.Plan.Revision})
	return err
}

// begun reports whether the ring is on the saga's list.
func (c *cycle) begun(name patching.RingName) bool {
	return slices.ContainsFunc(c.s.Rings, func(r contract.RingState) bool { return r.Name == name })
}

// beginRing puts the ring on the list that the saga undoes; a rebuilt cycle
// finds it there already.
func (c *cycle) beginRing(name patching.RingName) *contract.RingState {
	i := slices.IndexFunc(c.s.Rings, func(r contract.RingState) bool { return r.Name == name })
	if i < 0 {
		c.s.Rings = append(c.s.Rings, contract.RingState{Name: name})
		i = len(c.s.Rings) - 1
	}
	return &c.s.Rings[i]
}

// haltedBy is how a cycle ends that a gate has halted.
func (c *cycle) haltedBy(ring patching.RingName, out contract.RingResult) contract.Ending {
	e := contract.Ending{
		As: patching.ClosedWithExceptions, Reason: patching.ReasonRingHalted,
		Why: "ring " + string(ring) + " was halted: " + out.Decision.Why, Scope: c.s.Rules.OnHalt, Rings: []patching.RingName{ring},
	}
	if out.Diagnosis != "" {
		e.Why += " " + out.Diagnosis
	}
	e.Undo = out.Against && e.Scope != policy.RollBackNothing && !c.s.Shadow
	if e.Undo && e.Scope == policy.RollBackRing {
		e.As = patching.ClosedBackedOut
	}
	return e
}

// rollBack undoes what was done, newest ring first. It runs on a context of its
// own (see [Cycle]): a cancelled cycle still goes back to a consistent state.
func (c *cycle) rollBack(ctx workflow.Context) (patching.Phase, error) {
	for ring := c.nextToUndo(); ring != nil; ring = c.nextToUndo() {
		ending := *c.s.Ending
		in := contract.CampaignIn{Cycle: c.s.ID, Ring: ring.Name, Verb: "revert", Scope: ending.Scope}
		if err := campaign(ctx, in, 2*c.s.Rules.Silence); err != nil {
			return "", err
		}
		// A person may have asked for more meanwhile: then it is done again.
		ring.RolledBack = undoesAll(ending) == undoesAll(*c.s.Ending)
	}
	return patching.PhaseVerify, nil
}

// nextToUndo returns the newest ring that has to be rolled back and was not, or nil.
func (c *cycle) nextToUndo() *contract.RingState {
	if c.s.Ending == nil || !c.s.Ending.Undo {
		return nil
	}
	for i := len(c.s.Rings) - 1; i >= 0; i-- {
		ring := &c.s.Rings[i]
		if !ring.RolledBack && (len(c.s.Ending.Rings) == 0 || slices.Contains(c.s.Ending.Rings, ring.Name)) {
			return ring
		}
	}
	return nil
}
