package report

import (
	"context"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/measure"
)

// Build gathers what is on record of a cycle, open or closed, and derives its
// report as of now.
func Build(ctx context.Context, src Source, id patching.CycleID, now time.Time) (*Document, error) {
	f, err := gather(ctx, src, id, now)
	if err != nil {
		return nil, err
	}
	return f.document(), nil
}

func (f *facts) document() *Document {
	m := measure.Of(f.cycle.Opened, f.answers())
	d := &Document{
		Format: Format, Made: f.now, Standing: orElse(string(f.cycle.ClosedAs), Open), Cycle: f.cycleFact(),
		Total: m.Machines, Outcomes: outcomeCounts(m.Outcomes),
		NotConcerned: max(0, f.known-m.Machines),
		Repairs:      m.Repairs, Freed: m.Freed,
		Machines: f.machines(), Bundles: f.bundleFacts(), Advisories: f.advisories(), Patches: f.patches(), Withdrawn: f.withdrawn(), Stayed: f.stayed(),
		Rings: f.rings(), Approval: f.approval(), Plans: f.planFacts(),
		Failures: f.failures(m), Coverage: f.coverage(m), TestRing: f.testRing(), Tasks: f.taskFacts(),
		Corrections: f.correctionFacts(), Record: f.changeRecord(), Evidence: f.evidence(), Gaps: f.gaps,
	}
	for i := range f.deployments {
		if unconfirmed(&f.deployments[i]) {
			d.Unconfirmed++
		}
	}
	d.Timeline = f.timeline()
	noNulls(d)
	d.Summary = f.summary(d)
	return d
}

// noNulls makes lists of the document empty instead of missing: whoever reads
// the JSON may count them without asking first.
func noNulls(d *Document) {
	fill(&d.Outcomes)
	fill(&d.Plans)
	fill(&d.Timeline)
	fill(&d.Rings)
	fill(&d.Advisories.Regimes)
	fill(&d.Advisories.Warnings)
	fill(&d.Advisories.Feeds)
	fill(&d.Advisories.Rows)
	fill(&d.Advisories.Review)
	fill(&d.Advisories.Blind)
	fill(&d.Advisories.Ends)
	fill(&d.Patches)
	fill(&d.Withdrawn)
	fill(&d.Stayed)
	fill(&d.Tasks)
	fill(&d.Corrections)
	fill(&d.Machines)
	fill(&d.Bundles)
	fill(&d.Gaps)
	fill(&d.Approval.Votes)
	fill(&d.Failures.Groups)
	fill(&d.Failures.Advice)
	fill(&d.Failures.Common)
	fill(&d.Record.Approved)
	fill(&d.Evidence.Decisions)
}

func fill[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

// answers are the deployments with what their machines said of the patch: one
// that was rolled back still counts under the failure that led to it.
func (f *facts) answers() []patching.Deployment {
	all := make([]patching.Deployment, len(f.deployments))
	copy(all, f.deployments)
	for i := range all {
		if r, ok := f.before[all[i].Asset]; ok && all[i].Signature == "" {
			all[i].Signature = r.Signature
		}
	}
	return all
}

// answer is what a machine said of the patch, before any roll-back.
type answer struct {
	outcome   patching.Outcome
	reason    patching.Reason
	detail    string
	signature string
}

func (f *facts) answerOf(d *patching.Deployment) answer {
	if r, ok := f.before[d.Asset]; ok {
		return answer{r.Outcome, r.Reason, r.Detail, r.Signature}
	}
	return answer{d.Outcome, d.Reason, d.Detail, d.Signature}
}

// unconfirmed reports whether a machine says that it is patched, and no fresh
// inventory does. Nothing counts as patched until it was verified (Q2).
func unconfirmed(d *patching.Deployment) bool {
	return d.Outcome == patching.Patched && d.Verified.IsZero()
}

func (f *facts) closed() bool { return !f.cycle.Closed.IsZero() || f.cycle.ClosedAs != "" }

func (f *facts) cycleFact() CycleFact {
	c := f.cycle
	out := CycleFact{
		ID: c.ID, Kind: c.Kind, Policy: c.Policy, PolicyVersion: c.PolicyVersion, Shadow: c.Shadow, Author: c.Author,
		Reason: c.Reason, Opened: c.Opened, Closed: c.Closed, Phase: c.Phase, Words: c.Words, Plan: c.Plan,
	}
	if f.policy != nil {
		out.PolicyTitle = f.policy.Title
	}
	if n := len(f.plans); n > 0 {
		out.CloseBy = f.plans[n-1].CloseBy
	}
	return out
}

// outcomeCounts lists those that occur in the order in which reports show them,
// and what has not ended last. One without a name in the vocabulary is counted too.
func outcomeCounts(counts map[patching.Outcome]int) []OutcomeCount {
	var out []OutcomeCount
	rest := 0
	for _, n := range counts {
		rest += n
	}
	for _, o := range append(patching.Outcomes(), "") {
		if n := counts[o]; n > 0 {
			out = append(out, OutcomeCount{Outcome: o, Words: o.Words(), Count: n})
			rest -= n
		}
	}
	if rest > 0 {
		out = append(out, OutcomeCount{Outcome: "unknown", Words: "an outcome without a name", Count: rest})
	}
	return out
}

func (f *facts) planFacts() []PlanFact {
	var out []PlanFact
	for _, p := range f.plans {
		left := 0
		for _, n := range p.Excluded {
			left += n
		}
		hash := p.Hash()
		fact := PlanFact{
			Hash: hash, Revision: p.Revision, Made: p.Made, Machines: p.Assets(), LeftOut: left, Counts: hash == f.cycle.Plan,
		}
		if look, kept := f.outlooks[hash]; kept && p.Assets() > 0 {
			fact.Forecast, fact.Change, fact.Rehearsal = look.Forecast.Words(), f.changeWords(hash), look.Rehearsal.Words()
		}
		out = append(out, fact)
	}
	return out
}

func (f *facts) taskFacts() []Task {
	var out []Task
	for _, k := range f.tasks {
		a := f.assets[k.Asset]
		out = append(out, Task{
			ID: k.ID, Asset: k.Asset, Hostname: orElse(a.Hostname, string(k.Asset)), Site: a.Site, Cause: k.Cause.Words(), Tried: k.Tried,
			Steps: k.Steps, Owner: k.Owner, Due: k.Due, Opened: k.Opened, TakenBy: k.TakenBy, State: k.State, Closed: k.Closed, Note: k.Note,
		})
	}
	return out
}

func (f *facts) correctionFacts() []Correction {
	var out []Correction
	for _, c := range f.corrections {
		k := Correction{
			Asset: c.Asset, Hostname: orElse(f.assets[c.Asset].Hostname, string(c.Asset)), At: c.At,
			Was: c.WasOutcome, Is: c.Outcome, Applied: c.Applied,
		}
		if c.WasReason != "" {
			k.WasWhy = c.WasReason.Words()
		}
		if c.Reason != "" {
			k.IsWhy = c.Reason.Words()
		}
		out = append(out, k)
	}
	return out
}

func (f *facts) changeRecord() ChangeRecord {
	r := ChangeRecord{Number: f.cycle.ID, Asked: f.cycle.Author}
	for _, v := range f.approvals {
		if v.Verdict == patching.Approve && v.Refused == "" && v.Plan == f.cycle.Plan {
			r.Approved = append(r.Approved, v.Account)
		}
	}
	names := map[string]bool{}
	for i := range f.deployments {
		d := &f.deployments[i]
		if !d.Released.IsZero() && (r.Began.IsZero() || d.Released.Before(r.Began)) {
			r.Began = d.Released
		}
		if d.Answered.After(r.Ended) {
			r.Ended = d.Answered
		}
		switch d.Outcome {
		case patching.Patched:
			r.Machines++
			for _, p := range f.bundles[d.Bundle].Patches() {
				names[p.Name] = true
			}
		case patching.RolledBack:
			r.BackedOut++
		default:
		}
	}
	r.Packages, r.Way = len(names), f.wayBack()
	return r
}
