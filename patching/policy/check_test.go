package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

func fleet(n int, tags ...string) []patching.Asset {
	all := make([]patching.Asset, n)
	for i := range all {
		all[i] = patching.Asset{ID: patching.AssetID(fmt.Sprintf("a%03d", i)), Hostname: fmt.Sprintf("h%03d", i), Site: "amsterdam", Tags: tags}
	}
	return all
}

// Serves Q7.
func TestAPolicyIsTriedOnTheMachinesThatAreKnown(t *testing.T) {
	strays := fleet(30)
	strays[3].Site, strays[4].Site, strays[5].Site = "oslo", "oslo", ""
	lab := append(fleet(28), patching.Asset{ID: "l1", Site: "amsterdam", Tags: []string{"lab"}}, patching.Asset{ID: "l2", Site: "amsterdam", Tags: []string{"lab", "old"}})
	exclude := "exclude: [{select: '\"lab\" in tags', reason: x, owner: y, until: 2026-12-31}]\n"
	cases := []struct {
		name   string
		text   string
		assets []patching.Asset
		want   []string // severity path: part of what; part of the way
	}{
		{"all is well", base, fleet(30), nil},
		{
			"a ring whose tag nobody has", strings.Replace(base, "name: broad", "name: broad\n    select: '\"wbe\" in tags'", 1), fleet(30, "web"),
			[]string{`error rings[1].select: the ring "broad" takes no machine: none of 30 machines is selected; the tags there are: web`, "warning rings: no ring takes 25 machines, such as h005; last ring"},
		},
		{
			"a test ring whose tag nobody has", strings.Replace(base, "count: 5", "select: '\"canary\" in tags'", 1), fleet(30),
			[]string{`error rings[0].select: the ring "test" takes no machine; no machine has a tag`},
		},
		{
			"a ring in the shadow of another", strings.Replace(base, "    count: 5\n", "    select: 'site == \"amsterdam\"'\n", 1), fleet(30),
			[]string{`error rings[1]: rings before it take all 30 that it selects; a count`},
		},
		{
			"a fleet that the test ring takes whole", base, fleet(4),
			[]string{`warning rings[1]: no machine is left for the ring "broad"; lower the count`},
		},
		{
			"a policy for nobody", strings.Replace(base, "sites:", "select: os.family == \"windows\"\nsites:", 1), fleet(30),
			[]string{"error select: takes none of 30 machines; widen"},
		},
		{"no machine at all", base, nil, []string{"error select: no machine is known yet; enrol"}},
		{
			"everything excluded", strings.Replace(base, "rings:", strings.Replace(exclude, "'\"lab\" in tags'", "'true'", 1)+"rings:", 1), fleet(3),
			[]string{"error exclude: all of 3 machines are left out; narrow"},
		},
		{"some excluded", strings.Replace(base, "rings:", exclude+"rings:", 1), lab, nil},
		{
			"an exclusion of nobody", strings.Replace(base, "rings:", exclude+"rings:", 1), fleet(30),
			[]string{"warning exclude[0].select: leaves no machine out; remove"},
		},
		{
			"machines at sites that are not named", base, strays,
			[]string{`warning sites: does not name their site: oslo (2 machines), roaming (1 machine); add the site`},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := parse(t, c.text)
			got := policy.Check(p, c.assets)
			require.Len(t, got, len(c.want), "%v", got)
			for _, want := range c.want {
				head, way, _ := strings.Cut(want, "; ")
				place, what, _ := strings.Cut(head, ": ")
				severity, path, _ := strings.Cut(place, " ")
				found := false
				for _, p := range got {
					ok := string(p.Severity) == severity && strings.HasPrefix(p.Path, path) && strings.Contains(p.What, what) && strings.Contains(p.Way, way)
					found = found || ok
				}
				assert.True(t, found, "want %s among %v", want, got)
			}
			for _, p := range got {
				assert.Positive(t, p.Line, "every problem has a place in the file")
			}
			assert.Equal(t, got, policy.Check(p, c.assets), "checking changes nothing")
		})
	}
}

func TestAPolicyMadeByHandCanBeTriedToo(t *testing.T) {
	p := &policy.Policy{Name: "hand", Rings: []policy.Ring{{Name: "test", Select: "tags =="}}, Sites: []policy.Site{{Name: "amsterdam"}}}
	got := policy.Check(p, fleet(1))
	require.NotEmpty(t, got)
	assert.Contains(t, got[0].String(), "hand: error: rings[0].select: selector")
	assert.Empty(t, p.Warnings())
}

// Serves G3, G11.
func TestWhatHasRunOutIsTold(t *testing.T) {
	p := parse(t, strings.Replace(base, "rings:", `exclude: [{select: 'true', reason: x, owner: ana, until: 2026-06-01}]
patches:
  hold: [{package: nginx, reason: x, owner: bob, until: 2026-07-01}]
rings:`, 1))
	ams, err := time.LoadLocation("Europe/Amsterdam")
	require.NoError(t, err)
	at := func(s string) time.Time {
		when, err := time.ParseInLocation("2006-01-02 15:04:05", s, ams)
		require.NoError(t, err)
		return when
	}
	for when, want := range map[string][]string{
		"2025-12-31 23:59:59": {"valid_from"},
		"2026-01-01 00:00:00": nil,
		"2026-05-31 23:59:59": nil,
		"2026-06-01 00:00:00": {"exclude[0].until"},
		"2026-07-01 00:00:00": {"exclude[0].until", "patches.hold[0].until"},
		"2026-12-31 23:59:59": {"exclude[0].until", "patches.hold[0].until"},
		"2027-01-01 00:00:00": {"review_by", "exclude[0].until", "patches.hold[0].until"},
	} {
		var got []string
		for _, p := range policy.CheckDates(p, at(when)) {
			assert.Equal(t, policy.Warning, p.Severity)
			got = append(got, p.Path)
		}
		assert.ElementsMatch(t, want, got, when)
		early := when < "2026"
		assert.Equal(t, early, p.NotYet(at(when), false) != "", when)
		assert.Empty(t, p.NotYet(at(when), true), "a shadow cycle installs nothing")
	}
	assert.Equal(t, "Policy web is valid from 1 January 2026 on: no cycle starts before.", p.NotYet(at("2025-12-31 23:59:59"), false))
	overdue := policy.CheckDates(p, at("2027-01-10 12:00:00"))[0]
	assert.Equal(t, "the review is overdue by 10 days", overdue.What)
	assert.Contains(t, policy.CheckDates(p, at("2026-07-02 00:00:00"))[1].Way, "bob", "whose it is stands in the way out")
}
