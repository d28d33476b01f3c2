package plan

import (
	"fmt"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
)

// assignRings gives each machine the first ring that takes it and has room.
// Machines that patchcycle itself runs on come last: nobody is left to patch
// the rest if the patch is bad.
func (b *builder) assignRings() error {
	var ordinary, own []*machine
	for _, m := range b.machines {
		switch {
		case m.out():
		case m.alone:
			own = append(own, m)
		default:
			ordinary = append(ordinary, m)
		}
	}
	if len(ordinary) == 0 { // nothing else to test on
		ordinary, own = own, nil
	}
	slices.SortFunc(ordinary, (*machine).before)
	total := len(ordinary) + len(own)
	left := ordinary
	for i, ring := range b.Policy.Rings {
		pool, err := b.takenBy(i, left)
		if err != nil {
			return err
		}
		for _, m := range pick(pool, ring.Room(total)) {
			m.ring = i
		}
		left = slices.DeleteFunc(left, func(m *machine) bool { return m.ring != noRing })
	}
	for i := len(b.Policy.Rings) - 1; i >= 0; i-- {
		pool, err := b.takenBy(i, own)
		if err != nil {
			return err
		}
		for _, m := range pool {
			m.ring = i
		}
		own = slices.DeleteFunc(own, func(m *machine) bool { return m.ring != noRing })
	}
	return b.checkRings()
}

func (b *builder) takenBy(ring int, from []*machine) ([]*machine, error) {
	var pool []*machine
	for _, m := range from {
		ok, err := b.sel.rings[ring].Match(m.asset)
		if err != nil {
			return nil, err
		}
		if ok {
			pool = append(pool, m)
		}
	}
	return pool, nil
}

// checkRings refuses a plan that would patch machines without having tested on
// any, and names those that no ring takes.
func (b *builder) checkRings() error {
	first, planned := 0, 0
	for _, m := range b.machines {
		switch {
		case m.out():
			continue
		case m.ring == noRing:
			m.leave(patching.ReasonNoRing, "")
			continue
		case m.ring == 0:
			first++
		}
		planned++
	}
	if planned > 0 && first == 0 {
		return fmt.Errorf("ring %s would be empty while %d machines are to be patched: let it select machines that mirror the others",
			b.Policy.Rings[0].Name, planned)
	}
	return nil
}
