package cli

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// broken is a stdout that takes some bytes and then fails.
type broken struct {
	takes int
	err   error
}

func (b *broken) Write(p []byte) (int, error) {
	if b.takes >= len(p) {
		b.takes -= len(p)
		return len(p), nil
	}
	return b.takes, &fs.PathError{Op: "write", Path: "/dev/stdout", Err: b.err}
}

// into runs a command whose stdout is to.
func (h *house) into(to *broken, args ...string) (code int, errs string) {
	var told bytes.Buffer
	code = Run(h.t.Context(), h.o, args, strings.NewReader(""), to, &told)
	return code, told.String()
}

func TestAResultThatCouldNotBeWrittenEndsWithCodeOne(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.phase("closed", "It is closed.")
	good := h.policy()
	for _, args := range [][]string{
		{"cycle", "list"},
		{"cycle", "show", string(cycleID)},
		{"cycle", "watch", string(cycleID)},
		{"report", "show", string(cycleID)},
		{"audit", "list"},
		{"user", "list"},
		{"policy", "lint", good},
		{"policy", "show", "demo"},
		{"policy", "list", "--json"},
		{"version"},
		{"help"},
		{"cycle", "watch", string(cycleID), "--json"},
		{"cycle", "plan", string(cycleID), "--text"},
		{"completion", "bash"},
		{"docs", "cli"},
	} {
		for _, takes := range []int{0, 1} {
			code, errs := h.into(&broken{takes, syscall.ENOSPC}, args...)
			assert.Equal(t, ExitFailed, code, "%s", args)
			assert.True(t, strings.HasSuffix(errs, "patchcycle: write to stdout: no space left on device\n  What was printed is not complete.\n"), "%s: %s", args, errs)
		}
	}
}

func TestAReaderThatWentAwayIsNoNews(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	for _, args := range [][]string{{"cycle", "list"}, {"cycle", "list", "--json"}, {"policy", "show", "demo"}} {
		code, errs := h.into(&broken{0, syscall.EPIPE}, args...)
		assert.Equal(t, ExitFailed, code)
		assert.NotContains(t, errs, "pipe")
		assert.NotContains(t, errs, "patchcycle: ")
	}
}

func TestWhatWentWrongIsToldBeforeThatItCouldNotBeWritten(t *testing.T) {
	to := &output{to: &broken{0, syscall.ENOSPC}}
	_, err := to.Write([]byte("x"))
	require.Error(t, err)
	other := errors.New("the server went away")
	assert.Equal(t, other, to.failed(other))
	assert.ErrorContains(t, to.failed(&Failure{Code: ExitFailed, Quiet: true}), "no space left")
	assert.ErrorContains(t, to.failed(nil), "no space left")
}
