package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
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
