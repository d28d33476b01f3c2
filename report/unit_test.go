package report

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/measure"
)

func TestEveryReasonThatHoldsAMachineBackSaysUntilWhen(t *testing.T) {
	f := &facts{cycle: patching.Cycle{Policy: "web"}}
	for _, r := range patching.AllReasons() {
		o, leaves := r.LeavesAs()
		if !leaves || o == patching.AlreadyUpToDate || o.NeedsTask() { // which nobody holds back
			continue
		}
		assert.NotEmpty(t, untils[r], "%s has no end", r)
		d := patching.Deployment{Outcome: o, Reason: r, PlanItem: patching.PlanItem{Would: "sha256:x"}}
		h := f.holdOf(&d)
		require.NotNil(t, h, r)
		assert.NotEmpty(t, h.By, r)
		assert.NotEmpty(t, h.Until, r)
	}
	for r := range untils {
		o, leaves := r.LeavesAs()
		assert.True(t, leaves && o != patching.AlreadyUpToDate, "%s holds nothing back", r)
	}
	d := patching.Deployment{Outcome: patching.Deferred, Reason: patching.ReasonUnknown}
	assert.NotNil(t, f.holdOf(&d), "whatever the reason")
	d = patching.Deployment{Outcome: patching.Excluded, Reason: patching.ReasonExcepted, PlanItem: patching.PlanItem{
		Why: "an exception of the MRI's makers until 2027-06-30 (exception-1): not certified",
	}}
	assert.Equal(t, &Hold{By: "the MRI's makers", Until: "30 Jun 2027"}, f.holdOf(&d), "by name and date")
	d.Outcome = patching.Failed
	assert.Nil(t, f.holdOf(&d), "nobody decided it")
}

func TestWhoDecidedIsReadFromWhatTheCycleNoted(t *testing.T) {
	for detail, who := range map[string]string{
		"Taken out by ana: a reason: with colons": "ana", "stopped by omar: x": "omar", "rolled back by omar: x": "omar",
		"closed by omar: x": "omar", "ben rejected the plan: x": "ben", "nobody approved the plan in time": "",
		"the cycle reached its closing date": "", "": "",
	} {
		assert.Equal(t, who, personIn(detail), detail)
	}
}

// Serves Q9: the curve is drawn from what measure counts.
func TestTheCurvePassesTheSharesWhenMeasureSaysSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &facts{cycle: patching.Cycle{Opened: time.Unix(1_770_000_000, 0)}}
		for range rapid.IntRange(0, 60).Draw(t, "machines") {
			d := patching.Deployment{Outcome: rapid.SampledFrom(append(patching.Outcomes(), "")).Draw(t, "outcome")}
			if rapid.Bool().Draw(t, "verified") {
				d.Verified = f.cycle.Opened.Add(time.Duration(rapid.IntRange(-5, 300).Draw(t, "after")) * time.Minute)
			}
			f.deployments = append(f.deployments, d)
		}
		f.now = f.cycle.Opened.Add(2 * time.Hour)
		m := measure.Of(f.cycle.Opened, f.deployments)
		c := f.coverage(m)
		for i, p := range c.Curve {
			require.True(t, i == 0 || p.After > c.Curve[i-1].After && p.Covered > c.Curve[i-1].Covered, "it only grows")
			require.LessOrEqual(t, p.After, c.Span)
		}
		require.Equal(t, c.Covered, c.Curve[len(c.Curve)-1].Covered)
		for _, r := range m.Reached {
			need := int(math.Ceil(float64(r.Percent*m.Managed) / 100))
			require.Equal(t, r.Reached, need > 0 && c.Covered >= need)
			if r.Reached {
				require.Equal(t, r.After, when(c.Curve, need))
			}
		}
		drawn := c.draw()
		require.NotContains(t, drawn.Area+drawn.Line, "NaN")
		require.LessOrEqual(t, len(drawn.XTicks), 9)
		require.GreaterOrEqual(t, len(drawn.XTicks), 2)
	})
}

func when(curve []CurvePoint, need int) time.Duration {
	for _, p := range curve {
		if p.Covered >= need {
			return p.After
		}
	}
	return -1
}

func TestALongCurveIsThinnedButKeepsItsEnds(t *testing.T) {
	var all []CurvePoint
	for i := range 5000 {
		all = append(all, CurvePoint{time.Duration(i) * time.Second, i})
	}
	got := thinned(all)
	assert.Len(t, got, curvePoints)
	assert.Equal(t, all[0], got[0])
	assert.Equal(t, all[4999], got[curvePoints-1])
}

func TestABarFillsItsWidthAndHidesNoOutcome(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var counts []OutcomeCount
		for _, o := range patching.Outcomes() {
			if n := rapid.IntRange(0, 5000).Draw(t, string(o)); n > 0 {
				counts = append(counts, OutcomeCount{Outcome: o, Count: n})
			}
		}
		segments := bar(counts, 1000)
		require.Len(t, segments, len(counts))
		x := 0.0
		for _, s := range segments {
			require.InDelta(t, x, s.X, 1e-6)
			require.GreaterOrEqual(t, s.Width, 4.0)
			x += s.Width
		}
		if len(counts) > 0 {
			require.InDelta(t, 1000, x, 1e-6)
		}
	})
}

func TestNumbersAndTimesReadWell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "less than a second", -time.Hour: "less than a second", 400 * time.Millisecond: "less than a second", time.Second: "1 second",
		112 * time.Second: "1 minute 52 seconds", time.Hour: "1 hour", 59*time.Minute + 59*time.Second + 600*time.Millisecond: "1 hour",
		26 * time.Hour: "1 day 2 hours", 47*time.Hour + 40*time.Minute: "2 days", 90 * time.Minute: "1 hour 30 minutes", 12 * 24 * time.Hour: "12 days",
	} {
		assert.Equal(t, want, lasting(d), d)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		assert.Equal(t, want, number(n))
	}
	for _, c := range []struct {
		part, whole   int
		down, nearest string
	}{
		{0, 0, "0 %", "0 %"},
		{0, 5, "0 %", "0 %"},
		{5, 5, "100 %", "100 %"},
		{1, 5000, "< 1 %", "< 1 %"},
		{4999, 5000, "99 %", "> 99 %"},
		{33, 42, "78 %", "79 %"},
		{1, 200, "< 1 %", "1 %"},
		{199, 200, "99 %", "100 %"},
	} {
		assert.Equal(t, c.down, percent(c.part, c.whole), c)
		if c.part != 199 {
			assert.Equal(t, c.nearest, share(c.part, c.whole), c)
		}
	}
	assert.Equal(t, "a, b and c", list([]string{"a", "b", "c"}))
	assert.Equal(t, "a, b and 2 more", few([]string{"a", "b", "c", "d"}, 2))
	assert.Equal(t, "Über alles.", sentence(" über alles "))
	assert.Equal(t, "A. B!", sentences("a", "", "b!"))
	assert.Equal(t, "< 1 %", chanceWords(0.4))
	assert.Equal(t, "99 %", chanceWords(99.99))
}

func TestNoCharacterThatActsUnseenGetsThroughAndTheJSONStaysTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.String().Draw(t, "value") + rapid.SampledFrom([]string{"", "\u202e", "\u009b", "\U000e0041", "\u2028"}).Draw(t, "nasty")
		text, err := json.Marshal(value)
		require.NoError(t, err)
		safe := escaped(text)
		var back string
		require.NoError(t, json.Unmarshal(safe, &back))
		require.Equal(t, value, back)
		for _, r := range string(safe) + string(visible([]byte(value))) {
			require.False(t, acts(r), "%U", r)
		}
	})
	assert.Equal(t, "a⟨U+202E⟩b\n\tc⟨U+000D⟩\uFFFD", string(visible([]byte("a\u202eb\n\tc\r\xff"))))
}

func TestALongTextIsCutBetweenCharacters(t *testing.T) {
	long := ""
	for range longest + 1 {
		long += "é"
	}
	got := cut(long)
	assert.Equal(t, "… (cut; the JSON has all of it)", got[longest*len("é"):])
	assert.Equal(t, long[:longest*2], cut(long[:longest*2]))
}

func TestTheTimelineOfALongCycleShowsItsBeginningAndItsEnd(t *testing.T) {
	var all []Event
	for i := range 500 {
		all = append(all, Event{What: fmt.Sprint(i)})
	}
	r := eventRows(all)
	assert.Equal(t, 500, r.All())
	assert.Equal(t, "0", r.Shown[0].What)
	assert.Equal(t, "499", r.Shown[maxEvents-1].What)
}

func TestListsOfWhatMachinesWouldHaveGotAreBoundedAndSaidOnce(t *testing.T) {
	d := &Document{}
	for i := range 3 {
		b := BundleFacts{Digest: patching.Digest(fmt.Sprint("b", i))}
		for range 1000 {
			b.Changes = append(b.Changes, Change{Package: "p"})
		}
		d.Bundles = append(d.Bundles, b)
	}
	var machines []Machine
	for i := range 6 {
		machines = append(machines, Machine{Hostname: fmt.Sprint("h", i), Bundle: patching.Digest(fmt.Sprint("b", i%3))})
	}
	r := d.leftOut(machines)
	lines := 0
	for i, row := range r.Shown {
		lines += len(row.Changes)
		assert.Equal(t, 1000, row.Patches)
		if i < 3 {
			assert.Equal(t, 1000, len(row.Changes)+row.Left)
		} else {
			assert.Equal(t, fmt.Sprint("h", i%3), row.Same)
		}
	}
	assert.Equal(t, maxWould, lines)
}
