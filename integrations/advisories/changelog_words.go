package advisories

import (
	"regexp"
	"slices"
	"strings"
)

// sayings are what an entry of a changelog says, by the names of flaws. Entries are
// written by hand. What cannot be told from a mere mention is taken for one: nothing is
// said then, which is better than something wrong.
type sayings struct {
	fixed []string
	// completed are those among them whose earlier fix was not all.
	completed []string
	// takenBack are those whose earlier fix is gone from here on.
	takenBack []string
}

// changeItem is a point of an entry's list.
type changeItem struct {
	indent int
	text   string
}

var changePoint = regexp.MustCompile(`^([ \t]*)[*+-][ \t]+(.*)$`)

// addChange adds a line of an entry: a new point, or more of the last. A maintainer's name
// in brackets begins a list of its own.
func addChange(items []changeItem, line string) []changeItem {
	if found := changePoint.FindStringSubmatch(line); found != nil {
		return append(items, changeItem{len(found[1]), found[2]})
	}
	text := strings.TrimSpace(line)
	if name := strings.HasPrefix(text, "[ ") && strings.HasSuffix(text, " ]"); name || len(items) == 0 {
		return append(items, changeItem{0, text})
	}
	last := &items[len(items)-1]
	if strings.HasSuffix(last.text, "-") { // a name that was broken
		last.text += text
	} else {
		last.text += " " + text
	}
	return items
}

var (
	cveInText   = regexp.MustCompile(`(?i)CVE-[0-9]{4}-[0-9]{4,19}`)
	sentenceEnd = regexp.MustCompile(`[.;!][)"']?\s+`)
)

func sayingsOf(items []changeItem) sayings {
	var s sayings
	type point struct {
		indent int
		verdict
	}
	var above []point
	for _, item := range items {
		for len(above) > 0 && above[len(above)-1].indent >= item.indent {
			above = above[:len(above)-1]
		}
		given := fixes
		if len(above) > 0 {
			given = above[len(above)-1].verdict
		}
		last := s.add(item.text, given)
		if !strings.HasSuffix(item.text, ":") {
			last = given
		}
		above = append(above, point{item.indent, last})
	}
	for _, list := range []*[]string{&s.fixed, &s.completed, &s.takenBack} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return s
}

// add notes what a point says, if what it stands below is given that verdict, and returns
// that of its last sentence, which those below it inherit.
func (s *sayings) add(text string, given verdict) (last verdict) {
	for _, sentence := range sentenceEnd.Split(text, -1) {
		last = given
		if given == fixes || given == completes {
			last = judgeSentence(sentence)
		}
		names := cveInText.FindAllString(sentence, -1)
		for i := range names {
			names[i] = strings.ToUpper(names[i])
		}
		switch last {
		case mentions:
		case takesBack:
			s.takenBack = append(s.takenBack, names...)
		case completes:
			s.completed = append(s.completed, names...)
			fallthrough
		case fixes:
			s.fixed = append(s.fixed, names...)
		}
	}
	return last
}

// verdict is what a sentence says of the flaws that it names.
type verdict int

const (
	fixes verdict = iota
	completes
	mentions
	takesBack
)

var (
	// "CVE-2024-1 does not affect us", "not yet fixed".
	saysNot = regexp.MustCompile(`(?i)(?:\bnot|n't|\bnever)\s+(?:(?:yet|been|be|currently|directly)\s+)*(?:affect|vulnerable|fix|applicable|address|exploitable|impacted)|\bun(?:affected|fixed)\b|\bstill\s+(?:is\s+)?(?:vulnerable|affected|open)|\bno fix\b|\bfalse positive`)
	// What happened before: "already fixed", "in the previous upload", and names that are
	// added to older entries.
	saysEarlier = regexp.MustCompile(`(?i)\b(?:already|previously)\s+(?:been\s+)?(?:fixed|applied|addressed|included)|\bprevious\s+(?:upload|update|version|release)|\b(?:previous|[0-9]) changelog|\bchangelog entr`)
	// Harm that an earlier fix did. A point "fix regression in foo (CVE-2024-1)" is a fix.
	regressionTest = regexp.MustCompile(`(?i)regression[- ]test\w*`)
	saysHarm       = regexp.MustCompile(`(?i)regress\w*[^(]*CVE-|CVE-[^(]*\bregress|\b(?:caused|introduced|broken)\s+(?:by|in|with)\s+(?:the\s+)?(?:\w+\s+)?(?:(?:fix\w*|patch\w*|update|changes?)\s+(?:for|of|in|against)\s+)?CVE-`)
	saysComplete   = regexp.MustCompile(`(?i)\b(?:incomplete|insufficient|additional|remaining|alternative|better|improved|new|correct|proper|second|complete[sd]?(?:\s+the)?)\s+(?:\w+\s+)?(?:fix|patch|backport)|\b(?:fix|patch|backport)\w*\s+(?:was|were|is)\s+(?:incomplete|insufficient|not complete)|\bfollow-?up\b|\bagain\b`)

	// "Revert the fix for …", "Drop patches that upstream has". The object counts, as far
	// as the first bracket: upstream's "Revert "fix foo" (CVE-2024-1)" is a fix.
	takesAway  = regexp.MustCompile(`(?i)^\W*(?:(?:temporarily|partially|partly)\s+)?(revert\w*|back(?:ed)?\s?out|undo|unapply|disable[sd]?|drop\w*|remove[sd]?|delete[sd]?|refresh\w*|rebase[sd]?|rename[sd]?|reorder\w*)\s+([^(]*)`)
	quotedText = regexp.MustCompile(`"[^"]*"|“[^”]*”`)
	purpose    = regexp.MustCompile(`(?i)(?:\b(?:to|which|that|and|thereby)|[,:–-])\s*(?:fix|fixes|patch)\b`)
	aFix       = regexp.MustCompile(`(?i)\b(?:fix|fixes|patch|patches|backports?|mitigations?)\b|^\W*(?:the\s+)?(?:\S*/)?CVE-`)
	onlyMoved  = regexp.MustCompile(`(?i)^(?:drop|remove|delete|refresh|rebase|rename|reorder)`)
)

func judgeSentence(sentence string) verdict {
	if found := takesAway.FindStringSubmatch(sentence); found != nil {
		object := quotedText.ReplaceAllStringFunc(found[2], func(q string) string {
			if cveInText.MatchString(q) {
				return q[1:]
			}
			return ""
		})
		if aFix.MatchString(purpose.ReplaceAllString(object, "")) {
			if onlyMoved.MatchString(found[1]) {
				return mentions
			}
			return takesBack
		}
	}
	plain := regressionTest.ReplaceAllString(sentence, "")
	switch {
	case saysNot.MatchString(plain), saysEarlier.MatchString(plain), saysHarm.MatchString(plain):
		return mentions
	case saysComplete.MatchString(plain):
		return completes
	}
	return fixes
}
