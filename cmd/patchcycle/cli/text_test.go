package cli

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

func TestTheNameOfAFileReachesTheTerminalAsOneLineWithoutCommands(t *testing.T) {
	h := newHouse(t)
	text, err := os.ReadFile(h.policy())
	require.NoError(t, err)
	file := t.TempDir() + "/bad\x1b[31mred\npatchcycle: forged.yaml"
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), "nth: 2", "nht: 2", 1)), 0o600))
	for _, args := range [][]string{{"policy", "lint", file}, {"policy", "lint", file, "--fleet"}, {"policy", "apply", file}, {"policy", "lint", file + "x"}, {"policy", "lint", filepath.Dir(file) + "/\nx"}} {
		r := h.run(args...)
		assert.NotEqual(t, ExitOK, r.code)
		assert.NotContains(t, r.out+r.errs, "\x1b", "%q", args)
		assert.NotContains(t, r.out+r.errs, "\npatchcycle: forged", "%q", args)
		assert.NotContains(t, r.out+r.errs, "/\nx", "%q", args)
	}
	assert.Contains(t, h.run("policy", "lint", file).out, "bad\uFFFD[31mred patchcycle: forged.yaml:")
	var lint wire.Lint
	r := h.run("policy", "lint", file, "--json")
	require.NoError(t, json.Unmarshal([]byte(r.out), &lint))
	assert.Equal(t, file, lint.Problems[0].File, "programs get the name as it is")
}

func TestADocumentReachesTheTerminalWithoutCommandsAndProgramsGetItAsItIs(t *testing.T) {
	h := newHouse(t)
	const bad = "# \x1b[2J\u009b31m\u202eliam\u200b\rx\ty\r\n"
	const clean = "# \uFFFD[2J\uFFFD31m\uFFFDliam\uFFFD\uFFFDx\ty\r\n"

	// As it was entered before such letters were refused.
	const advisory = "advisories:\n  - id: LOCAL-2026-1\n"
	_, err := h.store.PutHandAdvisories(t.Context(), []byte(advisory+bad), []patching.Advisory{{ID: "LOCAL-2026-1", Title: "t"}}, "olga", noon)
	require.NoError(t, err)
	assert.Equal(t, advisory+clean, h.ok("advisory", "show", "LOCAL-2026-1"))
	assert.Equal(t, advisory+bad, decode[wire.AdvisoryDetail](h, "advisory", "show", "LOCAL-2026-1").Source)

	text, err := os.ReadFile(h.policy())
	require.NoError(t, err)
	require.NoError(t, h.store.ApplyPolicy(t.Context(), store.PolicyVersion{Name: "demo", Source: append(text, bad...), By: "ada", Applied: noon}))
	assert.Equal(t, string(text)+clean, h.ok("policy", "show", "demo"))

	h.cycle()
	plan, err := h.store.Plan(t.Context(), cycleID)
	require.NoError(t, err)
	plan.Revision, plan.Author = 2, "ana\x1b[2J\u202e"
	require.NoError(t, h.store.PutPlan(t.Context(), plan, nil))
	assert.Equal(t, string(plan.Canonical()), h.ok("cycle", "plan", "--text"), "what is hashed is not touched")
	h.o.Terminal = func(io.Writer) int { return 80 }
	shown := h.ok("cycle", "plan", "--text")
	assert.Contains(t, shown, "ana")
	assert.NotContains(t, shown, "\x1b")
	assert.NotContains(t, shown, "\u202e")
}

func TestAReasonForgesNoLinesAndAProcedureKeepsItsOwn(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.engine.answer = contract.Answer{Accepted: true, Words: "Stopped: x\ny\x1b[2J\nz."}
	assert.Equal(t, "Stopped: x y\uFFFD[2J z.\n", h.ok("cycle", "stop", "--reason", "x\ny\nz"))
	h.phase(patching.PhaseApproval, "Paused: x\nPlan: sha256:forged")
	assert.Contains(t, h.ok("cycle", "show"), "Paused: x Plan: sha256:forged\n")
	require.NoError(t, h.store.PutTasks(t.Context(), []patching.Task{{
		ID: "t-1", Cycle: cycleID, Asset: "web-1", Cause: patching.ReasonInstallFailed, Tried: "a\nState: done", Steps: "Look.\nMend.", Opened: noon, Due: noon, State: patching.TaskOpen,
	}}))
	shown := h.ok("task", "show", "t-1")
	assert.Contains(t, shown, "a State: done\n")
	assert.Contains(t, shown, "Look.\nMend.\n")
}
