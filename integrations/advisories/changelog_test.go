package advisories

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

const changelogFixture = "testdata/changelog/openssl_bookworm-security.changelog.gz"

// entry is one of a made changelog.
func entry(version, suite, date string, lines ...string) string {
	return fmt.Sprintf("tool (%s) %s; urgency=medium\n\n%s\n\n -- A Maintainer <maintainer@example.org>  %s\n\n", version, suite, strings.Join(lines, "\n"), date)
}

const someDay = "Mon, 02 Nov 2026 10:00:00 +0100"

func readChanges(t *testing.T, entries ...string) []patching.Advisory {
	t.Helper()
	f, err := readAs(t, []byte(strings.Join(entries, "")), DefaultLimits())
	require.NoError(t, err)
	return f.Advisories
}

// fixedIn lists a made changelog's flaws by the version that fixes them.
func fixedIn(t *testing.T, entries ...string) map[string][]patching.CVE {
	t.Helper()
	fixed := map[string][]patching.CVE{}
	for _, a := range readChanges(t, entries...) {
		require.Len(t, a.Affected[0].Ranges, 1)
		require.Empty(t, a.Affected[0].Ranges[0].From)
		fixed[a.Affected[0].Ranges[0].Fixed] = a.CVEs
	}
	return fixed
}

// Serves G2, G4.
func TestAnEntryThatFixesFlawsSaysWhichVersionsHaveThem(t *testing.T) {
	f, err := readAs(t, plainText(t, changelogFixture), DefaultLimits())
	require.NoError(t, err)
	a := advisory(t, f, "openssl_3.0.17-1~deb12u3")
	require.Equal(t, patching.Advisory{
		ID: "openssl_3.0.17-1~deb12u3", Feed: "changelog", Kind: "security", Title: "openssl 3.0.17-1~deb12u3",
		CVEs: []patching.CVE{"CVE-2025-9230", "CVE-2025-9232"}, Published: time.Date(2025, 9, 26, 18, 59, 22, 0, time.UTC),
		Affected: []patching.Affected{{
			Platform: patching.Platform{ID: "debian", Release: "12"}, Package: "openssl", Source: true,
			Ranges: []patching.VersionRange{{Fixed: "3.0.17-1~deb12u3"}},
		}},
	}, a)
	// The upload to unstable before the release is part of what the release's package is.
	before := advisory(t, f, "openssl_3.0.9-1")
	require.Equal(t, "12", before.Affected[0].Release)
	// That version named CVE-2022-4304 again, whose first fix was not all.
	require.Contains(t, before.CVEs, patching.CVE("CVE-2022-4304"))
	require.Contains(t, advisory(t, f, "openssl_3.0.8-1").CVEs, patching.CVE("CVE-2022-4304"))
	require.Equal(t, "3.0.22-1~deb12u2", f.Revision)
	for _, a := range f.Advisories {
		require.NotEqual(t, patching.AdvisoryID("openssl_3.0.13-1~deb12u2"), a.ID, "it fixes no flaw that has a name")
	}
}

func TestWhatAnEntryMerelyMentionsItDoesNotFix(t *testing.T) {
	for _, c := range []struct {
		says  string
		fixes bool
	}{
		{"* Fix a buffer overflow (CVE-2026-0001) (Closes: #1054821)", true},
		{"* CVE-2026-0001 (\"Possible NULL Dereference\")", true},
		{"* d/patches/CVE-2026-0001.patch: New.", true},
		{"* fix cve-2026-0001", true},
		{"* Import 3.0.16\n    - CVE-2026-0001 (timing side-channel)", true},
		{"* Fix regression in foo that leaks memory (CVE-2026-0001)", true},
		{"* Fix CVE-2026-0001 and add a regression test", true},
		{"* Revert \"fix the size of frames\" (CVE-2026-0001)", true},
		{"* Remove the vulnerable importer (CVE-2026-0001)", true},
		{"* Drop support for old archives to fix CVE-2026-0001", true},
		{"* Disable cleartext passwords, fixes CVE-2026-0001", true},
		{"* CVE-2026-0001: certificates were not verified", true},
		{"* CVE-2026-0001 does not affect this version.", false},
		{"* Fix a typo. This version is not affected by CVE-2026-0001.", false},
		{"* The flaw CVE-2026-0001 isn't fixed yet", false},
		{"* CVE-2026-0001 is still open", false},
		{"* CVE-2026-0001 is not\n    yet fixed", false},
		{"* Not affected:\n    - CVE-2026-0001", false},
		{"* Revert the fix of CVE-2026-0001", false},
		{"* Revert \"Fix CVE-2026-0001\"", false},
		{"* Disable CVE-2026-0001.patch: it breaks the build", false},
		{"* Drop patches, applied upstream:\n    - CVE-2026-0001.patch\n      and more", false},
		{"* Drop CVE-2026-0001.patch", false},
		{"* Refresh patches for CVE-2026-0001", false},
		{"* Fix regression caused by the fix for CVE-2026-0001 (Closes: #1)", false},
		{"* Fix CVE-2026-0001 regression in the parser", false},
		{"* Fix a crash introduced by the patch for CVE-2026-0001", false},
		{"* CVE-2026-0001 was already fixed in the release before", false},
		{"* Add CVE-2026-0001 to the previous changelog entry", false},
		{"* Fix CVE-2026-123", false},
		{"* Closes: #1054821", false},
	} {
		fixed := fixedIn(t, entry("1.0-1+deb12u1", "bookworm-security", someDay, "  "+c.says))
		require.Equal(t, c.fixes, len(fixed) == 1, c.says)
		if c.fixes {
			require.Equal(t, []patching.CVE{"CVE-2026-0001"}, fixed["1.0-1+deb12u1"], c.says)
		}
	}
}

func TestAPointBelowOneThatTakesBackIsNotMeantForThoseBesideIt(t *testing.T) {
	fixed := fixedIn(t, entry("1.0-2", "unstable", someDay,
		"  [ One Maintainer ]",
		"  * Drop patches that upstream has:",
		"    - CVE-2026-0001.patch",
		"    - CVE-2026-0002.patch",
		"  * CVE-2026-0003, CVE-2026-0004: fixed by upstream. CVE-2026-0005 is not fixed.",
		"  [ Another ]",
		"  * CVE-2026-0006"))
	require.Equal(t, []patching.CVE{"CVE-2026-0003", "CVE-2026-0004", "CVE-2026-0006"}, fixed["1.0-2"])
}

func TestAFlawCountsWhereItIsFixedFirstAndWhereThatFixWasNotAll(t *testing.T) {
	fixed := fixedIn(t,
		entry("2.0-1", "unstable", someDay, "  * New upstream release, fixes CVE-2026-0001, CVE-2026-0002"),
		entry("1.0-3", "unstable", someDay, "  * Complete the fix for CVE-2026-0001"),
		entry("1.0-2", "unstable", someDay, "  * Fix CVE-2026-0001"))
	require.Equal(t, map[string][]patching.CVE{
		"1.0-2": {"CVE-2026-0001"}, "1.0-3": {"CVE-2026-0001"}, "2.0-1": {"CVE-2026-0002"},
	}, fixed)
}

func TestAFixThatWasTakenBackCountsWhereItComesAgainAndElseNowhere(t *testing.T) {
	first := entry("1.0-2", "unstable", someDay, "  * Fix CVE-2026-0001", "  * Fix CVE-2026-0002")
	back := entry("1.0-3", "unstable", someDay, "  * Revert the fix for CVE-2026-0001: it broke mail")
	require.Equal(t, map[string][]patching.CVE{"1.0-2": {"CVE-2026-0002"}}, fixedIn(t, back, first))
	again := entry("1.0-4", "unstable", someDay, "  * Fix CVE-2026-0001")
	require.Equal(t, map[string][]patching.CVE{"1.0-2": {"CVE-2026-0002"}, "1.0-4": {"CVE-2026-0001"}}, fixedIn(t, again, back, first))
}

func TestAChangelogCountsForTheReleaseOfItsNewestEntry(t *testing.T) {
	fix := func(version, suite string) string { return entry(version, suite, someDay, "  * CVE-2026-0001") }
	plain := func(version, suite string) string { return entry(version, suite, someDay, "  * Rebuild the manual") }
	for name, c := range map[string]struct {
		entries  []string
		releases []string
	}{
		"a security suite":                         {[]string{fix("1.0-1+deb12u1", "bookworm-security")}, []string{"12"}},
		"a release and its updates":                {[]string{fix("1.0-1+deb13u1", "trixie trixie-updates")}, []string{"13"}},
		"the version says it":                      {[]string{fix("1.0-1+deb11u1", "stable")}, []string{"11"}},
		"unstable is whichever release carries it": {[]string{fix("1.0-1", "unstable")}, []string{""}},
		"unstable, before a release's own":         {[]string{plain("1.0-1+deb12u1", "bookworm"), fix("1.0-1", "unstable")}, []string{"12"}},
		"another release's, before that":           {[]string{plain("1.0-1+deb12u1", "bookworm"), fix("0.9-1+deb11u1", "bullseye-security")}, []string{"12", "11"}},
		"an older one's, below unstable":           {[]string{plain("1.0-1", "unstable"), fix("0.9-1+deb11u1", "bullseye-security")}, []string{""}},
		"a backport is of no release":              {[]string{plain("2.0-1~bpo12+1", "bookworm-backports"), fix("2.0-1", "unstable")}, nil},
	} {
		var releases []string
		for _, a := range readChanges(t, c.entries...) {
			for _, on := range a.Affected {
				releases = append(releases, on.Release)
			}
		}
		require.Equal(t, c.releases, releases, name)
	}
	_, err := readAs(t, []byte(fix("1.0-1ubuntu2", "jammy-security")), DefaultLimits())
	require.ErrorContains(t, err, `tool 1.0-1ubuntu2, is for "jammy-security": want a suite of Debian's`)
}

func TestWhatAReleaseTookOverUnderALowerVersionHasTheFix(t *testing.T) {
	fixed := fixedIn(t,
		entry("2.0-1.3~deb12u2", "bookworm-security", someDay, "  * Fix CVE-2026-0003"),
		entry("2.0-1.3~deb12u1", "bookworm", someDay, "  * Rebuild for bookworm"),
		entry("2.0-1.3", "unstable", someDay, "  * Fix CVE-2026-0002"),
		entry("2.0-1.2", "unstable", someDay, "  * Fix CVE-2026-0001"))
	require.Equal(t, map[string][]patching.CVE{
		"2.0-1.3~deb12u2": {"CVE-2026-0003"}, "2.0-1.3~deb12u1": {"CVE-2026-0002"}, "2.0-1.2": {"CVE-2026-0001"},
	}, fixed)
}

func TestAChangelogCountsForTheReleaseThatCarriesItWhateverItSays(t *testing.T) {
	for suite, others := range map[string][]string{
		"unstable": nil, "bookworm-security": nil, "bookworm-backports": nil, "bullseye-security": {"11"}, "trixie": {"13"},
	} {
		all, err := ReadChangelog("tool", []byte(entry("1.0-1", suite, someDay, "  * CVE-2026-0001")), "12")
		require.NoError(t, err)
		require.Len(t, all, 1, suite)
		var releases []string
		for _, on := range all[0].Affected {
			releases = append(releases, on.Release)
		}
		require.Equal(t, append([]string{"12"}, others...), releases, suite)
	}
	_, err := ReadChangelog("tool", []byte("Version 1.0\n"), "12")
	require.ErrorIs(t, err, ErrUnknown)
	_, err = ReadChangelog("tool", []byte("tool (1.0-1) unstable; urgency=low\n"), "12")
	require.ErrorContains(t, err, "tool: the entry of tool 1.0-1 has no end")
}

func TestARebuildSaysNothingOfItsSource(t *testing.T) {
	require.Empty(t, fixedIn(t, entry("1.0-1+b2", "sid", someDay, "  * Rebuild for CVE-2026-0001"), entry("1.0-1", "unstable", someDay, "  * New")))
	rebuilt := strings.Replace(entry("1.0-1.0.1", "sid", someDay, "  * Rebuild for CVE-2026-0001"), "urgency=medium", "urgency=low, binary-only=yes", 1)
	require.Empty(t, fixedIn(t, rebuilt))
}

func TestADateThatCannotBeIsNotKnown(t *testing.T) {
	for date, known := range map[string]bool{
		someDay:                             true,
		"Mon,  2 Nov 2026 10:00:00 +0100":   true,
		"2 Nov 2026 10:00:00 +0100":         true,
		"Mon, 32 Nov 2026 10:00:00 +0100":   false,
		"":                                  false,
		"yesterday":                         false,
		"Fri, 02 Nov 2206 10:00:00 +0100":   false, // after the entry above it
		"Mon, 02 Nov 2026 10:00 PM Pacific": false,
	} {
		all := readChanges(t, entry("1.0-2", "unstable", someDay, "  * New"), entry("1:1.0-1", "unstable", date, "  * CVE-2026-0001"))
		require.Len(t, all, 1, date)
		require.Equal(t, patching.AdvisoryID("tool_1:1.0-1"), all[0].ID, "with the epoch")
		require.Equal(t, known, !all[0].Published.IsZero(), date)
	}
}

// Serves G4, Q7.
func TestAChangelogThatIsNotWholeIsRefused(t *testing.T) {
	good := entry("1.0-2", "unstable", someDay, "  * CVE-2026-0001")
	for text, says := range map[string]string{
		strings.Split(good, " -- ")[0]:                                                                  "the entry of tool 1.0-2 has no end",
		strings.Split(good, " -- ")[0] + entry("1.0-1", "unstable", someDay):                            `line 5: "tool (1.0-1) unstable; urgency=medium" begins where`,
		good + "  * CVE-2026-0002\n":                                                                    `line 7: "  * CVE-2026-0002" stands where an entry should begin`,
		strings.Replace(good, "1.0-2", "-oOpt", 1):                                                      `version "-oOpt" is not one`,
		entry("1.0-2", "unstable", someDay, strings.Repeat("  "+strings.Repeat("x", 60<<10)+"\n", 150)): "too long for one",
	} {
		_, err := readAs(t, []byte(text), DefaultLimits())
		require.ErrorContains(t, err, says)
	}
	_, err := readAs(t, []byte(strings.Repeat(good, maxChanges+1)), DefaultLimits())
	require.ErrorContains(t, err, "more than 20000 entries")
}

func TestWhatIsOlderThanTheFormatIsNotRead(t *testing.T) {
	good := entry("1.0-2", "unstable", someDay, "  * CVE-2026-0001")
	for _, old := range []string{
		"Old Changelog:\n", "Local variables:\nmode: debian-changelog\nEnd:\n", "# kept from before\n", "/* a note */\n",
		"Mon Feb 10 12:00:00 1997  A Maintainer <maintainer@example.org>\n\n\t* foo\n", "tool (0.1)\n\n  * CVE-2026-0009\n", "Changes for tool-0.1:\n",
	} {
		require.Len(t, fixedIn(t, good+old), 1, old)
	}
}
