package patching_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

var feedNow = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func day(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }

// Serves G4.
func TestAnEditionThatIsWorseThanTheOneBeforeIsRefusedWithItsReason(t *testing.T) {
	kept := patching.FeedEdition{Made: day(10), Revision: "2026.11.10", Signed: true, Records: map[string]int{"advisories": 100, "risks": 7}}
	with := func(change func(*patching.FeedEdition)) patching.FeedEdition {
		e := patching.FeedEdition{Made: day(11), Revision: "2026.11.11", Signed: true, Records: map[string]int{"advisories": 100, "risks": 7}}
		change(&e)
		return e
	}
	for name, c := range map[string]struct {
		next patching.FeedEdition
		says string
	}{
		"a newer one":                     {with(func(*patching.FeedEdition) {}), ""},
		"half as much is not less than":   {with(func(e *patching.FeedEdition) { e.Records["advisories"] = 50 }), ""},
		"the same one again":              {kept, ""},
		"it shrank by more than half":     {with(func(e *patching.FeedEdition) { e.Records["advisories"] = 49 }), "less than half of the advisories: 49, and the one before had 100"},
		"one kind of it is gone":          {with(func(e *patching.FeedEdition) { delete(e.Records, "risks") }), "less than half of the risks: 0, and the one before had 7"},
		"nothing is left":                 {with(func(e *patching.FeedEdition) { e.Records = nil }), "It says nothing"},
		"it went back in time":            {with(func(e *patching.FeedEdition) { e.Made = day(9) }), "It was made on 9 Nov 2026 00:00 UTC, before"},
		"it does not say when it is from": {with(func(e *patching.FeedEdition) { e.Made = time.Time{} }), "It does not say when"},
		"it is from the future":           {with(func(e *patching.FeedEdition) { e.Made = day(22) }), "which has not come"},
		"its revision went back":          {with(func(e *patching.FeedEdition) { e.Revision = "2026.9.30" }), "It is revision 2026.9.30"},
		"its revision is only a name":     {with(func(e *patching.FeedEdition) { e.Revision = "beta" }), ""},
		"its signature is gone":           {with(func(e *patching.FeedEdition) { e.Signed = false }), "has signed it"},
	} {
		got := c.next.Worse(kept, feedNow)
		if c.says == "" {
			assert.Empty(t, got, name)
		} else {
			assert.Contains(t, got, c.says, name)
		}
		if c.says != "" && name != "nothing is left" && name != "it is from the future" {
			assert.Empty(t, c.next.Worse(patching.FeedEdition{}, feedNow), "%s: as the first one", name)
		}
	}
}

// Serves G4.
func TestAnEditionIsComparedByFormatWhereThoseOfTheOneBeforeAreKnown(t *testing.T) {
	of := func(formats map[string]map[string]int) patching.FeedEdition {
		e := patching.FeedEdition{Records: map[string]int{}, Formats: formats}
		for _, kinds := range formats {
			for kind, n := range kinds {
				e.Records[kind] += n
			}
		}
		return e
	}
	kept := of(map[string]map[string]int{"kev": {"risks": 100}, "osv": {"advisories": 9}})
	for name, c := range map[string]struct {
		next map[string]map[string]int
		says string
	}{
		"as it was":                        {kept.Formats, ""},
		"half of one is not less than":     {map[string]map[string]int{"kev": {"risks": 50}, "osv": {"advisories": 9}}, ""},
		"one more":                         {map[string]map[string]int{"kev": {"risks": 100}, "osv": {"advisories": 9}, "epss": {"risks": 5}}, ""},
		"another has as much of that kind": {map[string]map[string]int{"epss": {"risks": 900}, "osv": {"advisories": 9}}, "nothing in the format kev, as the one before had: it has epss, osv"},
		"a small one is gone":              {map[string]map[string]int{"kev": {"risks": 100}}, "nothing in the format osv"},
		"one shrank, another grew":         {map[string]map[string]int{"kev": {"risks": 49}, "osv": {"advisories": 9}, "epss": {"risks": 900}}, "less than half of the risks in the format kev: 49, and the one before had 100"},
	} {
		got := of(c.next).Worse(kept, feedNow)
		if c.says == "" {
			assert.Empty(t, got, name)
		} else {
			assert.Contains(t, got, c.says, name)
		}
		assert.Empty(t, of(c.next).Worse(patching.FeedEdition{Records: map[string]int{"risks": 60, "advisories": 0}}, feedNow),
			"%s: an edition of before formats were counted is compared by kind", name)
	}
}

// A date that has not come would otherwise keep everything out that follows it.
func TestAnEditionFromTheFutureThatIsKeptDoesNotRefuseAllThatFollow(t *testing.T) {
	kept := patching.FeedEdition{Made: feedNow.AddDate(70, 0, 0), Records: map[string]int{"risks": 1}}
	next := patching.FeedEdition{Made: day(19), Records: map[string]int{"risks": 1}}
	require.Empty(t, next.Worse(kept, feedNow))
}

func TestTheStateOfAFeedIsThatOfItsNewestSync(t *testing.T) {
	source := patching.FeedSource{Name: "kev", StaleAfter: 48 * time.Hour}
	kept := patching.FeedEdition{Digest: "sha256:1", Got: day(9)}
	counted := patching.FeedSync{At: day(10), Result: patching.FeedUnchanged}
	refused := patching.FeedSync{At: day(11), Result: patching.FeedRefused, Why: "It shrank."}
	for name, c := range map[string]struct {
		syncs   []patching.FeedSync
		trouble string
		asked   time.Time
	}{
		"never asked":            {nil, "", time.Time{}},
		"it counts":              {[]patching.FeedSync{counted}, "", day(10)},
		"refused since":          {[]patching.FeedSync{refused, counted}, "It shrank.", day(10)},
		"well again after that":  {[]patching.FeedSync{refused, {At: day(12), Result: patching.FeedNew, Why: "It shrank.", Accepted: "it was split"}}, "", day(12)},
		"in whichever order":     {[]patching.FeedSync{counted, refused}, "It shrank.", day(10)},
		"refused from the start": {[]patching.FeedSync{refused}, "It shrank.", time.Time{}},
	} {
		state := source.State(kept, c.syncs)
		assert.Equal(t, c.trouble, state.Trouble, name)
		assert.Equal(t, c.asked, state.Asked, name)
	}
	assert.False(t, source.State(kept, []patching.FeedSync{counted}).Stale(day(11)))
	assert.True(t, source.State(kept, []patching.FeedSync{refused, counted}).Stale(day(13)))
	assert.True(t, source.State(patching.FeedEdition{}, nil).Stale(day(9)), "it was never there")
}

func TestAFeedIsDueAfterItsTimeAndSoonerAfterAFailure(t *testing.T) {
	source := patching.FeedSource{Name: "kev", URL: "https://feeds.example/kev.json", Every: 10 * time.Hour}
	well, failed := patching.FeedSync{At: day(10), Result: patching.FeedNew}, patching.FeedSync{At: day(10), Result: patching.FeedFailed}
	moments := map[time.Time]bool{}
	for _, seed := range []string{"a", "b", "c", "d"} {
		due := source.Due(well, seed)
		assert.WithinRange(t, due, day(10).Add(9*time.Hour), day(10).Add(10*time.Hour))
		assert.WithinRange(t, source.Due(failed, seed), day(10).Add(13*time.Minute), day(10).Add(patching.FeedRetry))
		assert.Equal(t, due, source.Due(well, seed), "it does not move while one waits")
		moments[due] = true
	}
	assert.Greater(t, len(moments), 1, "servers ask at different moments")
	assert.True(t, source.Due(patching.FeedSync{}, "a").Before(feedNow), "one that was never asked for is due")
	source.URL = ""
	assert.Zero(t, source.Due(well, "a"), "it comes by import alone")
}
