package urgency_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Values from mild to grave.
var (
	exposures     = []patching.Exposure{patching.Isolated, patching.Internal, patching.Internet}
	criticalities = []patching.Criticality{patching.Low, patching.Medium, patching.High, patching.MissionCritical}
	exploitations = []string{"none", "public poc", "active"}
	noYes         = []string{"no", "yes"}
	impacts       = []string{"partial", "total"}
	severities    = []string{"low", "moderate", "important", "critical"}
	bases         = []float64{0, 3.9, 6.9, 7, 8.9, 9, 10}
)

func maybe[T any](t *rapid.T, name string, values []T) urgency.Fact[T] {
	if rapid.Bool().Draw(t, name+" is known") {
		return known(rapid.SampledFrom(values).Draw(t, name))
	}
	return urgency.Fact[T]{}
}

func aDay(t *rapid.T, name string) time.Time {
	return day("2026-01-28").Add(time.Duration(rapid.IntRange(0, 24*120).Draw(t, name)) * time.Hour)
}

func someFacts(t *rapid.T) urgency.Facts {
	f := urgency.Facts{
		Exposure: maybe(t, "exposure", exposures), Criticality: maybe(t, "criticality", criticalities),
		DataClass: maybe(t, "data", []string{"public", "personal", "secret"}),
		Severity:  maybe(t, "severity", append([]string{"spicy"}, severities...)),
		FirstSeen: aDay(t, "seen"),
		NoPatch:   rapid.Bool().Draw(t, "no patch"),
	}
	f.Exploitation = maybe(t, "exploitation", exploitations)
	f.Automatable = maybe(t, "automatable", noYes)
	f.TechnicalImpact = maybe(t, "impact", impacts)
	f.CVSSv3 = score(maybe(t, "cvss", bases))
	f.CVSS = f.CVSSv3
	f.KEV = maybe(t, "kev", []bool{false, true})
	if f.KEV.Value && rapid.Bool().Draw(t, "added is known") {
		f.KEVAdded = known(aDay(t, "added"))
	}
	if rapid.Bool().Draw(t, "published is known") {
		f.Published = known(aDay(t, "published"))
	}
	if !f.NoPatch && rapid.Bool().Draw(t, "patch is known") {
		f.Patch = known(aDay(t, "patch"))
	}
	return f
}

func score(f urgency.Fact[float64]) urgency.Fact[urgency.Score] {
	return urgency.Fact[urgency.Score]{Value: urgency.Score{Base: f.Value, Version: "3.1"}, Known: f.Known}
}

// later reports whether due a is after due b; no date is after all.
func later(a, b time.Time) bool {
	return !b.IsZero() && (a.IsZero() || a.After(b))
}

func rank(l urgency.Lane) int {
	return slices.Index([]urgency.Lane{urgency.Defer, urgency.Scheduled, urgency.OutOfCycle, urgency.Immediate}, l)
}

// aPair draws a fact twice, the second time at least as grave.
func aPair[T any](t *rapid.T, values []T) (a, b urgency.Fact[T]) {
	i := rapid.IntRange(0, len(values)-1).Draw(t, "mild")
	j := rapid.IntRange(i, len(values)-1).Draw(t, "grave")
	return known(values[i]), known(values[j])
}

// Serves G2, G20.
func TestMoreDangerNeverMeansMoreTime(t *testing.T) {
	all, err := urgency.Shipped()
	require.NoError(t, err)
	turns := map[string]func(t *rapid.T, a, b *urgency.Facts){
		"kev": func(t *rapid.T, a, b *urgency.Facts) {
			a.KEV, a.KEVAdded = known(false), urgency.Fact[time.Time]{}
			b.KEV, b.KEVAdded = known(true), known(aDay(t, "added"))
		},
		"exposure":     func(t *rapid.T, a, b *urgency.Facts) { a.Exposure, b.Exposure = aPair(t, exposures) },
		"criticality":  func(t *rapid.T, a, b *urgency.Facts) { a.Criticality, b.Criticality = aPair(t, criticalities) },
		"automatable":  func(t *rapid.T, a, b *urgency.Facts) { a.Automatable, b.Automatable = aPair(t, noYes) },
		"impact":       func(t *rapid.T, a, b *urgency.Facts) { a.TechnicalImpact, b.TechnicalImpact = aPair(t, impacts) },
		"exploitation": func(t *rapid.T, a, b *urgency.Facts) { a.Exploitation, b.Exploitation = aPair(t, exploitations) },
		"severity":     func(t *rapid.T, a, b *urgency.Facts) { a.Severity, b.Severity = aPair(t, severities) },
		"cvss": func(t *rapid.T, a, b *urgency.Facts) {
			mild, grave := aPair(t, bases)
			a.CVSS, b.CVSS = score(mild), score(grave)
			a.CVSSv3, b.CVSSv3 = a.CVSS, b.CVSS
		},
	}
	for name, turn := range turns {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a := someFacts(t)
				b := a
				turn(t, &a, &b)
				treat := rapid.SampledFrom([]urgency.Unknown{urgency.AsWorst, urgency.AsBest, urgency.Ask}).Draw(t, "treat")
				for _, table := range all {
					one := []urgency.Table{table}
					mild, grave := urgency.Judge(a, one, treat, today)[0], urgency.Judge(b, one, treat, today)[0]
					require.False(t, later(grave.Due, mild.Due), "%s: %v and then %v", table.ID, mild, grave)
					require.GreaterOrEqual(t, rank(grave.Lane), rank(mild.Lane), "%s: %v and then %v", table.ID, mild, grave)
				}
			})
		})
	}
}

// What the entry of an unknown listing would be dated is not known either: the
// property holds for entries that are not older than the patch, and where there is one.
//
// Serves G2, G20.
func TestWhatIsNotKnownNeverGivesMoreTimeThanAnythingThatItMayBe(t *testing.T) {
	all, err := urgency.Shipped()
	require.NoError(t, err)
	forget := map[string]func(*urgency.Facts){
		"kev": func(f *urgency.Facts) {
			f.KEV, f.KEVAdded = urgency.Fact[bool]{}, urgency.Fact[time.Time]{}
		},
		"exposure":     func(f *urgency.Facts) { f.Exposure = urgency.Fact[patching.Exposure]{} },
		"criticality":  func(f *urgency.Facts) { f.Criticality = urgency.Fact[patching.Criticality]{} },
		"automatable":  func(f *urgency.Facts) { f.Automatable = urgency.Fact[string]{} },
		"impact":       func(f *urgency.Facts) { f.TechnicalImpact = urgency.Fact[string]{} },
		"exploitation": func(f *urgency.Facts) { f.Exploitation = urgency.Fact[string]{} },
		"cvss": func(f *urgency.Facts) {
			f.CVSS, f.CVSSv3 = urgency.Fact[urgency.Score]{}, urgency.Fact[urgency.Score]{}
		},
		"severity": func(f *urgency.Facts) { f.Severity = known("spicy") },
		"kept open": func(f *urgency.Facts) {
			f.CVSS.Open, f.CVSSv3.Open, f.Exploitation.Open, f.Automatable.Open, f.TechnicalImpact.Open = true, true, true, true, true
		},
	}
	for name, forget := range forget {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				a := someFacts(t)
				if name == "kev" {
					a.NoPatch, a.Patch = false, known(day("2026-01-28"))
				}
				b := a
				forget(&b)
				for _, table := range all {
					one := []urgency.Table{table}
					with, without := urgency.Judge(a, one, urgency.AsWorst, today)[0], urgency.Judge(b, one, urgency.AsWorst, today)[0]
					require.False(t, later(without.Due, with.Due), "%s: %v, and not knowing %v", table.ID, with, without)
					require.GreaterOrEqual(t, rank(without.Lane), rank(with.Lane), "%s", table.ID)
				}
			})
		})
	}
}

// Serves G20: what was judged can be judged again.
func TestTheSameFactsGiveTheSameAnswer(t *testing.T) {
	all, err := urgency.Shipped()
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		f := someFacts(t)
		treat := rapid.SampledFrom([]urgency.Unknown{urgency.AsWorst, urgency.AsBest, urgency.Ask}).Draw(t, "treat")
		first := urgency.Judge(f, all, treat, today)
		again := slices.Clone(all)
		slices.Reverse(again)
		require.Equal(t, first, urgency.Judge(f, again, treat, today.AddDate(1, 0, 0)))
		require.Len(t, first, len(all))
		for _, d := range first {
			require.Equal(t, d.Due.IsZero(), d.Condition != "", "a date or what there is instead")
			require.False(t, !d.Due.IsZero() && d.Clock.At.IsZero(), "a date has a clock")
		}
	})
}

// Serves G20.
func TestTheOrderInWhichFeedsAreReadDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		feeds := []string{"", "kev", "nvd"}
		risks := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) patching.Risk {
			r := patching.Risk{CVE: flaw, Rejected: rapid.Bool().Draw(t, "rejected")}
			feed := rapid.SampledFrom(feeds).Draw(t, "feed")
			if rapid.Bool().Draw(t, "kev") {
				r.Exploited = &patching.Exploited{Feed: feed, Added: aDay(t, "added").Truncate(72 * time.Hour)}
			}
			if rapid.Bool().Draw(t, "epss") {
				r.EPSS = &patching.EPSS{Feed: feed, Score: rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "score"), Model: rapid.SampledFrom(feeds).Draw(t, "model")}
			}
			if rapid.Bool().Draw(t, "ssvc") {
				r.SSVC = &patching.SSVC{Feed: feed, Exploitation: rapid.SampledFrom(append([]string{"", "odd"}, exploitations...)).Draw(t, "word")}
			}
			r.CVSS = []patching.CVSS{{
				Feed: feed, By: rapid.SampledFrom(feeds).Draw(t, "by"),
				Version: rapid.SampledFrom([]string{"2.0", "3.1", "4.0", "5.0"}).Draw(t, "version"),
				Score:   rapid.SampledFrom(bases).Draw(t, "base"),
			}}
			return r
		}), 0, 5).Draw(t, "risks")
		shuffled := rapid.Permutation(risks).Draw(t, "shuffled")
		require.Equal(t, urgency.Merge(flaw, risks, today), urgency.Merge(flaw, shuffled, today))
	})
}
