package urgency

import (
	"errors"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Book is what people have decided, ready to be looked up machine by machine.
type Book struct {
	all     patching.Decisions
	selects map[string]*policy.Selector
}

// OpenBook reads the selectors of decisions. Those whose selector cannot be read are left
// out and named by the error; the book has the others all the same.
func OpenBook(all patching.Decisions) (*Book, error) {
	b := &Book{selects: map[string]*policy.Selector{}}
	var bad []error
	takes := func(id patching.DecisionID, s patching.Subject) bool {
		if _, known := b.selects[s.Selector]; known {
			return true
		}
		compiled, err := policy.Compile(s.Selector)
		if err != nil {
			bad = append(bad, fmt.Errorf("decision %s counts for nothing, for nobody can tell on which machines: %w: end it, and decide anew", id, err))
			return false
		}
		b.selects[s.Selector] = compiled
		return true
	}
	for _, r := range all.Reviews {
		if takes(r.ID, r.Subject) {
			b.all.Reviews = append(b.all.Reviews, r)
		}
	}
	for _, e := range all.Exceptions {
		if takes(e.ID, e.Subject) {
			b.all.Exceptions = append(b.all.Exceptions, e)
		}
	}
	for _, w := range all.WorkArounds {
		if takes(w.ID, w.Subject) {
			b.all.WorkArounds = append(b.all.WorkArounds, w)
		}
	}
	return b, errors.Join(bad...)
}

// On returns the decisions whose selector takes a machine. It fails where a selector
// costs more than it may on it.
func (b *Book) On(a *patching.Asset) (patching.Decisions, error) {
	var on patching.Decisions
	verdicts := map[string]bool{}
	for text, s := range b.selects {
		takes, err := s.Match(a)
		if err != nil {
			return on, err
		}
		verdicts[text] = takes
	}
	for _, r := range b.all.Reviews {
		if verdicts[r.Selector] {
			on.Reviews = append(on.Reviews, r)
		}
	}
	for _, e := range b.all.Exceptions {
		if verdicts[e.Selector] {
			on.Exceptions = append(on.Exceptions, e)
		}
	}
	for _, w := range b.all.WorkArounds {
		if verdicts[w.Selector] {
			on.WorkArounds = append(on.WorkArounds, w)
		}
	}
	return on, nil
}
