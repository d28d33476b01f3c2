package workflows

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Words says in one or two sentences where a cycle stands, what it waits for
// and whether anyone must act (U2).
func Words(s contract.CycleState) string {
	if s.Phase.Terminal() {
		return cmp.Or(s.Closing, "Closed.")
	}
	if s.Ending != nil && s.Phase != patching.PhaseReport {
		return fmt.Sprintf("Ending (%s): %s. Nobody has to act.", s.Phase, strings.TrimSuffix(s.Ending.Why, "."))
	}
	if s.Held != nil {
		return fmt.Sprintf("Paused by %s since %s: %s. An operator has to resume or stop it.", s.Held.By, clock(s.Held.Since), s.Held.Reason)
	}
	if s.Rehearsing != nil {
		return fmt.Sprintf("Asking %s, one of each kind, what the plan would change there, until %s at the latest. Nobody has to act.",
			phrase.Count(s.Rehearsing.Asked, "machine"), clock(s.Rehearsing.Until))
	}
	switch s.Phase {
	case "":
		return "Beginning. Nobody has to act."
	case patching.PhaseMonitor:
		return "Asking every machine for a fresh inventory. Nobody has to act."
	case patching.PhaseAssess:
		return "Finding out what each machine misses. Nobody has to act."
	case patching.PhasePlan:
		return "Deciding who gets what, when. Nobody has to act."
	case patching.PhaseTest:
		return fmt.Sprintf("Patching the test ring (%s). Nobody has to act.", testWords(s))
	case patching.PhaseApproval:
		return fmt.Sprintf("Waiting for approval of plan %s%s by someone other than its author, %s%s: %d of %d approvals. An approver has to act by %s.",
			s.Plan.Hash.Short(), askedWords(s), s.Author, beforeTestWords(s)+againWords(s), len(s.Votes), s.Quorum(), clock(expiry(s)))
	case patching.PhaseDeploy:
		return fmt.Sprintf("Patching ring after ring (%s). Nobody has to act.", ringsWords(s))
	case patching.PhaseRollBack:
		return "Returning machines to their earlier versions. Nobody has to act."
	case patching.PhaseVerify:
		return "Judging the machines by fresh inventories. Nobody has to act."
	case patching.PhaseCleanUp:
		return "Removing what the patches left behind. Nobody has to act."
	default:
		return "Counting and writing the report. Nobody has to act."
	}
}

// details is the workflow's page: the words, the plan, the rings, the answers
// to signals. Markdown; the UI allows 20 kB.
func details(s contract.CycleState) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", Words(s))
	if s.Shadow {
		b.WriteString("**Shadow mode:** everything is planned and judged, nothing is installed.\n\n")
	}
	if s.Plan.Hash != "" {
		fmt.Fprintf(&b, "Plan `%s` (revision %d) by %s: %s, %d left out.\n\n", s.Plan.Hash, s.Plan.Revision, s.Author,
			phrase.Count(s.Plan.Assets, "machine"), s.Plan.Excluded)
	}
	for _, about := range []struct{ what, words string }{
		{"Why", s.Plan.Remediation}, {"**Act**", s.Plan.Proposes}, {"Since the plan before", s.Plan.Change}, {"Test ring", s.Plan.Mirror}, {"Forecast when it was made", s.Plan.Forecast},
	} {
		if about.words != "" {
			fmt.Fprintf(&b, "%s: %s\n\n", about.what, about.words)
		}
	}
	if s.Plan.Rehearsal != "" {
		fmt.Fprintf(&b, "%s\n\n", s.Plan.Rehearsal)
	}
	for _, r := range s.Plan.Rings {
		fmt.Fprintf(&b, "- ring **%s**, %s: %s\n", r.Name, phrase.Count(r.Assets, "machine"), ringStands(s, r.Name))
		if r.StandIns != "" {
			fmt.Fprintf(&b, "  - %s\n", r.StandIns)
		}
	}
	if s.Plan.WayBack != "" {
		fmt.Fprintf(&b, "\nGoing back: %s\n", s.Plan.WayBack)
	}
	if s.Phase == patching.PhaseApproval {
		fmt.Fprintf(&b, "\nTo approve: send the signal `approve` with `{\"plan\": \"%s\"}`, or use the API or the CLI. "+
			"%s\n", s.Plan.Hash, signWords(s))
	}
	for _, n := range s.Stale {
		fmt.Fprintf(&b, "\nNote: %s.", n)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "\n- %s", n)
	}
	return b.String()
}

// signWords says whether an approval has to be signed, and how.
func signWords(s contract.CycleState) string {
	if !s.Plan.Signed {
		return "This server's trust root is in mode `dispatcher`: approvals are counted, and need not be signed."
	}
	return fmt.Sprintf("This server's trust root is in mode `grants`: an approval is signed. `patchcycle cycle approve %s --plan %s --key FILE` does it; "+
		"or sign the text of `patchcycle cycle plan grants %s` with `ssh-keygen -Y sign`, and put the signature into the field `signature` beside `plan`.",
		s.ID, s.Plan.Hash.Short(), s.ID)
}

func ringStands(s contract.CycleState, name patching.RingName) string {
	for _, r := range s.Rings {
		if r.Name != name {
			continue
		}
		switch {
		case r.RolledBack:
			return "rolled back"
		case r.Ended && r.Decision.Why != "":
			return r.Decision.Why
		case r.Ended:
			return "done"
		default:
			return "at work"
		}
	}
	return "not begun"
}

// gateWord is what operators search by.
func gateWord(s contract.CycleState) string {
	switch {
	case s.Held != nil:
		return contract.GatePaused
	case s.Ending != nil && s.Ending.Reason == patching.ReasonRingHalted:
		return contract.GateHalted
	case s.Phase == patching.PhaseApproval:
		return contract.GateApproval
	default:
		return contract.GateOpen
	}
}

func expiry(s contract.CycleState) time.Time {
	if s.Rules.Approval.Expire <= 0 || s.Asked.IsZero() {
		return s.CloseBy
	}
	return earliest(s.Asked.Add(s.Rules.Approval.Expire), s.CloseBy)
}

func testWords(s contract.CycleState) string {
	if len(s.Plan.Rings) == 0 {
		return "0 machines"
	}
	ring := s.Plan.Rings[0]
	words := fmt.Sprintf("%d of %s", ring.Assets, phrase.Count(s.Plan.Assets, "machine"))
	if ring.StandIns != "" {
		return words + ": " + ring.StandIns
	}
	if s.Plan.Unsigned != "" {
		return words + ", as people approved"
	}
	return words + ", under its pre-approval"
}

// askedWords says which rings an approval lets through.
func askedWords(s contract.CycleState) string {
	rings := s.AskedRings()
	if len(rings) == 0 {
		return ""
	}
	noun := "ring"
	if len(rings) > 1 {
		noun = "rings"
	}
	return fmt.Sprintf(" (%s %s)", noun, phrase.Few(rings, 3))
}

// beforeTestWords says why the test ring itself waits for an approval.
func beforeTestWords(s contract.CycleState) string {
	if len(s.Rings) == 0 && s.Plan.Unsigned != "" {
		return ", before the test ring begins (" + s.Plan.Unsigned + ")"
	}
	if len(s.Rings) > 0 || len(s.Plan.Rings) == 0 || s.Plan.Rings[0].StandIns == "" {
		return ""
	}
	return ", before the test ring begins (" + s.Plan.Rings[0].StandIns + ")"
}

// againWords says why people are asked for what they had approved.
func againWords(s contract.CycleState) string {
	if s.Regrant == nil {
		return ""
	}
	words := ", once more (" + s.Regrant.Why
	if n := len(s.Regrant.Back); n > 0 {
		words += "; it covers the way back of " + phrase.Count(n, "ring") + " too"
	}
	return words + ")"
}

func ringsWords(s contract.CycleState) string {
	done := 0
	for _, r := range s.Rings {
		if r.Ended {
			done++
		}
	}
	return fmt.Sprintf("%d of %d rings are done", done, len(s.Plan.Rings))
}

func ringWords(r patching.RingName) string {
	if r == "" {
		return "all rings"
	}
	return "ring " + string(r)
}

func batchWords(n int) string { return fmt.Sprintf("start permits for batch %d", n) }

func tallyWords(t patching.Tally) string {
	return fmt.Sprintf("%d of %d answered, %d bad", t.Answered, t.Planned, t.Bad())
}

func phaseWords(ps []patching.Phase) string {
	if len(ps) == 0 {
		return "a cycle that is not closing"
	}
	var names []string
	for _, p := range ps {
		names = append(names, "phase "+string(p))
	}
	return strings.Join(names, " or ")
}

func nameOf(a patching.AccountName) string {
	if a == "" {
		return "an unknown sender"
	}
	return string(a)
}

func held(c contract.Control) string {
	switch {
	case c.Stop:
		return " (ending: " + c.Why + ")"
	case c.Paused:
		return " (" + c.Why + ")"
	default:
		return ""
	}
}

// clock prints instants for people; pages are read in many zones, so in UTC.
func clock(t time.Time) string { return t.UTC().Format("2 Jan 15:04 UTC") }

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
