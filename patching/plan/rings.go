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
	for i := range b.Policy.Rings {
		members, err := b.membersOf(i, left, total)
		if err != nil {
			return err
		}
		for _, m := range members {
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

// membersOf returns those of the machines left that make up a ring.
func (b *builder) membersOf(ring int, left []*machine, total int) ([]*machine, error) {
	room := b.Policy.Rings[ring].Room(total)
	pool, err := b.takenBy(ring, left)
	if err == nil && ring == 0 && len(pool) == 0 {
		return b.standInsFrom(left, room)
	}
	return pick(pool, room), err
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
// any, which is a mistake in the policy, and names those that no ring takes.
func (b *builder) checkRings() error {
	for _, m := range b.machines {
		if !m.out() && m.ring == noRing {
			m.leave(patching.ReasonNoRing, "")
		}
	}
	if n := untested(b.machines); n > 0 {
		return fmt.Errorf("ring %s would be empty while %d machines are to be patched: let it select machines that mirror the others",
			b.Policy.Rings[0].Name, n)
	}
	return nil
}

// untested counts the machines that have a ring if none of them has the first.
func untested(machines []*machine) (n int) {
	for _, m := range machines {
		switch m.ring {
		case 0:
			return 0
		case noRing:
		default:
			n++
		}
	}
	return n
}
