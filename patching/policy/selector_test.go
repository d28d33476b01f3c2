package policy_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

var web = patching.Asset{
	ID: "a1", Hostname: "web-1", Site: "amsterdam",
	OS:   patching.OS{Family: "debian", Release: "12", Arch: "amd64"},
	Tags: []string{"web", "canary"}, Criticality: patching.High, Exposure: patching.Internet,
	BusinessUnit: "shop", Owner: "ana", Services: []string{"checkout", "search"}, Manager: "apt",
}

func TestSelectorsAskTheFactsOfAMachine(t *testing.T) {
	bare := patching.Asset{ID: "a2", Hostname: "pc-7"}
	cases := []struct {
		text        string
		web, barely bool
	}{
		{"", true, true},
		{"  \n", true, true},
		{`hostname == "web-1"`, true, false},
		{`hostname.startsWith("web-") && hostname.endsWith("1")`, true, false},
		{`hostname.matches("^[a-z]+-[0-9]$")`, true, true},
		{`site in ["amsterdam", "tokyo"]`, true, false},
		{`site == "roaming"`, false, true},
		{`os.family == "debian" && os.release == "12" && os.arch == "amd64"`, true, false},
		{`os.family == ""`, false, true},
		{`"web" in tags`, true, false},
		{`!("web" in tags)`, false, true},
		{`tags.exists(t, t.contains("can"))`, true, false},
		{`tags.exists_one(t, t.startsWith("w"))`, true, false},
		{`tags.all(t, size(t) > 2)`, true, true},
		{`size(tags) == 0`, false, true},
		{`criticality in ["high", "critical"] ? exposure == "internet" : false`, true, false},
		{`criticality == "unknown" && exposure == "unknown"`, false, true},
		{`business_unit == "shop" && owner != "bob" && manager == "apt"`, true, false},
		{`services.exists(s, s == "search")`, true, false},
	}
	for _, c := range cases {
		s, err := policy.Compile(c.text)
		require.NoError(t, err, c.text)
		got, err := s.Match(&web)
		require.NoError(t, err, c.text)
		assert.Equal(t, c.web, got, c.text)
		got, err = s.Match(&bare)
		require.NoError(t, err, c.text)
		assert.Equal(t, c.barely, got, "a machine of which little is known: %s", c.text)
	}
}

// A closed list: what is not needed is not there.
func TestSelectorsKnowNeitherTimeNorArithmeticNorOrderOfWords(t *testing.T) {
	for _, text := range []string{
		`timestamp("2026-01-01T00:00:00Z") == timestamp("2026-01-01T00:00:00Z")`,
		`duration("1h") == duration("1h")`,
		`1 - 1 == 0`, `2 * 2 == 4`, `hostname + "x" == "web-1x"`, `1.5 < 2.5`,
		`criticality > "low"`, `hostname <= "m"`, `hostname == dyn("web-1")`, `type(hostname) == string`,
		`tags.map(t, t) == tags`, `tags.filter(t, true) == tags`, `has(os.family)`, `int(os.release) == 12`,
	} {
		_, err := policy.Compile(text)
		assert.Error(t, err, text)
	}
}

func TestASelectorErrorPointsIntoTheExpression(t *testing.T) {
	text := "site == \"é\" &&\n  hostnam == \"x\""
	_, err := policy.Compile(text)
	var wrong *policy.SelectorError
	require.ErrorAs(t, err, &wrong)
	assert.Equal(t, "hostnam", string([]rune(text)[wrong.Offset:wrong.Offset+wrong.Length]))
	assert.Equal(t, "write hostname", wrong.Way)
	assert.Contains(t, err.Error(), "at character 18")
}

// A machine can have as many tags as it likes to report.
func TestASelectorThatCostsTooMuchIsAnErrorAndNoAnswer(t *testing.T) {
	s, err := policy.Compile(`tags.exists(t, t.matches("^(a|b|c|d|e)+[0-9]+(a|b|c)*$"))`)
	require.NoError(t, err)
	many := web
	many.Tags = nil
	for i := range 1000 {
		many.Tags = append(many.Tags, fmt.Sprintf("tag-%d", i))
	}
	ok, err := s.Match(&many)
	require.NoError(t, err, "a thousand tags are within the limit")
	assert.False(t, ok)
	many.Tags = append(many.Tags, strings.Repeat("a", 1<<20))
	_, err = s.Match(&many)
	assert.ErrorContains(t, err, "web-1")
}

func TestOneSelectorServesManyAtOnce(t *testing.T) {
	s, err := policy.Compile(`hostname == "web-1" && tags.exists(t, t == "web")`)
	require.NoError(t, err)
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			asset := web
			if i%2 == 1 {
				asset.Hostname = "other"
			}
			for range 500 {
				got, err := s.Match(&asset)
				assert.NoError(t, err)
				assert.Equal(t, i%2 == 0, got)
			}
		})
	}
	wait.Wait()
}

func BenchmarkMatch(b *testing.B) {
	s, err := policy.Compile(`os.family == "debian" && "web" in tags && criticality != "critical"`)
	require.NoError(b, err)
	for b.Loop() {
		if ok, err := s.Match(&web); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
