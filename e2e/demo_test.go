package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// document is what the issue promises of "demo --json".
type document struct {
	Cycle            string         `json:"cycle"`
	State            string         `json:"state"`
	ClosedAs         string         `json:"closed_as"`
	Assets           int            `json:"assets"`
	Outcomes         map[string]int `json:"outcomes"`
	InstallsRepeated *int           `json:"installs_repeated"`
	Repairs          *int           `json:"repairs"`
	Report           string         `json:"report"`
	Seconds          float64        `json:"seconds"`
}

// The README's command, as a process. Serves G5, Q1, Q2.
func TestTheDemoPrintsOneDocument(t *testing.T) {
	const machines = 30
	dir := t.TempDir()
	first := demo(t, dir, "--machines", "30")
	require.Equal(t, "closed", first.State)
	require.NotEmpty(t, first.ClosedAs)
	require.Equal(t, machines+1, first.Assets, "this machine is one of them")
	sum := 0
	for _, n := range first.Outcomes {
		sum += n
	}
	require.Equal(t, first.Assets, sum, "%v", first.Outcomes)
	require.Positive(t, first.Outcomes["patched"])
	require.Positive(t, first.Outcomes["excluded"], "this machine is only looked at")
	require.NotNil(t, first.InstallsRepeated)
	require.Zero(t, *first.InstallsRepeated)
	require.NotNil(t, first.Repairs)
	require.Positive(t, first.Seconds)
	page, err := os.ReadFile(first.Report)
	require.NoError(t, err)
	require.Contains(t, string(page), first.Cycle)

	began := time.Now()
	again := demo(t, dir)
	require.Equal(t, first, again, "the finished cycle's result, with its own duration")
	require.Less(t, time.Since(began), time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "demo", "--machines", "31", "--data-dir", dir)
	cmd.Env = append(os.Environ(), asProgram)
	said, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(said), "the fleet in "+dir+" has 30")
	other := demo(t, dir, "--new")
	require.NotEqual(t, first.Cycle, other.Cycle)
	require.Equal(t, machines+1, other.Assets)
	require.Zero(t, *other.InstallsRepeated)
}

// demo runs the demo in a process of its own and returns what it printed.
func demo(t *testing.T, dir string, more ...string) document {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], append([]string{"demo", "--auto-approve", "--json", "--data-dir", dir}, more...)...)
	cmd.Env = append(os.Environ(), asProgram)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), "%s", &errs)
	read := json.NewDecoder(&out)
	read.DisallowUnknownFields()
	var d struct {
		document
		Dir string `json:"data_dir"`
	}
	require.NoError(t, read.Decode(&d))
	require.ErrorIs(t, read.Decode(&d), io.EOF, "there is more than one document")
	require.Equal(t, dir, d.Dir)
	return d.document
}
