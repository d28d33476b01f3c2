// Package workflows tells the story of a cycle, a ring and a wave,
// deterministically. It performs decisions that patching/* makes and asks
// activities for all that touches the world.
package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Cycle is one patch cycle, from monitoring to the report. Its input is its
// carried state: a cycle that begins has no phase yet, one that was continued,
// or rebuilt from the store, goes on in the phase that it names.
func Cycle(ctx workflow.Context, s contract.CycleState) (contract.CycleResult, error) {
	// A cycle that is cancelled still counts, reports and closes: its own work
	// does not hang on the context that a cancellation ends.
	own := disconnected(ctx)
	c := newCycle(own, s)
	if err := c.listen(own); err != nil {
		return contract.CycleResult{}, err
	}
	whenCancelled(ctx, func(ctx workflow.Context) {
		c.endNow(ctx, contract.Ending{As: patching.ClosedCancelled, Reason: patching.ReasonCancelled, Why: "the workflow was cancelled"})
	})
	return c.run(own)
}

// cycle is the workflow's memory; all of it that must survive is in s.
type cycle struct {
	s contract.CycleState
	// ring is the id of the ring's workflow that runs now; empty: none.
	ring string
	// result is what closing returned.
	result contract.CycleResult
	// signals are the channels of the verbs; answering counts the signals that
	// were taken and have no answer yet.
	signals   []workflow.ReceiveChannel
	answering int
	// saving lets one save at a time into the store.
	saving workflow.Mutex
	// approving lets one approval at a time be judged and counted.
	approving workflow.Mutex
	// planning lets one thing at a time change the plan.
	planning workflow.Mutex
	log      logger
}

func newCycle(ctx workflow.Context, s contract.CycleState) *cycle {
	s.Signals = map[contract.Verb]int{} // ordinals count within a run
	s.Saved = contract.Mark{}           // of the engine that was lost, if the store had the state
	s.Rehearsing = nil                  // whoever waited was lost with the run
	return &cycle{s: s, saving: workflow.NewMutex(ctx), approving: workflow.NewMutex(ctx), planning: workflow.NewMutex(ctx), log: workflow.GetLogger(ctx)}
}

// run goes from phase to phase. Each phase does its work and names the next.
func (c *cycle) run(ctx workflow.Context) (contract.CycleResult, error) {
	if err := c.open(ctx); err != nil {
		return contract.CycleResult{}, err
	}
	c.closeAtDate(ctx)
	for !c.s.Phase.Terminal() {
		next, err := c.phase(ctx)
		if err != nil {
			if next, err = c.salvage(ctx, err); err != nil {
				return contract.CycleResult{}, err
			}
		}
		if err := c.enter(ctx, c.onward(next)); err != nil {
			return contract.CycleResult{}, err
		}
		if c.tooLong(ctx) {
			return contract.CycleResult{}, c.continueAsNew(ctx)
		}
	}
	return c.result, c.everyoneAnswered(ctx)
}

// phase performs the current phase.
func (c *cycle) phase(ctx workflow.Context) (patching.Phase, error) {
	switch c.s.Phase {
	case patching.PhaseMonitor:
		return c.monitor(ctx)
	case patching.PhaseAssess:
		return c.assess(ctx)
	case patching.PhasePlan:
		return c.plan(ctx)
	case patching.PhaseTest:
		return c.test(ctx)
	case patching.PhaseApproval:
		return c.approval(ctx)
	case patching.PhaseDeploy:
		return c.deploy(ctx)
	case patching.PhaseRollBack:
		return c.rollBack(ctx)
	case patching.PhaseVerify:
		return c.verify(ctx)
	case patching.PhaseCleanUp:
		return c.cleanUp(ctx)
	case patching.PhaseReport:
		return c.report(ctx)
	default:
		return "", temporal.NewNonRetryableApplicationError("unknown phase "+string(c.s.Phase), "State", nil)
	}
}

// open puts the cycle on record and takes the policy's rules over, once.
func (c *cycle) open(ctx workflow.Context) error {
	if c.s.Phase != "" {
		return c.show(ctx)
	}
	out, err := contract.OpenCycle.Run(ctx, "put the cycle on record", contract.OpenCycleIn{State: c.s})
	if err != nil {
		return err
	}
	c.s.PolicyVersion, c.s.Rules = out.PolicyVersion, out.Rules
	c.s.Opened, c.s.CloseBy, c.s.Epoch = out.Opened, out.CloseBy, out.Epoch
	return c.enter(ctx, patching.PhaseMonitor)
}

func (c *cycle) monitor(ctx workflow.Context) (patching.Phase, error) {
	if cyclesSyncFeeds(ctx) {
		if err := c.syncFeeds(ctx); err != nil || c.s.Ending != nil {
			return patching.PhaseAssess, err
		}
	}
	asked, err := contract.AskInventory.Run(ctx, "ask for fresh inventories",
		contract.AskInventoryIn{Cycle: c.s.ID, Policy: c.s.Policy, Version: c.s.PolicyVersion})
	if err != nil {
		return "", err
	}
	if asked.Asked == 0 {
		return patching.PhaseAssess, nil
	}
	// Machines that are off do not hold the cycle up for longer than this; what
	// is too old to plan by is named in the plan.
	wait := min(c.s.Rules.Silence, time.Hour)
	until := workflow.Now(ctx).Add(wait)
	actx, cancel := workflow.WithCancel(ctx)
	defer cancel()
	answers := contract.AwaitOrders.Start(actx, phrase.Count(asked.Asked, "inventory", "inventories")+" until "+clock(until),
		contract.AwaitOrdersIn{Cycle: c.s.ID, Verb: "collect", Monitor: true, Until: until}, wait)
	if err := workflow.Await(ctx, func() bool { return answers.IsReady() || c.s.Ending != nil }); err != nil || c.s.Ending != nil {
		return patching.PhaseAssess, err
	}
	_, err = answers.Get(ctx)
	return patching.PhaseAssess, err
}

// syncFeeds brings the feeds up to date. A cycle that ends meanwhile does not wait for
// slow publishers.
func (c *cycle) syncFeeds(ctx workflow.Context) error {
	work, giveUp := workflow.WithCancel(ctx)
	defer giveUp()
	synced := contract.SyncFeeds.Start(work, "bring the feeds up to date", contract.SyncFeedsIn{Cycle: c.s.ID}, 0)
	if err := workflow.Await(ctx, func() bool { return synced.IsReady() || c.s.Ending != nil }); err != nil || !synced.IsReady() {
		return err
	}
	_, err := synced.Get(ctx)
	return err
}

func (c *cycle) assess(ctx workflow.Context) (patching.Phase, error) {
	out, err := contract.Assess.Run(ctx, "what does each machine miss", contract.AssessIn{Cycle: c.s.ID, Version: c.s.PolicyVersion})
	if err != nil {
		return "", err
	}
	c.s.Stale = nil
	if out.Stale > 0 {
		c.s.Stale = append(c.s.Stale, phrase.Count(out.Stale, "machine")+" without a fresh inventory")
	}
	c.s.Stale = append(c.s.Stale, out.Blind...)
	return patching.PhasePlan, nil
}

func (c *cycle) plan(ctx workflow.Context) (patching.Phase, error) {
	if err := c.makePlan(ctx); err != nil {
		return "", err
	}
	if len(c.s.Plan.Rings) == 0 {
		return patching.PhaseReport, nil
	}
	if err := c.rehearse(ctx); err != nil {
		return "", err
	}
	// Where the test ring has been patched already, this plan was sent back.
	if len(c.s.Rings) > 0 || c.asksBefore(c.s.Plan.Rings[0]) {
		return patching.PhaseApproval, nil
	}
	return patching.PhaseTest, nil
}

// makePlan makes the next revision of the plan. Votes are for a plan of one
// hash: a new one starts with none.
func (c *cycle) makePlan(ctx workflow.Context) error {
	if err := c.planning.Lock(ctx); err != nil {
		return err
	}
	defer c.planning.Unlock()
	plan, given, err := orGiveUp(ctx, c, contract.MakePlan, "decide who gets what, when", contract.MakePlanIn{State: c.s, Revision: c.s.Plan.Revision + 1})
	if err != nil || given {
		return err
	}
	c.s.Plan, c.s.Votes, c.s.Signed, c.s.SentBack = plan, nil, nil, false
	return nil
}

// orGiveUp does what may be waiting for an archive: a cycle that ends meanwhile gives it
// up, once it has let go of the record.
func orGiveUp[In, Out any](ctx workflow.Context, c *cycle, a contract.Activity[In, Out], words string, in In) (out Out, given bool, err error) {
	work, giveUp := workflow.WithCancel(ctx)
	defer giveUp()
	f := a.Start(work, words, in, 0)
	if err := workflow.Await(ctx, func() bool { return f.IsReady() || c.s.Ending != nil }); err != nil {
		return out, false, err
	}
	if !f.IsReady() {
		giveUp()
	}
	out, err = f.Get(ctx)
	if temporal.IsCanceledError(err) && c.s.Ending != nil {
		return out, true, nil
	}
	return out, false, err
}

func (c *cycle) verify(ctx workflow.Context) (patching.Phase, error) {
	// Rings verify themselves after their soak. What came late, or was rolled
	// back, is looked at here.
	if len(c.s.Rings) > 0 && !c.s.Shadow {
		if err := verifySlice(ctx, contract.SliceIn{Cycle: c.s.ID, Silence: c.s.Rules.Silence}); err != nil {
			return "", err
		}
	}
	return patching.PhaseCleanUp, nil
}

func (c *cycle) cleanUp(ctx workflow.Context) (patching.Phase, error) {
	if len(c.s.Rings) > 0 && !c.s.Shadow {
		if err := campaign(ctx, contract.CampaignIn{Cycle: c.s.ID, Verb: "clean"}, c.s.Rules.Silence); err != nil {
			return "", err
		}
	}
	return patching.PhaseReport, nil
}

func (c *cycle) report(ctx workflow.Context) (patching.Phase, error) {
	closed, err := contract.CloseCycle.Run(ctx, "count, carry over, open tasks", contract.CloseCycleIn{State: c.s})
	if err != nil {
		return "", err
	}
	c.s.Closing = closed.Words
	c.result = contract.CycleResult{ClosedAs: closed.ClosedAs, Words: closed.Words, Outcomes: closed.Outcomes}
	out, err := contract.MakeReport.Run(ctx, "write the report", contract.MakeReportIn{State: c.s})
	if err != nil {
		return "", err
	}
	c.result.Report = out.File
	return patching.PhaseClosed, nil
}
