package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves G2, U9.
func TestUrgencyIsDecidedListedAndEnded(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.as("sam", patching.RoleSecurityLead)
	assert.Contains(t, h.run("urgency", "list").errs, "Nothing was decided: what the regimes say counts.")
	out := h.ok("urgency", "review", "cve-2026-1000", "--answer", "accept", "--reason", "not reachable", "--until", "2027-06-30", "--machine", "web-1.example")
	assert.Regexp(t, `^Review review-[0-9a-f]{10}: accept the risk for CVE-2026-1000 where hostname in \["web-1.example"\] until 2027-06-30. It is about 1 machine of 2.\n$`, out)
	soon := decode[wire.ReviewAnswer](h, "urgency", "review", "DSA-5888-1", "--package", "openssl", "--answer", "now", "--reason", "exploited", "--until", "2026-12-01")
	assert.Equal(t, wire.Subject{Advisory: "DSA-5888-1", Package: "openssl"}, soon.Review.Subject)
	assert.Equal(t, "2026-12-01T22:59:59Z", soon.Review.Until.Format("2006-01-02T15:04:05Z07:00"), "the end of the day where people are")
	lines := strings.Split(h.ok("urgency", "list"), "\n")
	assert.Contains(t, lines[1], "2026-12-01 (in 11 days)", "what ends soon stands first")
	assert.Contains(t, lines[2], "accept the risk")
	assert.Contains(t, h.ok("__complete", "urgency", "end", ""), string(soon.Review.ID))
	assert.Contains(t, h.ok("urgency", "end", string(soon.Review.ID), "--reason", "false alarm"), "is ended. What the regimes say counts again")
	assert.Contains(t, h.ok("urgency", "list", "--all"), "ended by sam: false alarm")
	assert.Len(t, decode[wire.Reviews](h, "urgency", "list").Items, 1)
}

// Serves G2, G11.
func TestExceptionsAreMadeRenewedListedAndExpired(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.as("sam", patching.RoleSecurityLead)
	assert.Contains(t, h.run("exception", "list").errs, "There are no exceptions.")
	out := h.ok("exception", "add", "--select", `"medical" in tags`, "--owner", "radiology", "--reason", "not certified", "--measure", "a network of its own", "--until", "2027-10-31")
	assert.Regexp(t, `^Exception exception-[0-9a-f]{10} for everything where "medical" in tags, owner radiology, until 2027-10-31, to be looked at by 2027-02-20. It is about no machine that is known now: is the selector right\?\n$`, out)
	id := strings.Fields(out)[1]
	assert.Contains(t, h.ok("__complete", "exception", "add", "--renews", ""), id)
	next := decode[wire.ExceptionAnswer](h, "exception", "add", "--renews", id, "--reason", "not certified yet", "--until", "2026-12-15").Exception
	assert.Equal(t, "radiology", next.Owner)
	listed := h.ok("exception", "list", "--all")
	assert.Contains(t, listed, "2026-12-15 (in 25 days)")
	assert.Contains(t, listed, "renewed by "+string(next.ID))
	assert.Contains(t, listed, "a network of its own")
	assert.Contains(t, h.ok("exception", "expire", string(next.ID), "--reason", "certified"), "What it kept back is planned again")
	assert.Empty(t, decode[wire.Exceptions](h, "exception", "list").Items)
	r := h.run("exception", "expire", string(next.ID), "--reason", "again")
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.errs, "is over since 2026-11-20: ended.")
}

// Serves G2, U9.
func TestADecisionAboutWhatNoFeedKnowsSaysSo(t *testing.T) {
	h := newHouse(t)
	h.as("sam", patching.RoleSecurityLead)
	for _, args := range [][]string{
		{"urgency", "review", "--answer", "now", "--until", "2027-01-31"},
		{"exception", "add", "--owner", "web-team", "--until", "2027-01-31"},
		{"workaround", "add", "--what", "w", "--owner", "web-team"},
	} {
		for name, says := range map[string]string{
			"HOUSE-1": "", "CVE-2099-0001": "", "HOUSE-11": "Warning: No feed knows HOUSE-11: is it written", "house-1": "its publisher writes HOUSE-1.",
		} {
			r := h.run(append(slices.Clone(args), "--reason", "r", name)...)
			require.Equal(t, ExitOK, r.code, r.errs)
			assert.Contains(t, r.errs, says)
			assert.Equal(t, says != "", strings.Contains(r.errs, "Warning: No feed knows"), r.errs)
		}
	}
}

// Serves G2.
func TestAWorkAroundIsFollowedFromItsProposalUntilItIsGone(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.as("olga", patching.RoleOperator)
	assert.Contains(t, h.run("workaround", "list").errs, "There are no work-arounds.")
	out := h.ok("workaround", "add", "CVE-2026-1000", "--what", "switch mod_x off", "--owner", "web-team", "--reason", "there is no fix yet")
	id := strings.Fields(out)[1]
	assert.Contains(t, out, "is proposed. It is about all machines. Once it works on a machine: patchcycle workaround place "+id)
	assert.Contains(t, h.ok("__complete", "workaround", "place", ""), id)
	assert.Contains(t, h.ok("workaround", "place", id, "--machine", "web-1.example,web-2", "--note", "curl answers 403"), "is in place, on 2 machines.")
	assert.Contains(t, h.ok("workaround", "list"), "switch mod_x off")
	assert.Contains(t, h.ok("workaround", "remove", id, "--note", "the patch is in"), "is to be removed, on 2 machines.")
	assert.Contains(t, h.ok("workaround", "done", id, "--machine", "web-1", "--note", "curl answers 200"), "is to be removed, on 1 machine.")
	shown := h.ok("workaround", "show", id)
	assert.Regexp(t, `In place on: +web-2\n`, shown)
	assert.Contains(t, shown, "curl answers 200")
	done := decode[wire.WorkAroundAnswer](h, "workaround", "done", id, "--note", "looked at")
	assert.Equal(t, patching.WorkAroundRemoved, done.WorkAround.State)
	assert.Empty(t, decode[wire.WorkArounds](h, "workaround", "list").Items)
	assert.Len(t, decode[wire.WorkAround](h, "workaround", "show", id).Steps, 5)
	r := h.run("workaround", "place", id, "--machine", "web-1", "--note", "n")
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.errs, "is removed, and stays so: propose a new one")
}

// Serves G4.
func TestAnAdvisoryOfAFileIsEnteredShownAndWithdrawn(t *testing.T) {
	h := newHouse(t)
	assert.Contains(t, h.run("advisory", "list").errs, "None was entered by hand: patchcycle advisory add FILE.")
	const text = "advisories:\n  - id: LOCAL-2026-1\n    title: The agent logs passwords\n    platform: debian 12\n    package: agent\n    fixed: 2.10\n"
	file := filepath.Join(t.TempDir(), "local.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	out := h.ok("advisory", "add", file)
	assert.Contains(t, out, "1 advisory is in force.")
	assert.Contains(t, out, "agent on debian 12, fixed in 2.10")
	r := h.feed(text, "advisory", "add", "-")
	assert.Contains(t, r.out, "They were in force already: nothing changed.")
	assert.Equal(t, text, h.ok("advisory", "show", "LOCAL-2026-1"), "as it was sent, to the byte")

	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(text, "debian 12", "Debian", 1)), 0o600))
	r = h.run("advisory", "add", file)
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.errs, "what was in force stays:\n  line 4: platform \"Debian\": want the ID of os-release")
	assert.Contains(t, r.errs, "Mend the file and send it again")

	assert.Contains(t, h.ok("__complete", "advisory", "withdraw", ""), "LOCAL-2026-1")
	assert.Contains(t, h.ok("advisory", "withdraw", "LOCAL-2026-1", "--reason", "a mistake"), "is withdrawn since 2026-11-20 13:00 CET")
	assert.Empty(t, decode[wire.Advisories](h, "advisory", "list").Items)
	assert.Contains(t, h.ok("advisory", "list", "--all"), "since 2026-11-20 13:00 CET")
	assert.Contains(t, h.run("advisory", "show", "LOCAL-2026-1").errs, "It is withdrawn: a mistake")
	assert.Len(t, decode[wire.AdvisoryDetail](h, "advisory", "show", "LOCAL-2026-1").Versions, 2)
}

// Serves Q7.
func TestADecisionThatLacksSomethingIsAnErrorOfTheCommandLineWithTheWayOut(t *testing.T) {
	h := newHouse(t)
	h.as("sam", patching.RoleSecurityLead)
	whole := []string{"--owner", "it", "--reason", "r", "--until", "2027-01-31"}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"exception", "add", "DSA-1", "--reason", "r", "--until", "2027-01-31"}, ExitUsage, "say who answers for it, a person or a role: --owner NAME"},
		{[]string{"exception", "add", "DSA-1", "--owner", "it", "--until", "2027-01-31"}, ExitUsage, "say why: --reason TEXT"},
		{[]string{"exception", "add", "DSA-1", "--owner", "it", "--reason", "r"}, ExitUsage, "at most a year from now: --until 2027-01-31"},
		{[]string{"exception", "add", "DSA-1", "--owner", "it", "--reason", "r", "--until", "tomorrow"}, ExitUsage, `--until "tomorrow": write 2027-01-31`},
		{[]string{"exception", "add", "DSA-1", "--owner", "it", "--reason", "r", "--until", "2028-01-31"}, ExitUsage, `--until "2028-01-31": 2028-01-31 is more than a year away`},
		{append([]string{"exception", "add", "DSA-1", "--review-by", "2027-03-01"}, whole...), ExitUsage, `--review-by "2027-03-01": 2027-03-01 is not between now and its end, 2027-01-31`},
		{append([]string{"exception", "add", "D S A"}, whole...), ExitUsage, `ADVISORY "D S A": "D S A" names no advisory`},
		{append([]string{"exception", "add", "CVE-2026-1"}, whole...), ExitUsage, `ADVISORY "CVE-2026-1": "CVE-2026-1" is no CVE's name: want CVE, a year and four digits or more, such as CVE-2024-3094`},
		{append([]string{"exception", "add", "DSA-1", "--select", "site = 3"}, whole...), ExitUsage, "write =="},
		{append([]string{"exception", "add", "DSA-1", "--select", "true", "--machine", "a"}, whole...), ExitUsage, "give one of them"},
		{append([]string{"exception", "add"}, whole...), ExitUsage, "say what it is about"},
		{[]string{"urgency", "review", "DSA-1", "--answer", "never"}, ExitUsage, "there are now, monthly, work-around, accept"},
		{[]string{"urgency", "review", "DSA-1", "--reason", "r", "--until", "2027-01-31"}, ExitUsage, "say how it is answered: --answer now, monthly"},
		{[]string{"workaround", "place", "workaround-1", "--note", "n"}, ExitUsage, "name the machines on which it was seen to work: --machine NAME,NAME"},
		{[]string{"workaround", "place", "workaround-1", "--note", "n", "--machine", "a"}, ExitNotFound, "There is no work-around workaround-1.\n  See which there are: patchcycle workaround list --all\n"},
		{[]string{"advisory", "show", "LOCAL-1"}, ExitNotFound, "There is no hand-entered advisory LOCAL-1.\n  See which there are: patchcycle advisory list --all\n"},
	} {
		r := h.run(c.args...)
		assert.Equal(t, c.code, r.code, "%v: %s", c.args, r.errs)
		assert.Contains(t, r.errs, c.says, "%v", c.args)
		assert.Empty(t, r.out, "%v", c.args)
	}
	h.as("aud", patching.RoleAuditor)
	r := h.run(append([]string{"exception", "add", "DSA-1"}, whole...)...)
	assert.Equal(t, ExitNotAllowed, r.code)
	assert.Contains(t, r.errs, "this takes one of security-lead")
}
