package assess

import (
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Doubt says of what somebody decides about that no feed knows it, which may be a typing
// mistake; empty: one knows it, or it names no advisory and no CVE. Advisories are known by
// their names to the letter, as decisions take them.
func (k Knowledge) Doubt(about patching.Subject) string {
	var doubts []string
	if id := about.Advisory; id != "" {
		if words, known := k.doubtOf(string(id)); !known {
			doubts = append(doubts, words)
		}
	}
	if c := about.CVE; c != "" && len(k.Advisories.Naming(string(c)))+len(k.Risks[c]) == 0 {
		doubts = append(doubts, k.unknown(string(c)))
	}
	return strings.Join(doubts, " ")
}

func (k Knowledge) doubtOf(id string) (words string, known bool) {
	words = k.unknown(id)
	for _, a := range k.Advisories.Naming(id) {
		switch {
		case string(a.ID) == id:
			return "", true
		case strings.EqualFold(string(a.ID), id):
			words = fmt.Sprintf("No feed knows %s: its publisher writes %s. Nothing is decided for that one.", id, a.ID)
		}
	}
	return words, false
}

func (k Knowledge) unknown(name string) string {
	if len(k.Advisories.advisories) == 0 {
		return fmt.Sprintf("The server knows no advisories yet: whether %s is written as its publisher writes it cannot be told.", name)
	}
	return fmt.Sprintf("No feed knows %s: is it written as its publisher writes it? It counts for nothing until one does.", name)
}
