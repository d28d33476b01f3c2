package advisories

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const handFixture = "testdata/hand/advisories.yaml"

// Serves G4.
func TestWhatIsEnteredWrongIsNamedByLineValueAndWayOut(t *testing.T) {
	for from, c := range map[string]struct{ to, says string }{
		"id: LOCAL-2026-1": {"id: LOCAL 1", `line 3: id "LOCAL 1": want 1 to 64 letters`},
		"id: LOCAL-2026-2": {"id: LOCAL-2026-1", `line 16: id "LOCAL-2026-1": it is there already, in line 3`},
		"    title: openssl before the vendor's own fix\n": {"", "line 16: advisory 2 (LOCAL-2026-2) has no title: want a sentence"},
		"kind: security":               {"kind: patch", `line 5: kind "patch": want security`},
		"severity: important":          {"severity: Very Bad!", `line 6: severity "Very Bad!": want a word`},
		"CVE-2026-0002":                {"CVE-26-2", `line 7: cves "CVE-26-2": want a name such as CVE-2024-3094`},
		"published: 2026-11-20":        {"published: 20.11.2026", `line 8: published "20.11.2026": want a day`},
		"platform: debian 12":          {"platform: Debian", `line 9: platform "Debian": want the ID of os-release`},
		"    platform: debian 12\n":    {"", "advisory 1 (LOCAL-2026-1) has no platform"},
		"package: billing-agent":       {"package: billing agent", `line 10: package "billing agent": want`},
		"    package: billing-agent\n": {"", "advisory 1 (LOCAL-2026-1) has no package"},
		"fixed: 2.10":                  {"fixed: 2.10 or so", `line 11: fixed "2.10 or so": want the first version`},
		"reboot: false":                {"reboot: maybe", `line 14: reboot "maybe": want true or false`},
		"url: https://":                {"url: see ", `line 15: url "see vendor.example/notices/17": want an address`},
		"source: openssl":              {"source: openssl\n    package: openssl", `line 20: source "openssl": there is a package as well`},
		"cves: [":                      {"cve: [", "unknown field"},
		"title: The":                   {"title: [a] # The", "want one value, not a list"},
	} {
		_, err := changed(t, handFixture, from, c.to)
		require.ErrorContains(t, err, c.says, from)
	}
	_, err := changed(t, handFixture, "id: LOCAL-2026-1", "id: '-'")
	require.NotContains(t, err.Error(), "line 16", "what is right is not mentioned")
}

// Serves G4.
func TestLettersThatNobodySeesAreRefusedWhereverTheyStand(t *testing.T) {
	const text = "# as the vendor wrote\nadvisories:\n  - id: LOCAL-2026-1 # by mail\n    title: The agent logs passwords\n    platform: debian 12\n    package: agent\n"
	_, err := ReadHand([]byte(strings.ReplaceAll(strings.Replace(text, "# by", "#\tby", 1), "\n", "\r\n")))
	require.NoError(t, err, "tabs and lines of Windows are no commands")
	for name, c := range map[string]struct{ from, to, says string }{
		"a command in the first line": {"# as", "# \x1b[2Jas", "line 1, column 3: U+001B is not to be seen: leave it out"},
		"a command in a comment":      {"# by mail", "# by \u009b2J", "line 3, column 27: U+009B"},
		"a line that turns round":     {"# by mail", "# \u202eliam", "line 3, column 24: U+202E"},
		"a return without a line":     {"# by mail", "# by\rmail", "line 3, column 26: U+000D"},
		"a bell in a value":           {"The agent", "The\aagent", "line 4, column 15: U+0007"},
		"a command in an escape":      {"The agent logs passwords", `"The \x1b[2Jagent"`, "line 4: title"},
		"a turn in an escape":         {"The agent logs passwords", `"The \u202eagent"`, "line 4: title"},
	} {
		_, err := ReadHand([]byte(strings.Replace(text, c.from, c.to, 1)))
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestAllThatIsWrongIsSaidAtOnce(t *testing.T) {
	_, err := readAs(t, []byte("advisories:\n  - id: A B\n  - title: c\n"), DefaultLimits())
	require.ErrorContains(t, err, `id "A B"`)
	require.ErrorContains(t, err, "advisory 1 (A B) has no title")
	require.ErrorContains(t, err, "advisory 2 () has no id")
}

func TestADocumentOfOthersThatHasAdvisoriesIsNotOurs(t *testing.T) {
	for text, ours := range map[string]bool{
		"advisories:\n":                             true,
		"# ours\n\n---\nadvisories:\n":              true,
		"schema-version: 2.0.2\nadvisories:\n":      false,
		"text\n advisories:\n":                      false,
		strings.Repeat("# a\n", 10) + "advisories:": true,
	} {
		require.Equal(t, ours, hand.Mine(Head{Start: []byte(text)}), text)
	}
	_, err := readAs(t, []byte("advisories: []\n"), DefaultLimits())
	require.ErrorContains(t, err, "write a list")
}
