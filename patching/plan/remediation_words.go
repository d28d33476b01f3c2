package plan

import (
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Words says it in a few sentences to those who approve the plan.
func (r Remediation) Words() string {
	if r.Cleared+r.Staying == 0 {
		return strings.Join(append([]string{"No feed names an advisory for what these machines have installed."}, r.fewWarnings()...), " ")
	}
	words := []string{fmt.Sprintf("%s about %s", phrase.Count(r.Cleared+r.Staying, "advisory", "advisories"), phrase.Count(r.CVEs, "flaw"))}
	if r.Exploited > 0 {
		words[0] += fmt.Sprintf(", %d known to be exploited", r.Exploited)
	}
	words[0] += fmt.Sprintf(": the plan clears %d everywhere", r.Cleared)
	if r.Staying > 0 {
		words[0] += fmt.Sprintf(", and %s on some machines", phrase.Count(r.Staying, "stays", "stay"))
	}
	words[0] += "."
	if len(r.Remedies) > 0 && r.Remedies[0].Binds() != nil {
		words = append(words, "Most urgent: "+r.Remedies[0].headline()+".")
	}
	if review := r.reviewWords(); review != "" {
		words = append(words, review)
	}
	return strings.Join(append(words, r.fewWarnings()...), " ")
}

// fewWarnings are the first of them, and how many others there are.
func (r Remediation) fewWarnings() []string {
	const most = 4
	all := r.Warnings()
	if len(all) <= most {
		return all
	}
	return append(all[:most:most], fmt.Sprintf("%s more in the plan.", phrase.Count(len(all)-most, "note")))
}

// headline names an advisory with its lane and due date.
func (r *Remedy) headline() string {
	words := string(r.Advisory)
	if d := r.Binds(); d != nil {
		words += ", " + d.Lane.Word()
		if !d.Due.IsZero() {
			words += ", due " + phrase.Moment(d.Due)
		}
		if whose := r.whose(d); whose != "" {
			words += " (" + whose + ")"
		}
	}
	return words
}

// Proposes says why an emergency is proposed: advisories that are due before the plan can
// clear them, or at once. Empty: none is.
func (r Remediation) Proposes() string {
	var first *Remedy
	machines, doubtful := 0, 0
	for i := range r.Remedies {
		if row := &r.Remedies[i]; row.Late > 0 {
			if first == nil {
				first = row
			}
			machines = max(machines, row.Late)
			if row.Deadline != nil && len(row.Deadline.Possible) > 0 {
				doubtful++
			}
		}
	}
	if first == nil {
		return ""
	}
	words := fmt.Sprintf("An emergency is proposed: %s wait, on up to %s. The first is %s.",
		phrase.Count(r.Late, "advisory cannot", "advisories cannot"), phrase.Count(machines, "machine"), first.headline())
	if doubtful > 0 {
		words += fmt.Sprintf(" Of %d of them that depends on what is not known.", doubtful)
	}
	return words
}

// Warnings are what those have to know who rely on it: stale feeds, what is not known.
func (r Remediation) Warnings() (words []string) {
	for _, f := range r.Feeds {
		switch {
		case f.Records == 0 && f.Trouble != "":
			words = append(words, fmt.Sprintf("The feed %s says nothing yet: %s.", f.Name, strings.TrimSuffix(f.Trouble, ".")))
		case f.Records == 0:
			words = append(words, fmt.Sprintf("The feed %s was never there.", f.Name))
		case f.Stale:
			words = append(words, fmt.Sprintf("The feed %s is stale: %s old.", f.Name, phrase.About(f.Age)))
		}
	}
	if len(r.Feeds) == 0 {
		words = append(words, "The server has no feeds: what is urgent is not known.")
	}
	for _, id := range r.Missing {
		words = append(words, fmt.Sprintf("The policy names the decision table %s, which the server does not have.", id))
	}
	words = append(words, r.decisions()...)
	for _, b := range r.Blind {
		words = append(words, fmt.Sprintf("Not known of %s: %s.", phrase.Count(b.Machines, "machine"), b.Words()))
	}
	if r.Unexposed > 0 {
		words = append(words, fmt.Sprintf("From where %s can be reached is not known: they count as the %s.", phrase.Count(r.Unexposed, "machine"), r.unknownWord()))
	}
	return words
}

func (r Remediation) unknownWord() string {
	if r.Unknown == urgency.AsBest {
		return "best"
	}
	return "worst"
}
