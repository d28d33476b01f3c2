package diagnose

import (
	"maps"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
)

// Excuse returns what a gate would see of a ring without the failures that are
// the path's: those that gather behind a relay or at a site that failed, and say
// so themselves (not fetched, not signed, the path was down). Both have to hold:
// a patch that breaks what only one site has is not excused.
//
// It serves one question, whether a halt speaks against what was installed: a
// healthy ring is not rolled back because a relay died. The halt itself stands.
func (d Diagnosis) Excuse(t patching.Tally, cells []Cell) patching.Tally {
	out := t
	out.Outcomes, out.Signatures = maps.Clone(t.Outcomes), slices.Clone(t.Signatures)
	for _, c := range cells {
		if !c.Outcome.Bad() || !d.excuses(c) {
			continue
		}
		n := min(c.Machines, out.Outcomes[c.Outcome])
		out.Outcomes[c.Outcome] -= n
		out.Planned, out.Released = max(0, out.Planned-n), max(0, out.Released-n)
		if c.Answered {
			out.Answered = max(0, out.Answered-n)
		}
		at := slices.IndexFunc(out.Signatures, func(s patching.SignatureCount) bool { return s.Signature == c.Signature })
		if at >= 0 {
			out.Signatures[at].Count = max(0, out.Signatures[at].Count-n)
		}
	}
	out.Signatures = slices.DeleteFunc(out.Signatures, func(s patching.SignatureCount) bool { return s.Count == 0 })
	return out
}

func (d Diagnosis) excuses(c Cell) bool {
	return c.Reason.Cause() == patching.CauseRelay && slices.ContainsFunc(d.Causes, func(k Cause) bool {
		return k.LaidTo == patching.CauseRelay && (k.Kind == KindRelay && k.Name == c.Relay || k.Kind == KindSite && k.Name == string(c.Site))
	})
}

// Shared returns the causes that a machine shares, for its task.
func (d Diagnosis) Shared(c Cell, packages []string) []Cause {
	var shared []Cause
	for _, k := range d.Causes {
		names := map[Kind]string{
			KindRelay: c.Relay, KindSite: string(c.Site), KindAgent: c.Agent, KindRule: c.Rule, KindRing: string(c.Ring),
			KindRelease: c.OS, KindNamed: c.blamed(),
		}
		if names[k.Kind] == k.Name || k.Kind == KindPackage && slices.Contains(packages, k.Name) {
			shared = append(shared, k)
		}
	}
	return shared
}
