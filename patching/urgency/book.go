package urgency

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Book is what people have decided, ready to be looked up machine by machine as of a time,
// by one at a time.
type Book struct {
	all patching.Decisions
	// selects are the distinct selectors, at their places by their text.
	selects []*policy.Selector
	places  map[string]int
	// stands are the places of the work-arounds that are in place on a machine.
	stands map[patching.AssetID][]int
	// likes are what selectors say of a machine whose name none of them knows, by its
	// likeness. named are the places of those that know a name, asks of those that want to
	// know something else of it.
	likes map[string][]byte
	named map[string][]int
	asks  []int
}

// OpenBook reads the selectors of decisions. Those whose selector cannot be read are left
// out and named by the error; the book has the others all the same.
func OpenBook(all patching.Decisions, now time.Time) (*Book, error) {
	b := &Book{places: map[string]int{}, stands: map[patching.AssetID][]int{}, likes: map[string][]byte{}, named: map[string][]int{}}
	var bad []error
	takes := func(id patching.DecisionID, s patching.Subject) bool {
		if _, known := b.places[s.Selector]; known {
			return true
		}
		compiled, err := policy.Compile(s.Selector)
		if err != nil {
			bad = append(bad, fmt.Errorf("decision %s counts for nothing, for nobody can tell on which machines: %w: end it, and decide anew", id, err))
			return false
		}
		b.places[s.Selector] = len(b.selects)
		names, known := compiled.Names()
		if !known || slices.Contains(names, nobody) {
			b.asks = append(b.asks, len(b.selects))
			names = nil
		}
		for _, name := range names {
			b.named[name] = append(b.named[name], len(b.selects))
		}
		b.selects = append(b.selects, compiled)
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
		if !takes(w.ID, w.Subject) {
			continue
		}
		for _, a := range w.InPlace(now) {
			b.stands[a] = append(b.stands[a], len(b.all.WorkArounds))
		}
		b.all.WorkArounds = append(b.all.WorkArounds, w)
	}
	return b, errors.Join(bad...)
}

// Taken says which selectors take a machine, and which work-arounds are in place on it:
// of machines with the same, the same is decided. Empty: nothing is, of any machine.
type Taken string

// nobody is the name of no machine.
const nobody = "\x00"

// Takes evaluates each selector once for machines of the same likeness, and again only where
// the machine's name matters to it: most name a few, and fleets are large. It fails where one costs more than it may on the
// machine: then nobody knows what holds there.
func (b *Book) Takes(a *patching.Asset) (Taken, error) {
	if b == nil || len(b.selects) == 0 {
		return "", nil
	}
	like := policy.Likeness(a)
	bits, known := b.likes[like]
	if !known {
		bits = make([]byte, (len(b.selects)+7)/8)
		other := *a
		other.Hostname = nobody
		for i := range b.selects {
			if err := b.ask(bits, i, &other); err != nil {
				return "", err
			}
		}
		b.likes[like] = bits
	}
	bits = slices.Clone(bits)
	for _, places := range [][]int{b.named[a.Hostname], b.asks} {
		for _, i := range places {
			if err := b.ask(bits, i, a); err != nil {
				return "", err
			}
		}
	}
	on := b.stands[a.ID]
	if len(on) == 0 {
		return Taken(bits), nil
	}
	stand := make([]byte, len(b.all.WorkArounds)/8+1)
	for _, i := range on {
		stand[i/8] |= 1 << (i % 8)
	}
	return Taken(slices.Concat(bits, stand)), nil
}

// ask notes whether a selector takes a machine.
func (b *Book) ask(bits []byte, i int, a *patching.Asset) error {
	takes, err := b.selects[i].Match(a)
	if err != nil {
		return fmt.Errorf("decision %s: %w: end it, and decide anew", b.first(i), err)
	}
	bits[i/8] &^= 1 << (i % 8)
	if takes {
		bits[i/8] |= 1 << (i % 8)
	}
	return nil
}

// first is the first decision with a selector.
func (b *Book) first(place int) patching.DecisionID {
	for _, r := range b.all.Reviews {
		if b.places[r.Selector] == place {
			return r.ID
		}
	}
	for _, e := range b.all.Exceptions {
		if b.places[e.Selector] == place {
			return e.ID
		}
	}
	for _, w := range b.all.WorkArounds {
		if b.places[w.Selector] == place {
			return w.ID
		}
	}
	return ""
}

// Of returns the decisions whose selectors take machines.
func (b *Book) Of(t Taken) patching.Decisions {
	var on patching.Decisions
	if t == "" {
		return on
	}
	takes := func(s patching.Subject) bool { i := b.places[s.Selector]; return t[i/8]&(1<<(i%8)) != 0 }
	for _, r := range b.all.Reviews {
		if takes(r.Subject) {
			on.Reviews = append(on.Reviews, r)
		}
	}
	for _, e := range b.all.Exceptions {
		if takes(e.Subject) {
			on.Exceptions = append(on.Exceptions, e)
		}
	}
	for _, w := range b.all.WorkArounds {
		if takes(w.Subject) {
			on.WorkArounds = append(on.WorkArounds, w)
		}
	}
	return on
}

// On returns the decisions whose selector takes a machine. It fails as [Book.Takes] does.
func (b *Book) On(a *patching.Asset) (patching.Decisions, error) {
	t, err := b.Takes(a)
	if err != nil {
		return patching.Decisions{}, err
	}
	return b.Of(t), nil
}
