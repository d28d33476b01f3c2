package workflows

import (
	"strings"

	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

type logger = log.Logger

// What the workflow's page keeps of the answers to signals: so many, of so many
// bytes each. A signal may carry any text, and the UI shows 20 kB.
const (
	maxNotes = 12
	maxNote  = 500
)

// enter makes the phase the current one: in the search attributes, on the page,
// and in the store, from which a lost engine is rebuilt.
func (c *cycle) enter(ctx workflow.Context, p patching.Phase) error {
	c.s.Phase = p
	return c.show(ctx)
}

// show says where the cycle stands, on the page and on record.
func (c *cycle) show(ctx workflow.Context) error {
	workflow.SetCurrentDetails(ctx, details(c.s))
	attrs := []temporal.SearchAttributeUpdate{
		contract.AttrCycle.ValueSet(string(c.s.ID)), contract.AttrPolicy.ValueSet(string(c.s.Policy)),
		contract.AttrKind.ValueSet(string(c.s.Kind)), contract.AttrPhase.ValueSet(string(c.s.Phase)),
		contract.AttrGate.ValueSet(gateWord(c.s)),
	}
	if !c.s.CloseBy.IsZero() {
		attrs = append(attrs, contract.AttrDeadline.ValueSet(c.s.CloseBy))
	}
	if c.result.ClosedAs != "" {
		attrs = append(attrs, contract.AttrClosedAs.ValueSet(string(c.result.ClosedAs)),
			contract.AttrFailed.ValueSet(int64(c.result.Outcomes[patching.Failed]+c.result.Outcomes[patching.NeedsHands])),
			contract.AttrPending.ValueSet(0))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, attrs...); err != nil {
		return err
	}
	// One at a time, each with the state of its turn: of two saves at once the
	// older could be the last to be written, and the store would be behind for as
	// long as the cycle has nothing new to say.
	if err := c.saving.Lock(ctx); err != nil {
		return err
	}
	defer c.saving.Unlock()
	saved, run := c.s, workflow.GetInfo(ctx)
	saved.Signals = nil
	saved.Saved = contract.Mark{Run: run.WorkflowExecution.RunID, Started: run.WorkflowStartTime, Events: run.GetCurrentHistoryLength()}
	_, err := contract.SaveState.Run(ctx, "keep the state: "+string(c.s.Phase), contract.SaveStateIn{State: saved, Words: Words(saved)})
	return err
}

// note puts an answer to a signal on the page.
func (c *cycle) note(ctx workflow.Context, words string) {
	if len(words) > maxNote {
		words = strings.ToValidUTF8(words[:maxNote], "") + "…"
	}
	c.s.Notes = append(c.s.Notes, workflow.Now(ctx).UTC().Format("2 Jan 15:04:05 ")+words)
	if len(c.s.Notes) > maxNotes {
		c.s.Notes = c.s.Notes[len(c.s.Notes)-maxNotes:]
	}
	c.tryShow(ctx)
}

// tryShow shows the state where the cycle goes on without.
func (c *cycle) tryShow(ctx workflow.Context) {
	if err := c.show(ctx); err != nil {
		c.log.Error("the state could not be kept", "error", err)
	}
}

// tooLong reports whether the cycle should go on in a new run. Between phases no
// child and no activity of its own is running.
func (c *cycle) tooLong(ctx workflow.Context) bool {
	return !c.s.Phase.Terminal() && workflow.GetInfo(ctx).GetContinueAsNewSuggested()
}

// continueAsNew carries the state over, once everyone has an answer.
func (c *cycle) continueAsNew(ctx workflow.Context) error {
	if err := c.everyoneAnswered(ctx); err != nil {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, contract.CycleWorkflow, c.s)
}

// noteGate keeps a decision with all that is needed to run it again.
func noteGate(ctx workflow.Context, id patching.CycleID, subject string, q gate.Question, d patching.Decision) error {
	terms, tally := gate.Evidence(q)
	_, err := contract.NoteGate.Run(ctx, "keep the gate's decision: "+string(d.Verb), contract.NoteGateIn{
		Cycle: id, Subject: subject, Decision: d, Params: string(terms), Tally: string(tally),
	})
	return err
}

// show says on the ring's page where it stands.
func (r *ring) show(ctx workflow.Context, words string) {
	workflow.SetCurrentDetails(ctx, "Ring **"+string(r.in.Ring.Name)+"** of "+string(r.in.Cycle)+", "+
		phrase.Count(r.in.Ring.Assets, "machine")+": "+words+held(r.in.Control))
}

// show says on the wave's page where it stands.
func (w *wave) show(ctx workflow.Context, words string) {
	workflow.SetCurrentDetails(ctx, "Wave of "+phrase.Count(w.in.Wave.Assets, "machine")+" at **"+string(w.in.Wave.Site)+
		"** in ring "+string(w.in.Ring)+": "+words+held(w.in.Control))
}
