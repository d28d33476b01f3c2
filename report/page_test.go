package report_test

import (
	stdjson "encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/report"
)

// Serves G10: count in equals count out, on every page.
func TestTheCountsOfAReportAddUp(t *testing.T) {
	for name := range stories {
		t.Run(name, func(t *testing.T) { addsUp(t, tell(t, name)) })
	}
}

func addsUp(t *testing.T, d *report.Document) {
	t.Helper()
	count := func(all []report.OutcomeCount) (n int) {
		for _, c := range all {
			n += c.Count
		}
		return n
	}
	require.Positive(t, d.Total)
	assert.Equal(t, d.Total, count(d.Outcomes))
	assert.Len(t, d.Machines, d.Total)
	groups, rings := map[report.Group]int{}, map[patching.RingName]int{}
	for _, m := range d.Machines {
		groups[m.Group]++
		if m.Ring != "" {
			rings[m.Ring]++
		}
		assert.NotEmpty(t, m.Words, m.Asset)
		if m.Group == report.GroupException || m.Group == report.GroupLeftOut {
			assert.NotEmpty(t, m.Why, m.Asset)
		}
		if m.Outcome == patching.Deferred || m.Outcome == patching.Excluded {
			require.NotNil(t, m.Hold, "%s %s", m.Asset, m.Words)
			assert.NotEmpty(t, m.Hold.By, m.Asset)
			assert.NotEmpty(t, m.Hold.Until, m.Asset)
		}
	}
	assert.Equal(t, d.Total, groups[report.GroupPatched]+groups[report.GroupUpToDate]+groups[report.GroupException]+
		groups[report.GroupLeftOut]+groups[report.GroupInProgress])
	assert.Len(t, d.Rings, len(rings))
	for _, r := range d.Rings {
		assert.Equal(t, rings[r.Name], r.Machines, r.Name)
		assert.Equal(t, r.Machines, count(r.Outcomes), r.Name)
	}
	for _, p := range d.Patches {
		assert.LessOrEqual(t, p.Verified+p.Failed, p.Machines, p.Package)
	}
	assert.Empty(t, d.Gaps)
	if !d.Cycle.Shadow {
		assert.Equal(t, len(d.Evidence.Decisions), d.Evidence.Again, "every decision can be run again")
	}
}

// Serves G10, L8.
func TestAPageOfFiveThousandMachinesIsSmallAndTheJSONHasThemAll(t *testing.T) {
	w := withExceptions(t)
	d, err := report.Build(t.Context(), many{w, 120}, w.cycle.ID, w.now)
	require.NoError(t, err)
	addsUp(t, d)
	page := string(html(t, d))
	assert.Less(t, len(page), 1<<20)
	assert.Contains(t, page, "add up to all 5,040 machines")
	assert.Regexp(t, `… and [\d,]+ more, in the JSON`, page)
	var read report.Document
	require.NoError(t, stdjson.Unmarshal(json(t, d), &read))
	assert.Len(t, read.Machines, 5040)
	assert.Equal(t, d.Outcomes, read.Outcomes)
}

// hostile is what machines and people may send to whoever reads the report.
var hostile = map[string]string{
	"a script":              `<script>alert(1)</script>`,
	"an attribute":          `" onmouseover="alert(1)" x='`,
	"an end of the style":   `</style><img src=x onerror=alert(1)>`,
	"a template":            `{{.Machines}}`,
	"text from the right":   "web\u202e0001-moc.elgoog",
	"a hidden part":         "web\u200b\u2066-01\u2069",
	"a terminal's commands": "\x1b]0;owned\x07\x1b[2Jweb\u009b31m",
	"invisible tags":        "web\U000e0041\U000e0042",
	"other line ends":       "web\r\u2028\u2029\u0085",
	"broken bytes":          "web\xff\xfe",
	"much":                  strings.Repeat("W", 4000),
}

var tag = regexp.MustCompile(`</?[a-zA-Z!][^>\s]*`)

func TestWhatMachinesAndPeopleSendIsShownAndDoesNothing(t *testing.T) {
	tame := tags(t, sent(t, "tame"))
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			d := sent(t, text)
			assert.Equal(t, tame, tags(t, d), "the page has other elements than with a tame text")
			page, text2 := string(html(t, d)), string(json(t, d))
			for _, r := range page + text2 {
				if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
					t.Fatalf("a character that acts without being seen: %U", r)
				}
			}
			var read report.Document
			require.NoError(t, stdjson.Unmarshal([]byte(text2), &read))
			if utf8.ValidString(text) {
				assert.Equal(t, d.Machines, read.Machines, "the JSON says exactly what was sent")
			}
			assert.Less(t, len(page), 1<<20)
		})
	}
	page := string(html(t, sent(t, hostile["text from the right"]+hostile["a terminal's commands"])))
	assert.Contains(t, page, "web⟨U+202E⟩0001-moc.elgoog")
	assert.Contains(t, page, "⟨U+001B⟩[2Jweb⟨U+009B⟩31m")
}

func tags(t *testing.T, d *report.Document) []string {
	t.Helper()
	return tag.FindAllString(string(html(t, d)), -1)
}

// sent is a report in which a text stands wherever a machine or a person can
// put one.
func sent(t *testing.T, text string) *report.Document {
	t.Helper()
	w := begun(t, 12, 3, 3, func(w *world) {
		w.fleet[11].leave(patching.ReasonHostRules, text)
		for _, m := range w.fleet {
			facts := m.asset
			facts.Hostname, facts.Model, facts.Serial, facts.OS.Name = fmt.Sprint(text, m.item.Position), text, text, text
			w.counter[m.item.Device] = 2
			w.take([]patching.Report{{Device: m.item.Device, Counter: 2, Digest: patching.DigestOf([]byte("facts" + m.item.Asset)), At: w.now, Facts: &facts}})
			facts.Owner, facts.BusinessUnit = text, text
			w.must(w.PutAsset(t.Context(), facts))
		}
	})
	w.tested(patched)
	w.makePlan(2)
	w.asked()
	w.vote("ben", patching.Approve, "signal", text, "")
	w.after(time.Second).vote(patching.AccountName("x"+text), patching.Reject, text, text, text)
	w.audit(text, text, string(w.cycle.ID), text)
	w.ringed("early", patched)
	w.ringed("broad", func(_ int, m *machine) *patching.Receipt {
		if m.role == "web" {
			return failed(patching.Reason(text), text, text)
		}
		return patched(0, m)
	})
	w.wrapUp()
	w.close(patching.ClosedWithExceptions, text)
	return w.build()
}

func TestThePageHasNoScriptAndNeedsNothingFromElsewhere(t *testing.T) {
	page := string(html(t, tell(t, "with-exceptions")))
	assert.Contains(t, page, `content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"`,
		"nothing but the style in the page itself may be used")
	for _, never := range []string{"<script", "javascript:", "http://", "https://", "@import", " src=", " style=", "<link", "<iframe", "ZgotmplZ"} {
		assert.NotContains(t, page, never)
	}
	assert.NotRegexp(t, `url\([^#]`, page)
	assert.NotRegexp(t, `href="[^#]`, page)
}

// Epochs, fencing numbers and Merkle roots stay off the screen, and the words
// of the code are not those of people.
func TestThePageSpeaksToPeople(t *testing.T) {
	for name := range stories {
		t.Run(name, func(t *testing.T) {
			page := strings.ToLower(string(html(t, tell(t, name))))
			_, body, found := strings.Cut(page, "<body>")
			require.True(t, found)
			text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(body, " ")
			never := regexp.MustCompile(`\b(epoch|fence|fencing|merkle|lease|findings|standing grant|needs-hands|stratum)\b`)
			assert.Empty(t, never.FindAllString(text, -1))
			assert.Contains(t, text, "mode “dispatcher”: approvals are counted, not signed")
		})
	}
}

// What a screen reader needs: a language, one first heading, captions, headers
// of rows and columns with their scope, and a name for every drawing.
func TestThePageCanBeReadWithoutSeeingIt(t *testing.T) {
	page := string(html(t, tell(t, "with-exceptions")))
	assert.Contains(t, page, `<html lang="en">`)
	assert.Equal(t, 1, strings.Count(page, "<h1"))
	assert.Equal(t, strings.Count(page, "<table"), strings.Count(page, "<caption"))
	for _, th := range regexp.MustCompile(`<th[ >][^>]*>`).FindAllString(page, -1) {
		assert.Contains(t, th, "scope=", th)
	}
	for _, svg := range regexp.MustCompile(`<svg[^>]*>`).FindAllString(page, -1) {
		named := strings.Contains(svg, `role="img"`) && strings.Contains(svg, "aria-label")
		assert.True(t, named || strings.Contains(svg, `aria-hidden="true"`), svg)
	}
	ids := map[string]bool{}
	for _, id := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		assert.False(t, ids[id[1]], "two elements are called %s", id[1])
		ids[id[1]] = true
	}
	for _, ref := range regexp.MustCompile(`(?:href="#|url\(#|labelledby=")([^")]*)`).FindAllStringSubmatch(page, -1) {
		for _, id := range strings.Fields(ref[1]) {
			assert.True(t, ids[id], "nothing is called %s", id)
		}
	}
}
