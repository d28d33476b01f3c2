package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// timeline tells from the chain of decisions what happened when: phases, plans,
// gates, what people did. Waves that went well are not worth a line.
func (f *facts) timeline() []Event {
	var out []Event
	for _, e := range f.trail {
		if event, ok := f.event(e); ok {
			out = append(out, event)
		}
	}
	for _, v := range f.votes() {
		out = append(out, voteEvent(v))
	}
	for _, p := range f.plans {
		left := 0
		for _, n := range p.Excluded {
			left += n
		}
		out = append(out, Event{
			At: p.Made, Kind: EventPlan, What: fmt.Sprintf("Plan %d made", p.Revision),
			Words: sentences(fmt.Sprintf("%s to patch, %s left out. Its hash is %s.", plural(p.Assets(), "machine"), number(left), p.Hash().Short()),
				f.changeWords(p.Hash())),
		})
	}
	if first := string(patching.PhaseMonitor); !slices.ContainsFunc(out, func(e Event) bool { return e.Kind == EventPhase && e.What == first }) {
		// The record begins in this phase, so that nothing moves into it.
		out = append(out, Event{At: f.cycle.Opened, Kind: EventPhase, What: first, Words: "Asking every machine for a fresh inventory."})
	}
	slices.SortStableFunc(out, func(a, b Event) int { return a.At.Compare(b.At) })
	out = joined(out)
	f.timePhases(out)
	return out
}

// changeWords says what a plan changed of the one before; empty: it was the first.
func (f *facts) changeWords(p patching.Digest) string {
	if look := f.outlooks[p]; look.Change != nil {
		return look.Change.Words()
	}
	return ""
}

// joined makes one entry of what several waves of a ring were told at once: the
// first that halts halts the others.
func joined(events []Event) []Event {
	var out []Event
	for _, e := range events {
		if n := len(out); e.waves > 0 && n > 0 && out[n-1].waves > 0 && out[n-1].ring == e.ring && out[n-1].Words == e.Words {
			out[n-1].waves++
			out[n-1].What = fmt.Sprintf("Gate of ring %s, %s: halt", e.ring, plural(out[n-1].waves, "wave"))
			continue
		}
		out = append(out, e)
	}
	return out
}

// timePhases says how long each phase took: until the next, the close, or now.
func (f *facts) timePhases(events []Event) {
	end := f.now
	if !f.cycle.Closed.IsZero() {
		end = f.cycle.Closed
	}
	for i := len(events) - 1; i >= 0; i-- {
		if e := &events[i]; e.Kind == EventPhase {
			e.Took, end = max(0, end.Sub(e.At)), e.At
		}
	}
}

func (f *facts) event(e patching.AuditEntry) (Event, bool) {
	out := Event{At: e.At, Words: e.Body}
	switch {
	case verdicts[patching.ApprovalVerdict(e.Verb)] != "":
		return out, false // among the votes
	case strings.HasPrefix(e.Actor, "gate "):
		verb := patching.GateVerb(e.Verb)
		ring, _, ofWave := strings.Cut(strings.TrimPrefix(e.Subject, string(f.cycle.ID)+"/ring/"), "/wave/")
		switch {
		case ofWave && verb != patching.Halt:
			return out, false
		case ofWave:
			out.waves, out.ring = 1, ring
		}
		out.Kind, out.What = EventGate, "Gate of "+f.where(e.Subject)+": "+orElse(gateVerbs[verb], e.Verb)
	case e.Actor == "patchcycle" && e.Verb == "phase":
		phase, words, _ := strings.Cut(e.Body, ": ")
		if patching.Phase(phase).Terminal() {
			return out, false // the entry "closed" says it
		}
		out.Kind, out.What, out.Words = EventPhase, phase, words
	case e.Actor == "patchcycle" && e.Verb == "closed":
		out.Kind, out.What = EventClosed, "Closed"
	case e.Actor == "patchcycle":
		out.Kind, out.What = EventReminder, strings.TrimSuffix(sentence(e.Verb), ".")
	default:
		a := readAct(e.Body)
		out.Kind, out.What, out.Words = EventPerson, e.Actor+": "+e.Verb, a.reason
		if a.refused != "" {
			out.Words = sentences(a.reason, "It did not count: "+a.refused)
		}
	}
	return out, true
}

func voteEvent(v Vote) Event {
	e := Event{
		At: v.At, Kind: EventPerson,
		What:  fmt.Sprintf("%s %s the plan", orElse(string(v.Account), "an unknown sender"), verdicts[v.Verdict]),
		Words: sentences(v.Reason),
	}
	if v.Refused != "" {
		e.What = fmt.Sprintf("%s tried to %s the plan", orElse(string(v.Account), "an unknown sender"), attempt(v.Verdict))
		e.Words = sentences(v.Reason, "It did not count: "+v.Refused)
	}
	return e
}
