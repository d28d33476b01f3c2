package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// approval waits for people to agree to exactly this plan: reminders, an
// escalation, and an expiry that never approves by itself.
func (c *cycle) approval(ctx workflow.Context) (patching.Phase, error) {
	ring := c.nextRing()
	if ring == nil {
		return patching.PhaseVerify, nil
	}
	if err := c.coverBack(ctx); err != nil {
		return "", err
	}
	if c.s.Asked.IsZero() { // else a run before this one has asked
		c.s.Asked, c.s.Reminded = workflow.Now(ctx), 0
		if err := c.show(ctx); err != nil {
			return "", err
		}
	}
	for {
		if again, err := c.awaitPeople(ctx); err != nil || again {
			return patching.PhaseApproval, err
		}
		// Machines that are being brought in may join the ring that is asked about: then
		// nobody has seen them, and who agreed looks at that plan anew.
		stands := func() bool { return !c.planning.IsLocked() || c.s.SentBack || c.s.Ending != nil }
		if err := workflow.Await(ctx, stands); err != nil {
			return "", err
		}
		if c.settled() {
			break
		}
	}
	c.s.Asked = time.Time{}
	switch {
	case c.s.Ending != nil && c.begun(ring.Name):
		// It was asked for again: machines that are at work are waited for.
		if err := c.deployRing(ctx, *ring); err != nil {
			return "", err
		}
		return c.afterEnding(), nil
	case c.s.Ending != nil:
		return c.afterEnding(), nil
	case c.s.SentBack:
		return patching.PhasePlan, nil
	}
	c.s.Cleared = append(c.s.Cleared, ring.Name)
	c.s.Votes, c.s.Signed, c.s.Regrant = nil, nil, nil
	if !c.s.Tested() {
		return patching.PhaseTest, nil
	}
	return patching.PhaseDeploy, nil
}

// awaitPeople waits until people have decided, or nobody did in time. Again is set when
// the history has grown too long: a new run waits on.
func (c *cycle) awaitPeople(ctx workflow.Context) (again bool, err error) {
	for !c.settled() {
		at, what := c.nextReminder()
		ok, err := awaitUntil(ctx, at, what, func() bool { return c.settled() || c.tooLong(ctx) })
		switch {
		case err != nil:
			return false, err
		case ok && !c.settled():
			return true, nil
		case ok:
			return false, nil
		}
		if err := c.remind(ctx, what); err != nil {
			return false, err
		}
	}
	return false, nil
}

// settled reports whether people have decided about the plan, or need not any more.
func (c *cycle) settled() bool { return c.agreed() || c.s.SentBack || c.s.Ending != nil }

// agreed reports whether the quorum has agreed to the plan that counts.
func (c *cycle) agreed() bool {
	n := 0
	for _, v := range c.s.Votes {
		if v.Plan == c.s.Plan.Hash && v.Verdict == patching.Approve {
			n++
		}
	}
	if s := c.s.Signed; s != nil && s.Plan == c.s.Plan.Hash {
		// The policy may ask for more people than the trust root, and never for fewer;
		// break-glass has a quorum of its own.
		return s.Persons >= s.Quorum && (s.BreakGlass || n >= c.quorum())
	}
	return n >= c.quorum()
}

// quorum is how many approvals the policy asks for.
func (c *cycle) quorum() int { return max(1, c.s.Rules.Approval.Quorum) }

// The stages of waiting for an approval.
const (
	waitRemind   = "reminder of the approval"
	waitEscalate = "escalation of the approval"
	waitExpire   = "expiry of the approval"
)

// nextReminder returns when something has to be done about a missing approval.
func (c *cycle) nextReminder() (time.Time, string) {
	a := c.s.Rules.Approval
	steps := []struct {
		after time.Duration
		what  string
	}{{a.Remind, waitRemind}, {a.Escalate, waitEscalate}, {a.Expire, waitExpire}}
	for i, s := range steps {
		if i >= c.s.Reminded && s.after > 0 && (s.after < a.Expire || s.what == waitExpire || a.Expire <= 0) {
			return c.s.Asked.Add(s.after), s.what
		}
	}
	return c.s.CloseBy, waitExpire
}

func (c *cycle) remind(ctx workflow.Context, what string) error {
	words := fmt.Sprintf("%s still waits for approval of plan %s%s: %d of %d approvals.",
		c.s.ID, c.s.Plan.Hash.Short(), askedWords(c.s), len(c.s.Votes), c.s.Quorum())
	switch what {
	case waitRemind:
		c.s.Reminded = 1
	case waitEscalate:
		c.s.Reminded = 2
	case waitExpire:
		c.end(ctx, contract.Ending{
			As: patching.ClosedCancelled, Reason: patching.ReasonNotApproved,
			Why: "nobody approved the plan in time",
		})
		return nil
	}
	_, err := contract.Remind.Run(ctx, what, contract.RemindIn{Cycle: c.s.ID, Words: words, Escalate: what == waitEscalate})
	return err
}

// whileHeld waits as long as a person holds the cycle.
func (c *cycle) whileHeld(ctx workflow.Context) error {
	return workflow.Await(ctx, func() bool { return c.s.Held == nil || c.s.Ending != nil })
}

// closeAtDate ends the cycle at its date, with what is left carried over by name (Q1).
func (c *cycle) closeAtDate(ctx workflow.Context) {
	workflow.GoNamed(ctx, "close by", func(ctx workflow.Context) {
		over := func() bool { return c.s.Ending != nil || c.s.Phase == patching.PhaseReport || c.s.Phase.Terminal() }
		ok, err := awaitUntil(ctx, c.s.CloseBy, "close by", over)
		if err == nil && !ok {
			c.endNow(ctx, contract.Ending{
				As: patching.ClosedWithExceptions, Reason: patching.ReasonCarriedOver,
				Why: "the cycle reached its closing date",
			})
		}
	})
}

// control is what the cycle's state means for its rings.
func (c *cycle) control() contract.Control {
	switch {
	case c.s.Ending != nil:
		return contract.Control{Stop: true, Reason: c.s.Ending.Reason, Why: c.s.Ending.Why}
	case c.s.Held != nil:
		return contract.Control{Paused: true, Why: fmt.Sprintf("paused by %s: %s", c.s.Held.By, c.s.Held.Reason)}
	default:
		return contract.Control{}
	}
}

// tell passes the control on to the ring that runs.
func (c *cycle) tell(ctx workflow.Context) {
	if c.ring != "" {
		// A ring that has just ended cannot be told, and need not be.
		_ = workflow.SignalExternalWorkflow(ctx, c.ring, "", contract.SignalControl, c.control())
	}
}
