package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching/window"
)

// run is the time of one monthly cycle.
type run struct{ start, closes time.Time }

// checkOpenings tries out the policy's first cycles: does each start, and does
// each site have a window in it? (Q7: found before it starts.)
func (s *source) checkOpenings(p *Policy) {
	runs := s.runs(p)
	if len(runs) == 0 {
		s.warn("review_by", "no monthly cycle starts between valid_from and review_by", "set the review later, if emergencies are not all that the policy is for")
		return
	}
	opens := map[string][]bool{}
	ever := map[string]bool{}
	for i, site := range p.Sites {
		loc, err := window.Zone(site.Zone)
		if err != nil {
			continue // was told
		}
		served := make([]bool, len(runs))
		for _, name := range site.Windows {
			w, _ := p.Window(name)
			key := site.Zone + "\x00" + w.Rule
			if _, known := opens[key]; !known {
				opens[key] = openIn(w, loc, runs, p.Freezes)
			}
			for n, open := range opens[key] {
				served[n] = served[n] || open
				ever[name] = ever[name] || open
			}
		}
		s.unserved(p, i, runs, served)
	}
	for i, w := range p.Windows {
		if open, used := ever[w.Name]; used && !open {
			s.warn(fmt.Sprintf("windows[%d].rule", i), "this window never opens while a cycle runs, at any of its sites", "move it, shorten a freeze, or lengthen close_after")
		}
	}
}

// runs returns the cycles that start while the policy is in force, from its
// first day on.
func (s *source) runs(p *Policy) []run {
	monthly, err := p.Calendar.Monthly()
	if err != nil {
		return nil
	}
	until := p.ReviewBy.AddDate(0, 0, 1)
	var runs []run
	at := p.ValidFrom.Add(-1)
	for range horizon {
		start, err := monthly.Next(at)
		if err != nil || !start.Before(until) {
			break
		}
		if shown, err := monthly.Exists(start.Year(), start.Month()); err == nil && !shown {
			s.fail("calendar.at", fmt.Sprintf("on %s the clocks jump over %s, and the cycle of that month would not start", start.Format(time.DateOnly), p.Calendar.At), "take another hour")
			return nil
		}
		runs = append(runs, run{start, start.Add(p.CloseAfter)})
		at = start
	}
	return runs
}

func openIn(w Window, loc *time.Location, runs []run, freezes []Freeze) []bool {
	rule, err := window.Parse(w.Rule)
	if err != nil {
		return make([]bool, len(runs))
	}
	open := make([]bool, len(runs))
	spans := Spans(freezes)
	for i, r := range runs {
		// Nearly all windows open in the first week; only the others cost a look
		// at the whole cycle.
		week := r.start.AddDate(0, 0, 8)
		open[i] = week.Before(r.closes) && len(window.Plan(rule, loc, r.start, week, spans)) > 0 ||
			len(window.Plan(rule, loc, r.start, r.closes, spans)) > 0
	}
	return open
}

// Spans returns the times of freezes as package window takes them.
func Spans(freezes []Freeze) []window.Freeze {
	spans := make([]window.Freeze, len(freezes))
	for i, f := range freezes {
		spans[i] = window.Freeze{From: f.From, Until: f.Until}
	}
	return spans
}

func (s *source) unserved(p *Policy, site int, runs []run, served []bool) {
	var without []string
	for n, ok := range served {
		if !ok {
			without = append(without, runs[n].start.Format(time.DateOnly))
		}
	}
	path := fmt.Sprintf("sites[%d].windows", site)
	way := fmt.Sprintf("cycles run for %s: move a window, shorten a freeze, or lengthen close_after", window.FormatDuration(p.CloseAfter))
	switch {
	case len(without) == len(runs):
		s.fail(path, fmt.Sprintf("none of its windows opens in any cycle from %s on", without[0]), way)
	case len(without) > 0:
		s.warn(path, "none of its windows opens in the cycle of "+strings.Join(without, ", "), way)
	}
}
