package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// listen registers what people can do. It comes before anything that blocks:
// an update that meets a workflow without its handler is refused. People are
// heard after a cancellation too: the cycle still closes, and can be rolled back.
func (c *cycle) listen(ctx workflow.Context) error {
	err := workflow.SetQueryHandler(ctx, contract.QueryState, func() (contract.CycleState, error) { return c.s, nil })
	if err != nil {
		return err
	}
	for _, rule := range contract.Verbs() {
		verb := rule.Verb
		handle := func(ctx workflow.Context, a contract.Act) (contract.Answer, error) {
			ctx = disconnected(ctx)
			c.began(ctx)
			return c.act(ctx, verb, a, 0)
		}
		// The validator judges by state alone; who sent it is the handler's to find out.
		valid := func(_ workflow.Context, a contract.Act) error {
			if words := c.fits(rule, a); words != "" {
				return temporal.NewApplicationError(words, "NotNow")
			}
			return nil
		}
		err := workflow.SetUpdateHandlerWithOptions(ctx, string(verb), handle,
			workflow.UpdateHandlerOptions{Validator: valid, Description: rule.Short})
		if err != nil {
			return err
		}
		c.listenSignal(ctx, rule)
	}
	return nil
}

// began waits until the cycle is on record: a person can be quicker than the
// first activity.
func (c *cycle) began(ctx workflow.Context) {
	_ = workflow.Await(ctx, func() bool { return c.s.Phase != "" })
}

// listenSignal takes signals of the verb's name, one after the other. The answer
// stands in the workflow's details.
func (c *cycle) listenSignal(ctx workflow.Context, rule contract.VerbRule) {
	ch := workflow.GetSignalChannel(ctx, string(rule.Verb))
	c.signals = append(c.signals, ch)
	workflow.GoNamed(ctx, "signal "+string(rule.Verb), func(ctx workflow.Context) {
		for arrived(ctx, ch) {
			c.answering++
			c.takeSignal(ctx, rule, receive(ch))
			c.answering--
		}
	})
}

// sent is what came with a signal.
type sent struct {
	act contract.Act
	// garbled says that it could not be read.
	garbled bool
}

// receive takes the next signal as it came and reads it here: the SDK drops one
// that it cannot read without a word, and then the sender of every later one
// would be looked up one signal too early.
func receive(ch workflow.ReceiveChannel) (s sent) {
	var raw converter.RawValue
	ch.ReceiveAsync(&raw)
	if raw.Payload() != nil {
		s.garbled = converter.GetDefaultDataConverter().FromPayload(raw.Payload(), &s.act) != nil
	}
	return s
}

func (c *cycle) takeSignal(ctx workflow.Context, rule contract.VerbRule, s sent) {
	c.s.Signals[rule.Verb]++
	nth := c.s.Signals[rule.Verb]
	c.began(ctx)
	a := s.act
	a.Request = "" // only our API may name a request
	if s.garbled {
		c.note(ctx, fmt.Sprintf("A signal %q could not be read; send a JSON object.", rule.Verb))
		return
	}
	if a.Plan == "" && rule.NeedsPlan {
		c.note(ctx, fmt.Sprintf("A signal %q named no plan; send {\"plan\": %q}.", rule.Verb, c.s.Plan.Hash))
		return
	}
	if words := c.fits(rule, a); words != "" {
		c.note(ctx, fmt.Sprintf("A signal %q was not taken: %s", rule.Verb, words))
		return
	}
	answer, err := c.act(ctx, rule.Verb, a, nth)
	if err != nil {
		c.note(ctx, fmt.Sprintf("A signal %q could not be judged: %s", rule.Verb, wordsOf(err)))
		return
	}
	c.note(ctx, answer.Words)
}

// everyoneAnswered waits until nobody who has acted still waits for an answer.
// What is not taken before a run ends is lost with it.
func (c *cycle) everyoneAnswered(ctx workflow.Context) error {
	return workflow.Await(ctx, func() bool {
		for _, ch := range c.signals {
			if ch.Len() > 0 {
				return false
			}
		}
		return c.answering == 0 && workflow.AllHandlersFinished(ctx)
	})
}

// fits says in words why the verb does not fit the cycle now; empty: it does.
func (c *cycle) fits(rule contract.VerbRule, a contract.Act) string {
	switch {
	case c.s.Phase == "":
		return ""
	case !rule.Allowed(c.s.Phase):
		return fmt.Sprintf("the cycle is in phase %q; %s is for %s.", c.s.Phase, rule.Verb, phaseWords(rule.Phases))
	case rule.NeedsPlan && a.Plan != c.s.Plan.Hash:
		return fmt.Sprintf("the plan that counts is %s, not %s: look at it again.", c.s.Plan.Hash.Short(), a.Plan.Short())
	case rule.NeedsReason && strings.TrimSpace(a.Reason) == "":
		return string(rule.Verb) + " needs a reason."
	case c.s.Ending != nil && rule.Verb != contract.VerbRollBack:
		return "the cycle is already ending: " + c.s.Ending.Why
	case rule.Verb == contract.VerbRollBack && c.s.Ending != nil && undoesAll(*c.s.Ending):
		return "the cycle is already being rolled back."
	case rule.Verb == contract.VerbResume && c.s.Held == nil:
		return "the cycle is not paused."
	case rule.OfMachines && len(a.Assets) == 0:
		return "name the machines."
	case rule.Verb == contract.VerbAdmit && c.planning.IsLocked():
		return "the plan is being made; ask again once it stands."
	}
	return ""
}

// act finds out who sent it and whether it counts, then does it.
func (c *cycle) act(ctx workflow.Context, verb contract.Verb, a contract.Act, signal int) (contract.Answer, error) {
	rule, _ := contract.RuleOf(verb)
	answer := contract.Answer{Quorum: c.s.Quorum(), Votes: len(c.s.Votes)}
	if verb == contract.VerbApprove {
		// One vote at a time: of two by the same person that are judged at once both
		// would stand on record as counted. Nobody waits here who wants to stop.
		if err := c.approving.Lock(ctx); err != nil {
			return answer, err
		}
		defer c.approving.Unlock()
		if words := c.fits(rule, a); words != "" {
			answer.Words, answer.NotNow = words, true
			return answer, nil
		}
	}
	in := contract.VerifyActIn{
		Cycle: c.s.ID, Policy: c.s.Policy, Author: c.s.Author, Verb: verb, Act: a,
		Run: workflow.GetInfo(ctx).WorkflowExecution.RunID, Ordinal: signal,
		TrustSignals: c.s.Rules.Approval.TrustSignals,
	}
	in.Counted = c.counted(a)
	if verb == contract.VerbApprove {
		in.Admitted = c.s.Admitted
	}
	if a.Signature != "" {
		in.Rings = c.s.AskedRings()
	}
	out, err := contract.VerifyAct.Run(ctx, "who sent "+string(verb)+", and does it count", in)
	if err != nil {
		return contract.Answer{}, err
	}
	refused := out.Refused
	answer.NotNow = out.NotNow
	if refused == "" {
		refused = c.fits(rule, a) // the cycle may have moved on meanwhile
		answer.NotNow = refused != ""
	}
	if refused != "" {
		answer.Words = fmt.Sprintf("%s by %s does not count: %s", verb, nameOf(out.Account), refused)
		return answer, nil
	}
	answer.Words, answer.Accepted, err = c.perform(ctx, verb, a, out)
	if err != nil {
		return contract.Answer{}, err
	}
	answer.NotNow, answer.Votes, answer.Quorum = !answer.Accepted, len(c.s.Votes), c.s.Quorum()
	return answer, c.show(ctx)
}

// counted returns whose approval does not count again. Whoever approved as usual can
// still break the glass, when the others stay away: that is another paper.
func (c *cycle) counted(a contract.Act) (who []patching.AccountName) {
	broken := c.s.Signed != nil && c.s.Signed.BreakGlass
	for _, v := range c.s.Votes {
		if a.BreakGlass == "" || broken && v.Paper == c.s.Signed.Paper {
			who = append(who, v.Account)
		}
	}
	return who
}

// perform does what the verb says; all that it says was verified. What changes nothing, as
// things stand, is not done.
func (c *cycle) perform(ctx workflow.Context, verb contract.Verb, a contract.Act, by contract.VerifyActOut) (words string, done bool, err error) {
	switch verb {
	case contract.VerbAdmit:
		return c.admit(ctx, a, by.Account)
	case contract.VerbAmend:
		out, err := contract.ApplyAmend.Run(ctx, "take machines out",
			contract.AmendIn{Cycle: c.s.ID, Assets: a.Assets, By: by.Account, Why: a.Reason})
		return out.Words, err == nil, err
	default:
		words, err := c.performHere(ctx, verb, a, by)
		return words, err == nil, err
	}
}

// performHere does the verbs that change the cycle's own state alone.
func (c *cycle) performHere(ctx workflow.Context, verb contract.Verb, a contract.Act, by contract.VerifyActOut) (string, error) {
	switch verb {
	case contract.VerbApprove:
		return c.vote(a, by), nil
	case contract.VerbReject:
		c.end(ctx, contract.Ending{
			As: patching.ClosedCancelled, Reason: patching.ReasonNotApproved, By: by.Account,
			Why: fmt.Sprintf("%s rejected the plan: %s", by.Account, a.Reason),
		})
		return fmt.Sprintf("The plan was rejected by %s.", by.Account), nil
	case contract.VerbSendBack:
		c.s.SentBack = true
		return fmt.Sprintf("%s sent the plan back: %s", by.Account, a.Reason), nil
	case contract.VerbPause:
		c.s.Held = &contract.Held{By: by.Account, Reason: a.Reason, Since: workflow.Now(ctx)}
		c.tell(ctx)
		return fmt.Sprintf("Paused by %s: %s. What has started runs to its end; nothing else starts.", by.Account, a.Reason), nil
	case contract.VerbResume:
		c.s.Held = nil
		c.tell(ctx)
		return fmt.Sprintf("Resumed by %s.", by.Account), nil
	default:
		return c.performEnd(ctx, verb, a, by)
	}
}

// performEnd does the verbs that end a cycle.
func (c *cycle) performEnd(ctx workflow.Context, verb contract.Verb, a contract.Act, by contract.VerifyActOut) (string, error) {
	e := contract.Ending{By: by.Account}
	switch verb {
	case contract.VerbStop:
		e.As, e.Reason = patching.ClosedCancelled, patching.ReasonCancelled
		e.Why = fmt.Sprintf("stopped by %s: %s", by.Account, a.Reason)
	case contract.VerbRollBack:
		e.As, e.Reason, e.Undo, e.Scope = patching.ClosedBackedOut, patching.ReasonCancelled, true, policy.RollBackRing
		e.Why = fmt.Sprintf("rolled back by %s: %s", by.Account, a.Reason)
	case contract.VerbClose:
		e.As, e.Reason = patching.ClosedWithExceptions, patching.ReasonCarriedOver
		e.Why = fmt.Sprintf("closed by %s: %s", by.Account, a.Reason)
	default:
		return "", fmt.Errorf("%q is no verb of a cycle", verb)
	}
	c.end(ctx, e)
	return "The cycle is being " + e.Why + ".", nil
}

// vote counts an approval. The same person counts once, whatever their number
// of keys or clicks; VerifyAct has seen to it.
func (c *cycle) vote(a contract.Act, by contract.VerifyActOut) string {
	cast := patching.Approval{
		Cycle: c.s.ID, Plan: a.Plan, Account: by.Account,
		Verdict: patching.Approve, Reason: a.Reason, Via: by.Via, At: by.At, Key: by.Key, Paper: by.Paper,
	}
	if at := slices.IndexFunc(c.s.Votes, func(v patching.Approval) bool { return v.Account == by.Account }); at < 0 {
		c.s.Votes = append(c.s.Votes, cast)
	} else if a.BreakGlass != "" {
		c.s.Votes[at] = cast
	}
	who := string(by.Account)
	if by.By != "" {
		who += " (by " + string(by.By) + ")"
	}
	if by.Paper != "" {
		c.s.Signed = &contract.SignedVotes{
			Plan: a.Plan, Paper: by.Paper, Persons: by.Persons, Quorum: by.Quorum, BreakGlass: a.BreakGlass != "",
		}
		who += ", signed with " + by.Key
	}
	if c.agreed() {
		return fmt.Sprintf("Approved by %s. The plan %s has the approvals that it needs.", who, a.Plan.Short())
	}
	return fmt.Sprintf("Approved by %s; %d of %d approvals.", who, len(c.s.Votes), c.s.Quorum())
}

// end settles how the cycle closes and tells the ring that runs. The first
// ending counts, except that a roll-back can still be asked for, and a wider one.
func (c *cycle) end(ctx workflow.Context, e contract.Ending) {
	if c.s.Ending != nil && (!undoesAll(e) || undoesAll(*c.s.Ending)) {
		return
	}
	c.s.Ending = &e
	c.s.Held = nil
	if e.Undo {
		for i := range c.s.Rings {
			c.s.Rings[i].RolledBack = false // what was undone so far was less than this
		}
	}
	c.tell(ctx)
}

// undoesAll reports whether the ending returns all machines of all rings to
// their earlier versions. That of a gate is for one ring, or what failed in it.
func undoesAll(e contract.Ending) bool {
	return e.Undo && e.Scope == policy.RollBackRing && len(e.Rings) == 0
}
