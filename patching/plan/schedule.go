package plan

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// scheduler puts machines that have a ring into waves.
type scheduler struct {
	cycle  patching.CycleID
	kind   patching.Kind
	policy *policy.Policy
}

// run gives the machines of each ring the first window of their place in which
// the ring can have begun, ring after ring from begin; then those that
// patchcycle itself runs on.
func (s scheduler) run(machines []*machine, begin time.Time) {
	rings := make([][]*machine, len(s.policy.Rings))
	var own []*machine
	for _, m := range machines {
		switch {
		case m.ring == noRing:
		case m.alone:
			own = append(own, m)
		default:
			rings[m.ring] = append(rings[m.ring], m)
		}
	}
	for i, ring := range s.policy.Rings {
		if waves := s.waves(rings[i], begin); len(waves) > 0 {
			begin = ringEnd(waves, ring, s.policy.Silence, begin).Add(Soak(ring, s.kind, s.policy))
		}
	}
	s.last(own, begin)
}

// waves puts machines of one ring into waves: those that share a site and an
// occurrence of a window. It takes out those for which none is left.
func (s scheduler) waves(of []*machine, begin time.Time) []patching.WaveSummary {
	byID := map[patching.WaveID][]*machine{}
	for _, m := range of {
		t, ok := m.first(begin)
		if !ok {
			m.leave(patching.ReasonNoWindow, "its ring cannot begin before "+phrase.Moment(begin))
			continue
		}
		s.place(m, t, t.window)
		byID[m.item.Wave] = append(byID[m.item.Wave], m)
	}
	waves := make([]patching.WaveSummary, 0, len(byID))
	for id, members := range byID {
		slices.SortFunc(members, (*machine).before)
		for i, m := range members {
			m.item.Position = i + 1
		}
		first := members[0].item
		waves = append(waves, patching.WaveSummary{ID: id, Site: first.Site, Start: first.Start, End: first.End, Assets: len(members)})
	}
	return waves
}

// first returns the first slot that the machine can use at or after a time.
func (m *machine) first(at time.Time) (slot, bool) {
	for _, s := range m.slots {
		if s.usable(at) {
			return s, true
		}
	}
	return slot{}, false
}

func (s scheduler) place(m *machine, t slot, window string) {
	m.item.Ring = s.policy.Rings[m.ring].Name
	m.item.WindowRule, m.item.Start, m.item.End = t.signed, t.Start.UTC(), t.End.UTC()
	m.item.Wave = patching.NewWaveID(s.cycle, m.item.Ring, m.item.Site, window, t.ID())
	m.item.Position = 1
}

// ownWave marks the waves of machines that patchcycle itself runs on; their turn
// follows.
const ownWave = ".patchcycle-"

// last puts each machine that patchcycle itself runs on into a wave of its own
// after all others: in a window that opens only then, and after the one before
// it has closed, for two at once could take the way back with them. Where no
// such window is left it shares the others' time, still in a wave of its own.
func (s scheduler) last(own []*machine, begin time.Time) {
	slices.SortFunc(own, func(x, y *machine) int { // those that had their turns keep them
		return cmp.Or(cmp.Compare(x.turn, y.turn), cmp.Compare(x.name, y.name), cmp.Compare(x.item.Asset, y.item.Asset))
	})
	after, turn := begin, 0
	for _, m := range own {
		t, ok := m.opening(after)
		if !ok {
			t, ok = m.first(begin)
		}
		if !ok {
			m.leave(patching.ReasonNoWindow, "machines that patchcycle runs on cannot begin before "+phrase.Moment(begin))
			continue
		}
		turn++
		s.place(m, t, fmt.Sprintf("%s%s%d", t.window, ownWave, turn))
		after = later(after, t.End)
	}
}

// opening returns the machine's first slot that opens at or after a time.
func (m *machine) opening(at time.Time) (slot, bool) {
	for _, s := range m.slots {
		if !s.Start.Before(at) {
			return s, true
		}
	}
	return slot{}, false
}

// Soak returns the ring's soak, or the emergency's where that is shorter.
func Soak(r policy.Ring, k patching.Kind, p *policy.Policy) time.Duration {
	if s := p.Emergency.Soak; k == patching.Emergency && s > 0 {
		return min(r.Soak, s)
	}
	return r.Soak
}

// ringEnd estimates when a ring's last answer is in. Each batch takes as long
// as a machine may keep silent at most; a wave ends with its window.
func ringEnd(waves []patching.WaveSummary, ring policy.Ring, silence time.Duration, begin time.Time) time.Time {
	end := begin
	for _, w := range waves {
		end = later(end, waveEnd(w, ring, silence, begin))
	}
	return end
}

func waveEnd(w patching.WaveSummary, ring policy.Ring, silence time.Duration, begin time.Time) time.Time {
	batches := 1
	if ring.Batch > 0 {
		batches = (w.Assets + ring.Batch - 1) / ring.Batch
	}
	end := later(begin, w.Start).Add(time.Duration(batches) * cmp.Or(silence, enough))
	if w.End.Before(end) {
		return w.End
	}
	return end
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
