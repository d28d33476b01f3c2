package cli

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAnInterruptionEndsACommandThatWaitsForItsInput(t *testing.T) {
	h := newHouse(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	silent, w := io.Pipe()
	defer w.Close()
	for _, args := range [][]string{
		{"policy", "lint", "-"},
		{"policy", "lint", fifo},
		{"policy", "apply", fifo},
		{"cycle", "plan", "digest", "-"},
		{"user", "add", "ben", "--role", "approver", "--ssh-key", fifo},
		{"cycle", "list", "--ca-file", fifo},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		var out, errs bytes.Buffer
		assert.Equal(t, ExitFailed, Run(ctx, h.o, args, silent, &out, &errs), "%s", args)
		assert.Equal(t, "patchcycle: interrupted\n", errs.String(), "%s", args)
	}
}

// endless gives zeros without end and counts them.
type endless struct{ given int }

func (e *endless) Read(p []byte) (int, error) {
	e.given += len(p)
	return len(p), nil
}

func TestNoMoreIsReadOfAFileThanItsLimit(t *testing.T) {
	h := newHouse(t)
	for _, args := range [][]string{{"policy", "lint", "/dev/zero"}, {"policy", "apply", "/dev/zero"}, {"cycle", "plan", "digest", "/dev/zero"}, {"cycle", "list", "--ca-file", "/dev/zero"}} {
		r := h.run(args...)
		assert.Equal(t, ExitFailed, r.code, "%s", args)
		assert.Contains(t, r.errs, "/dev/zero is larger than 16 MiB", "%s", args)
	}
	in := &endless{}
	var out, errs bytes.Buffer
	assert.Equal(t, ExitFailed, Run(t.Context(), h.o, []string{"cycle", "plan", "digest", "-"}, in, &out, &errs))
	assert.Contains(t, errs.String(), "standard input is larger than 16 MiB")
	assert.Empty(t, out.String(), "a hash of a part is none")
	assert.Less(t, in.given, 17<<20)
	assert.Contains(t, h.feed(strings.Repeat("x", 16<<20), "cycle", "plan", "digest", "-").out, "sha256:")
}

func TestWhatIsNoFileIsToldOnceAndInWords(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	r := h.run("policy", "lint", dir)
	assert.Equal(t, ExitFailed, r.code)
	assert.Equal(t, "patchcycle: "+dir+" is a folder: name a file\n", r.errs)
	r = h.run("policy", "lint", "")
	assert.Equal(t, ExitUsage, r.code)
	assert.Contains(t, r.errs, "a file's name is empty")
	r = h.run("policy", "lint", strings.Repeat("x", 300))
	assert.Equal(t, "patchcycle: read "+strings.Repeat("x", 300)+": file name too long\n", r.errs)
}
