package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/window"
)

// Reschedule gives the machines of rings that have not begun the occurrences
// of their windows that are next from in.Now on: testing and approval took
// their time, and a plan must not point into the past. Rings, window rules and
// bundles stay, so nothing has to be approved again. A machine for which no
// occurrence is left before the cycle closes leaves the plan. If that is all of
// the test ring and others are left, it fails: what is not tested is not patched.
//
// Of in it uses Cycle, Kind, Author, Roles, Now, CloseBy and Policy.
func Reschedule(in Input, items []patching.PlanItem, begun ...patching.RingName) ([]patching.PlanItem, error) {
	c, err := newCalendar(in)
	if err != nil {
		return nil, fmt.Errorf("plan %s again: %w", in.Cycle, err)
	}
	places := map[string][]slot{}
	machines := make([]*machine, 0, len(items))
	var waiting []*machine
	for _, item := range items {
		m := &machine{item: item, ring: noRing, hash: uint64(item.Position)}
		machines = append(machines, m)
		if item.Ring == "" {
			continue
		}
		m.ring = ringIndex(in, item.Ring)
		if m.ring == noRing {
			return nil, fmt.Errorf("plan %s again: the policy has no ring %q", in.Cycle, item.Ring)
		}
		if slices.Contains(begun, item.Ring) {
			continue
		}
		name, turn, err := windowOf(item.Wave)
		if err != nil {
			return nil, fmt.Errorf("plan %s again: %w", in.Cycle, err)
		}
		key := name + "\n" + item.WindowRule
		slots, known := places[key]
		if !known {
			rule, loc, err := window.ParseSigned(item.WindowRule)
			if err != nil {
				return nil, fmt.Errorf("plan %s again: asset %s: %w", in.Cycle, item.Asset, err)
			}
			slots = c.slots(name, rule, loc, c.freezes)
			places[key] = slots
		}
		m.slots, m.alone, m.turn = slots, turn > 0, turn
		waiting = append(waiting, m)
	}
	scheduler{in.Cycle, in.Kind, in.Policy}.run(waiting, in.Now)
	if n := untested(machines); n > 0 {
		return nil, fmt.Errorf("plan %s again: the test ring has no window left before the cycle closes, and %d machines would be patched untested", in.Cycle, n)
	}
	return itemsOf(machines), nil
}

func ringIndex(in Input, name patching.RingName) int {
	for i := range in.Policy.Rings {
		if in.Policy.Rings[i].Name == name {
			return i
		}
	}
	return noRing
}

// windowOf returns the window's name from a wave's id, and the turn of a machine
// that patchcycle itself runs on; 0: it does not.
func windowOf(id patching.WaveID) (name string, turn int, err error) {
	parts := strings.Split(string(id), "/")
	if len(parts) < 3 {
		return "", 0, fmt.Errorf("%q is not the id of a wave", id)
	}
	name, number, own := strings.Cut(parts[len(parts)-2], ownWave)
	if !own {
		return name, 0, nil
	}
	if turn, err = strconv.Atoi(number); err != nil || turn < 1 {
		return "", 0, fmt.Errorf("%q is not the id of a wave: it names no turn", id)
	}
	return name, turn, nil
}
