package e2e_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// A part of the state is lost, or comes back from an older backup than the rest:
// a server that went on with it would leave its cycle standing without a word.
// What is told to do then lets the cycle go on. Serves Q1, Q13, G17.
func TestAServerWhosePartsDoNotBelongTogetherSaysSoAndWhatToDo(t *testing.T) {
	const machines = 8
	core, logs := observer.New(zap.ErrorLevel)
	h := newHouse(t, func(c *serve.Config) { c.UI, c.Log = "", zap.New(core) })
	s := h.newSite(t, "lost", truth.Profile{Machines: machines}, nil)
	_, err := h.as(t, ana).SetSchedule(t.Context(), s.policy(), wire.SetSchedule{})
	require.NoError(t, err)
	_, err = h.as(t, ana).PauseSchedule(t.Context(), s.policy(), true, "year-end")
	require.NoError(t, err)
	check, _ := h.check(t, "cycles")
	require.True(t, check.OK, check.Words)

	h.Stop()
	before := h.backup(t, "engine")
	h.start(t)
	id := s.begin(t)
	asked := h.await(t, id, patching.PhaseApproval)
	h.Stop()
	waiting := h.backup(t, "engine")
	h.start(t)
	check, _ = h.check(t, "cycles")
	require.True(t, check.OK, "its engine has come as far as the record: %s", check.Words)
	for _, verb := range []string{"pause", "resume"} {
		_, err = h.as(t, ben).Do(t.Context(), id, verb, wire.Act{Reason: "network works"}, client.NewKey())
		require.NoError(t, err)
	}
	h.Stop()

	const wayOut = "patchcycle engine rebuild"
	t.Run("the engine is gone", func(t *testing.T) {
		defer h.without(t, "engine")()
		h.refuses(t, string(id), "is gone while cycles run", wayOut)
	})
	t.Run("the engine is from before the cycle", func(t *testing.T) {
		defer h.without(t, "engine")()
		h.restore(t, before, "engine")
		h.refuses(t, string(id), "the engine does not know it", wayOut)
	})
	t.Run("the engine is from before what people did last", func(t *testing.T) {
		defer h.without(t, "engine")()
		h.restore(t, waiting, "engine")
		h.refuses(t, string(id), "restored from an older backup", wayOut)
	})
	t.Run("the keys are gone", func(t *testing.T) {
		defer h.without(t, "keys")()
		h.refuses(t, "root.json is gone, and 8 devices believe no other", "restore the folder from a backup")
	})
	t.Run("the record is gone", func(t *testing.T) {
		defer h.without(t, "patchcycle.db", "patchcycle.db-wal", "patchcycle.db-shm")()
		h.refuses(t, "patchcycle.db is gone, and with it all that was on record", "restore it from a backup")
	})

	// One cycle that somebody ended behind our back is no reason to keep all others
	// waiting.
	h.start(t)
	require.NoError(t, h.Engine.Client().TerminateWorkflow(t.Context(), string(id), "", "a test"))
	h.saysEnded(t, id)
	h.Stop()
	h.start(t)
	h.saysEnded(t, id)
	require.NotZero(t, logs.FilterMessageSnippet("has ended in the engine").Len(), "the start says it too")

	h.rebuild(t, 2)
	check, _ = h.check(t, "cycles")
	require.True(t, check.OK, check.Words)
	require.Equal(t, asked.Plan, h.await(t, id, patching.PhaseApproval).Plan, "people were asked about this plan")
	_, err = h.as(t, ben).Do(t.Context(), id, "reject", wire.Act{Plan: asked.Plan, Reason: "quarter end"}, client.NewKey())
	require.NoError(t, err)
	h.await(t, id, patching.PhaseClosed)
	h.requireConserved(t, id, machines)
	s.requireNoRepeat(t)

	// What is not worth to be taken up can be closed as it stands.
	id = h.newSite(t, "dead", truth.Profile{Machines: machines}, nil).begin(t)
	h.await(t, id, patching.PhaseApproval)
	h.Stop()
	_, err = serve.Abandon(t.Context(), h.config, id, "tried too early")
	require.ErrorContains(t, err, "goes on in the engine: start the server and say \"patchcycle cycle close\"")
	h.start(t)
	h.await(t, id, patching.PhaseApproval)
	require.NoError(t, h.Engine.Client().TerminateWorkflow(t.Context(), string(id), "", "a test"))
	h.Stop()
	words, err := serve.Abandon(t.Context(), h.config, id, "ended by mistake")
	require.NoError(t, err)
	require.Contains(t, words, "It ended early: ended by mistake.")
	_, err = serve.Abandon(t.Context(), h.config, id, "once more")
	require.ErrorContains(t, err, "has closed")
	_, err = serve.Abandon(t.Context(), h.config, "cycle/nope/2026-11.3", "never was")
	require.ErrorIs(t, err, serve.ErrNoCycle)
	h.start(t)
	check, _ = h.check(t, "cycles")
	require.True(t, check.OK, check.Words)
	h.await(t, id, patching.PhaseClosed)
	h.requireConserved(t, id, machines)

	t.Run("the engine is gone when nothing runs", func(t *testing.T) {
		h.Stop()
		defer h.without(t, "engine")()
		h.start(t)
		defer h.Stop()
		kept, err := h.admin.Schedule(t.Context(), s.policy())
		require.NoError(t, err, "the calendar is made again from the record")
		require.True(t, kept.Paused)
		require.Contains(t, kept.Note, "year-end")
		require.NotEmpty(t, kept.Next)
	})
}

// saysEnded checks what the doctor says of a cycle that was ended in the engine.
func (h *house) saysEnded(t *testing.T, id patching.CycleID) {
	t.Helper()
	check, whole := h.check(t, "cycles")
	require.False(t, check.OK)
	require.False(t, whole)
	require.Contains(t, check.Words, string(id)+" runs by the record, and its workflow has ended in the engine (Terminated)")
	require.Contains(t, check.WayOut, "patchcycle engine rebuild")
}

// refuses runs the program on the house's folder: it has to end by itself, with
// code 1, and to say all of words.
func (h *house) refuses(t *testing.T, words ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	program, err := os.Executable()
	require.NoError(t, err)
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "server", "--data-dir", h.config.Dir, "--uplink", "127.0.0.1:0", "--ui", "", "--log-level", "error")
	cmd.Env = append(os.Environ(), asProgram)
	cmd.Stderr = &errs
	_ = cmd.Run()
	require.NoError(t, ctx.Err(), "it serves: %s", &errs)
	require.Equal(t, 1, cmd.ProcessState.ExitCode(), "%s", &errs)
	for _, w := range words {
		require.Contains(t, errs.String(), w)
	}
}

// backup copies a part of the data directory.
func (h *house) backup(t *testing.T, part string) (from string) {
	t.Helper()
	from = t.TempDir()
	require.NoError(t, os.CopyFS(from, os.DirFS(filepath.Join(h.config.Dir, part))))
	return from
}

func (h *house) restore(t *testing.T, from, part string) {
	t.Helper()
	require.NoError(t, os.CopyFS(filepath.Join(h.config.Dir, part), os.DirFS(from)))
}

// without takes parts of the data directory away, until they are put back in the
// place of whatever has been made there meanwhile.
func (h *house) without(t *testing.T, parts ...string) (putBack func()) {
	t.Helper()
	away := t.TempDir()
	var moved []string
	for _, p := range parts {
		if err := os.Rename(filepath.Join(h.config.Dir, p), filepath.Join(away, p)); !os.IsNotExist(err) {
			require.NoError(t, err)
			moved = append(moved, p)
		}
	}
	require.NotEmpty(t, moved)
	return func() {
		for _, p := range parts {
			require.NoError(t, os.RemoveAll(filepath.Join(h.config.Dir, p)))
		}
		for _, p := range moved {
			require.NoError(t, os.Rename(filepath.Join(away, p), filepath.Join(h.config.Dir, p)))
		}
	}
}
