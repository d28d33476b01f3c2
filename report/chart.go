package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// segment is one outcome's part of a stacked bar, in the units of its drawing.
type segment struct {
	X, Width float64
	Outcome  patching.Outcome
}

// thinnest is how wide a segment is at least, in units: one machine of 5,000
// must not vanish.
const thinnest = 5

// bar divides a width among outcomes by their counts. Those that would be too
// thin are drawn thinnest, at the cost of the others.
func bar(counts []OutcomeCount, width float64) []segment {
	total, thin, rest := 0, 0, 0
	for _, c := range counts {
		total += c.Count
	}
	tooThin := func(c OutcomeCount) bool { return float64(c.Count)*width < thinnest*float64(total) }
	for _, c := range counts {
		if tooThin(c) {
			thin++
		} else {
			rest += c.Count
		}
	}
	var out []segment
	x := 0.0
	for _, c := range counts {
		w := float64(thinnest)
		if !tooThin(c) {
			w = (width - float64(thin)*thinnest) * float64(c.Count) / float64(rest)
		}
		out = append(out, segment{X: x, Width: w, Outcome: c.Outcome})
		x += w
	}
	return out
}

// The drawing of the coverage curve, in its own units.
const (
	curveLeft, curveTop     = 52, 18
	curveWidth, curveHeight = 620, 210
	curvePoints             = 240 // at most: a fleet of 100,000 has as many times
)

// curve is the drawing of a coverage.
type curve struct {
	Line, Area string // paths
	XTicks     []tick
	YTicks     []tick
	Marks      []mark
	// Where the plot is, for the frame.
	Left, Top, Right, Bottom float64
}

type tick struct {
	At    float64
	Label string
	Goal  bool // one of the shares that count
}

// mark is where a share was reached; its label stands before or after the point.
type mark struct {
	X, Y, TextX, TextY float64
	Anchor             string
	Label              string
}

// draw draws the share of machines that were covered over time, in steps.
func (c Coverage) draw() curve {
	out := curve{Left: curveLeft, Top: curveTop, Right: curveLeft + curveWidth, Bottom: curveTop + curveHeight}
	x := func(after time.Duration) float64 { return curveLeft + curveWidth*float64(after)/float64(c.Span) }
	y := func(share float64) float64 { return curveTop + curveHeight*(1-share) }
	var line strings.Builder
	line.WriteString("M" + point(x(0), y(0)))
	for _, p := range thinned(c.Curve) {
		line.WriteString("H" + unit(x(p.After)) + "V" + unit(y(float64(p.Covered)/float64(max(1, c.Managed)))))
	}
	line.WriteString("H" + unit(out.Right))
	out.Line = line.String()
	out.Area = out.Line + "V" + unit(out.Bottom) + "H" + unit(out.Left) + "Z"
	step := stepOf(c.Span)
	for at := time.Duration(0); at <= c.Span; at += step {
		out.XTicks = append(out.XTicks, tick{At: x(at), Label: brief(at, step)})
	}
	for _, percent := range []int{0, 25, 50, 75, 90, 100} {
		out.YTicks = append(out.YTicks, tick{At: y(float64(percent) / 100), Label: fmt.Sprintf("%d %%", percent), Goal: percent >= 75})
	}
	for _, r := range c.Reached {
		if !r.Reached {
			continue
		}
		m := mark{X: x(r.After), Y: y(float64(r.Percent) / 100), Anchor: "end", Label: lasting(r.After)}
		m.TextX, m.TextY = m.X-8, m.Y-5
		if m.X < curveLeft+160 { // no room before the point: below the curve there is
			m.Anchor, m.TextX, m.TextY = "start", m.X+8, m.Y+14
		}
		out.Marks = append(out.Marks, m)
	}
	return out
}

// thinned keeps so many points that no step is missed by more than a line's width.
func thinned(all []CurvePoint) []CurvePoint {
	if len(all) <= curvePoints {
		return all
	}
	out := make([]CurvePoint, 0, curvePoints)
	for i := range curvePoints {
		out = append(out, all[i*(len(all)-1)/(curvePoints-1)])
	}
	return out
}

// stepOf returns the distance of ticks: a round time of which at most eight fit.
func stepOf(span time.Duration) time.Duration {
	day := 24 * time.Hour
	for _, step := range []time.Duration{
		time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 3 * day, 7 * day, 14 * day,
	} {
		if span/step <= 8 {
			return step
		}
	}
	return (span / 8).Round(30*day) + 30*day
}

// brief labels a tick in the unit that the distance of ticks has.
func brief(at, step time.Duration) string {
	day := 24 * time.Hour
	switch {
	case at == 0:
		return "0"
	case step%day == 0:
		return fmt.Sprintf("%d d", at/day)
	case step%time.Hour == 0:
		return fmt.Sprintf("%d h", at/time.Hour)
	case step%time.Minute == 0:
		return fmt.Sprintf("%d min", at/time.Minute)
	default:
		return fmt.Sprintf("%d s", at/time.Second)
	}
}

func point(x, y float64) string { return unit(x) + " " + unit(y) }

// unit prints a coordinate to a tenth: more is invisible.
func unit(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}
