package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Forecast says how a plan goes if nothing goes wrong.
type Forecast struct {
	Rings []RingForecast
	// End is when the last ring's soak is over; zero for a plan without machines.
	End time.Time
	// Fits is false when that is after the cycle closes.
	Fits bool
}

// RingForecast is when one ring is at work, at the earliest. The time that
// people take to approve is not in it.
type RingForecast struct {
	Ring     patching.RingName
	Machines int
	Waves    int
	Begin    time.Time // first window
	End      time.Time // last answers
	Soaked   time.Time // the next ring may begin
}

// Foresee computes a plan's forecast from its windows, batches and soaks. Rings
// that have begun are not foreseen any more.
func Foresee(p *policy.Policy, plan patching.Plan, items []patching.PlanItem, begun ...patching.RingName) Forecast {
	byRing := map[patching.RingName]map[patching.WaveID]*patching.WaveSummary{}
	for i := range items {
		item := &items[i]
		if item.Ring == "" || slices.Contains(begun, item.Ring) {
			continue
		}
		waves := byRing[item.Ring]
		if waves == nil {
			waves = map[patching.WaveID]*patching.WaveSummary{}
			byRing[item.Ring] = waves
		}
		w := waves[item.Wave]
		if w == nil {
			w = &patching.WaveSummary{ID: item.Wave, Site: item.Site, Start: item.Start, End: item.End}
			waves[item.Wave] = w
		}
		w.Assets++
	}
	var f Forecast
	begin := plan.Made
	for _, ring := range p.Rings {
		waves := byRing[ring.Name]
		if len(waves) == 0 {
			continue
		}
		r := RingForecast{Ring: ring.Name, Waves: len(waves)}
		var all []patching.WaveSummary
		for _, w := range waves {
			r.Machines += w.Assets
			all = append(all, *w)
		}
		first := slices.MinFunc(all, func(x, y patching.WaveSummary) int { return x.Start.Compare(y.Start) })
		r.Begin = later(begin, first.Start)
		r.End = ringEnd(all, ring, p.Silence, begin)
		r.Soaked = r.End.Add(Soak(ring, plan.Kind, p))
		begin = r.Soaked
		f.Rings = append(f.Rings, r)
		f.End = r.Soaked
	}
	f.Fits = !f.End.After(plan.CloseBy)
	return f
}

// Words says it to the people who approve the plan, in UTC.
func (f Forecast) Words() string {
	if len(f.Rings) == 0 {
		return "Nothing is left to be patched."
	}
	parts := make([]string, len(f.Rings))
	for i, r := range f.Rings {
		parts[i] = fmt.Sprintf("%s: %s in %s from %s", r.Ring, phrase.Count(r.Machines, "machine"), phrase.Count(r.Waves, "wave"), phrase.Moment(r.Begin))
	}
	words := fmt.Sprintf("%s. Done by %s at the earliest, and as much later as approval takes.", strings.Join(parts, "; "), phrase.Moment(f.End))
	if !f.Fits {
		words += " That is after the cycle closes: the remainder would be carried over."
	}
	return words
}
