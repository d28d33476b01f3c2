package assess_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

func terms(id patching.DecisionID, days int) patching.Term {
	return patching.Term{ID: id, By: "sam", Role: patching.RoleSecurityLead, At: now.AddDate(0, -2, 0), Until: now.AddDate(0, 0, days), Reason: "certified"}
}

func excepted(id patching.DecisionID, days int, about patching.Subject) patching.Exception {
	return patching.Exception{Term: terms(id, days), Subject: about, Owner: "radiology"}
}

func accepted(about patching.Subject) patching.Decisions {
	return patching.Decisions{Reviews: []patching.Review{{Term: terms("r-1", 30), Subject: about, Answer: patching.AnswerAccept}}}
}

// Serves G2.
func TestWhatPeopleHoldStaysOnTheMachinesAndNothingElseDoes(t *testing.T) {
	set := patching.PackageSet{Manager: "apt", Packages: []patching.Package{
		{Name: "bash", Arch: "amd64", Version: "5.2"},
		{Name: "libssl3", Arch: "amd64", Version: "3.0", Source: "openssl"},
		{Name: "openssl", Arch: "amd64", Version: "3.0"},
	}}
	a := patching.Advisory{ID: "DSA-1", CVEs: []patching.CVE{"CVE-2026-0001", "CVE-2026-0002"}}
	wanting := patching.Advisory{ID: "DSA-2"}
	of := func(a *patching.Advisory, p int, fixed string) assess.Match {
		return assess.Match{Package: set.Packages[p], Advisory: a, Fixed: fixed, CVEs: a.CVEs}
	}
	both := []assess.Match{of(&a, 1, "3.1"), of(&a, 2, "3.1")}
	exceptions := func(all ...patching.Exception) patching.Decisions { return patching.Decisions{Exceptions: all} }
	for name, c := range map[string]struct {
		on      patching.Decisions
		matches []assess.Match
		want    []string
	}{
		"nothing was decided":            {patching.Decisions{}, both, nil},
		"a package":                      {exceptions(excepted("x", 30, patching.Subject{Package: "bash"})), both, []string{"bash"}},
		"a source package":               {exceptions(excepted("x", 30, patching.Subject{Package: "openssl"})), nil, []string{"libssl3", "openssl"}},
		"an advisory":                    {exceptions(excepted("x", 30, patching.Subject{Advisory: "DSA-1"})), both, []string{"libssl3", "openssl"}},
		"one flaw of two":                {exceptions(excepted("x", 30, patching.Subject{CVE: "CVE-2026-0001"})), both, nil},
		"one that expired":               {exceptions(excepted("x", -1, patching.Subject{Package: "bash"})), both, nil},
		"another advisory wants it":      {exceptions(excepted("x", 30, patching.Subject{Advisory: "DSA-1"})), append(both[:2:2], of(&wanting, 2, "3.1")), []string{"libssl3", "openssl"}},
		"there is no fix":                {exceptions(excepted("x", 30, patching.Subject{Advisory: "DSA-1"})), []assess.Match{of(&a, 2, "")}, nil},
		"a risk":                         {accepted(patching.Subject{Advisory: "DSA-1"}), both, []string{"libssl3", "openssl"}},
		"a risk, and another's wish":     {accepted(patching.Subject{Advisory: "DSA-1"}), append(both[:2:2], of(&wanting, 2, "3.1")), []string{"libssl3"}},
		"a risk, and one without a fix":  {accepted(patching.Subject{Advisory: "DSA-1"}), append(both[:2:2], of(&wanting, 2, "")), []string{"libssl3", "openssl"}},
		"what is not a risk":             {patching.Decisions{Reviews: []patching.Review{{Term: terms("r", 3), Subject: patching.Subject{Advisory: "DSA-1"}, Answer: patching.AnswerMonthly}}}, both, nil},
		"machines, which are left out":   {exceptions(excepted("x", 30, patching.Subject{Selector: `site == "bern"`})), nil, nil},
		"a package that is not yet here": {exceptions(excepted("x", 30, patching.Subject{Package: "nginx"})), nil, []string{"nginx"}},
	} {
		t.Run(name, func(t *testing.T) {
			held := assess.HeldOn("m", set, c.matches, c.on, now)
			var got []string
			for _, p := range []string{"bash", "libssl3", "openssl", "nginx"} {
				if _, is := held.Of(p); is {
					got = append(got, p)
				}
			}
			assert.Equal(t, c.want, got)
			assert.Equal(t, len(held) == 0, held.Digest() == "")
		})
	}
	_, exempt := assess.Exempts(exceptions(excepted("x", -1, patching.Subject{Selector: `site == "bern"`})), now)
	assert.False(t, exempt, "it is over")
	by, exempt := assess.Exempts(exceptions(excepted("x", 3, patching.Subject{Selector: `a`}), excepted("y", 9, patching.Subject{Selector: `b`})), now)
	assert.True(t, exempt)
	assert.EqualValues(t, "y", by.ID, "the one that holds longest")
}

// Serves G2.
func TestAHeldCandidateNamesWhoseExceptionItIs(t *testing.T) {
	held := assess.Held{"linux-image-6.1.0-18-amd64": {ID: "x-1", Owner: "radiology", By: "sam", Until: now.AddDate(0, 0, 30), Reason: "certified"}}
	got := assess.Findings(installed("bash", "5.2", "linux-image-amd64", "1"), offered(
		up("bash", "5.2", "5.3"), up("linux-image-6.1.0-19-amd64", "", "6.1.2"), up("linux-image-amd64", "1", "2"),
	), all, now).Hold(held)
	require.Len(t, got.Deploy(), 1, "a newer kernel, and what asks for it, stay away as well")
	for _, f := range got.Findings[1:] {
		assert.Equal(t, patching.VerdictHold, f.Verdict)
		assert.Equal(t, "radiology", f.Owner)
		assert.True(t, f.Until.After(now.Add(29*24*time.Hour)))
		assert.Contains(t, f.Why, "certified")
	}
	assert.Equal(t, "linux-image-6.1.0-19-amd64, linux-image-amd64: an exception of radiology until 2026-12-24 (x-1)", got.HeldBy())
}

// Serves G2.
func TestAFixIsInOnlyWhereAnAdvisorySaysWhatFixesIt(t *testing.T) {
	debian := patching.Platform{ID: "debian", Release: "12"}
	x := assess.NewIndex([]patching.Advisory{fixes("DSA-1", debian, "bash", "5.3"), fixes("DSA-3", debian, "curl", "")})
	at := func(name, v string) assess.Machine {
		return assess.Machine{Platform: debian, Packages: installed(name, v)}
	}
	for name, c := range map[string]struct {
		m     assess.Machine
		about patching.Subject
		want  patching.Fix
	}{
		"older":            {at("bash", "5.2"), patching.Subject{Advisory: "DSA-1"}, patching.FixMissing},
		"fixed":            {at("bash", "5.3"), patching.Subject{Advisory: "DSA-1"}, patching.FixIn},
		"no fix yet":       {at("curl", "7"), patching.Subject{Advisory: "DSA-3"}, patching.FixNone},
		"not installed":    {at("curl", "7"), patching.Subject{Advisory: "DSA-1"}, ""},
		"nobody knows it":  {at("bash", "5.3"), patching.Subject{Advisory: "DSA-404"}, ""},
		"a package alone":  {at("bash", "5.3"), patching.Subject{Package: "bash"}, ""},
		"another package":  {at("bash", "5.3"), patching.Subject{Advisory: "DSA-1", Package: "zsh"}, ""},
		"a package's flaw": {at("bash", "5.2"), patching.Subject{Package: "bash"}, patching.FixMissing},
	} {
		assert.Equal(t, c.want, x.FixOf(c.m, x.Match(c.m, now), c.about), name)
	}
}
