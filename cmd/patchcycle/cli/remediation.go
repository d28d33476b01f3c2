package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// mostAdvisories is how many advisories of a plan are printed; --json has all.
const mostAdvisories = 20

// printRemediation says which advisories machines of a policy have, how urgent they are,
// what rids them of these and what stays.
func (s *session) printRemediation(p patching.PolicyName, r wire.Remediation) {
	if r.Proposes != "" {
		s.say("\n%s", r.Proposes)
		s.say("To call it: %s", callEmergency(p, r.Remedies))
	}
	var rows [][]string
	for i, a := range r.Remedies {
		if i == mostAdvisories {
			break
		}
		rows = append(rows, []string{
			string(a.Advisory), laneWord(a.Lane), dueWord(a.Due), answer(a.KEV), number(a.EPSS, 2), number(a.CVSS, 1),
			fmt.Sprint(a.Clears), stays(a), cveList(a.CVEs), patchList(a.By),
		})
	}
	if len(rows) > 0 {
		s.say("")
		s.table([]string{"ADVISORY", "LANE", "DUE", "KEV", "EPSS", "CVSS", "CLEARS", "STAYS", "CVE", "BY"}, rows)
	}
	if left := len(r.Remedies) + r.More - len(rows); left > 0 {
		s.say("… and %d less urgent ones; --json has %d.", left, len(r.Remedies))
	}
	s.printDecided(&r)
}

// printDecided says what people decided about the advisories, and what of that has to be
// looked at again.
func (s *session) printDecided(r *wire.Remediation) {
	var rows [][]string
	for _, a := range r.Remedies {
		for _, d := range a.Decided {
			if len(rows) < mostAdvisories {
				rows = append(rows, []string{string(a.Advisory), string(d.ID), d.Words})
			}
		}
	}
	if len(rows) > 0 {
		s.say("\nDecided by people, beside what the regimes say:")
		s.table([]string{"ADVISORY", "DECISION", "WORDS"}, rows)
	}
	s.printAgenda(r.Review)
}

// printAgenda says which decisions have to be looked at again.
func (s *session) printAgenda(all []wire.ToReview) {
	var rows [][]string
	for _, i := range all {
		if len(rows) < mostAdvisories {
			rows = append(rows, []string{string(i.ID), i.About, i.Owner, string(i.Why), i.At.UTC().Format(time.DateOnly)})
		}
	}
	if len(rows) > 0 {
		s.say("\nTo be looked at again:")
		s.table([]string{"DECISION", "ABOUT", "OWNER", "WHY", "DATE"}, rows)
	}
}

// callEmergency is the command that calls the emergency for the first advisory that
// cannot wait.
func callEmergency(p patching.PolicyName, all []wire.Remedy) string {
	i := slices.IndexFunc(all, func(a wire.Remedy) bool { return a.Late > 0 })
	if i < 0 {
		return fmt.Sprintf("patchcycle emergency start %s NAME --reason WHY", p)
	}
	name, reason := emergencyName(all[i].Advisory), string(all[i].Advisory)
	// A shell reads what people copy, and a feed could name an advisory "$(…)".
	if strings.Trim(reason, nameLetters) != "" {
		reason = name
	}
	return fmt.Sprintf("patchcycle emergency start %s %s --reason %q", p, cmp.Or(name, "NAME"), reason)
}

// nameLetters are those of advisories' names as publishers write them.
const nameLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:._/+~-"

// emergencyName makes a name for an emergency of an advisory's: lower-case letters, digits
// and dashes, at most 64. Empty: nothing is left of it.
func emergencyName(a patching.AdvisoryID) string {
	words := strings.FieldsFunc(strings.ToLower(string(a)), func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9')
	})
	name := strings.Join(words, "-")
	return strings.TrimRight(name[:min(len(name), 64)], "-")
}

// stays is on how many machines an advisory stays.
func stays(a wire.Remedy) string {
	n := 0
	for _, s := range a.Stays {
		n += s.Machines
	}
	return fmt.Sprint(n)
}

// cveList is at most two names, and how many more there are.
func cveList(cves []patching.CVE) string { return phrase.Few(cves, 2) }

func patchList(by []wire.RemedyPatch) string {
	names := make([]string, len(by))
	for i, p := range by {
		names[i] = strings.TrimSpace(p.Package + " " + p.Version)
	}
	return phrase.Few(names, 1)
}
