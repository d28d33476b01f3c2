package sim

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// TestMain lets the tests run a fleet as a process of its own: this program
// again, with "fleet" as its first argument.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "fleet" {
		os.Exit(Main(os.Args[2:])) //nolint:forbidigo // here the test binary is a command
	}
	m.Run()
}

// process is a fleet in a process of its own.
type process struct {
	t      testing.TB
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
}

func (h *house) spawn(args ...string) *process {
	h.t.Helper()
	names := filepath.Join(h.dir, "tokens.json")
	text, err := json.Marshal(tokens())
	require.NoError(h.t, err)
	require.NoError(h.t, os.WriteFile(names, text, 0o600))
	p := &process{t: h.t}
	p.cmd = exec.Command(os.Args[0], append([]string{"fleet", "-server", "http://" + h.addr, "-tokens", names}, args...)...)
	p.cmd.Stderr = os.Stderr
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(h.t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(h.t, err)
	p.stdout = bufio.NewReader(out)
	require.NoError(h.t, p.cmd.Start())
	h.t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	return p
}

func (p *process) line(v any) {
	p.t.Helper()
	text, err := p.stdout.ReadBytes('\n')
	require.NoError(p.t, err)
	require.NoError(p.t, json.Unmarshal(text, v), "%s", text)
}

// ends waits for the process's end and returns its exit code, or -1 if a signal
// ended it.
func (p *process) ends() int {
	p.t.Helper()
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			p.t.Fatal(err)
		}
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(time.Minute):
		p.t.Fatal("the fleet does not end")
		return 0
	}
}

func TestAFleetIsAProcessThatCanBeKilledAndContinued(t *testing.T) {
	h := newHouse(t)
	dir := filepath.Join(t.TempDir(), "fleet")
	p := h.spawn("-dir", dir, "-machines", "20", "-sites", "2", "-seed", "9", "-speed", "500", "-kill-at", "300", "-tell-at", "100")
	var ready Ready
	p.line(&ready)
	require.Equal(t, Ready{Machines: 20, Ready: true}, ready)
	busy := h.deploy(h.inventoried(20))
	var reached Reached
	p.line(&reached)
	require.EqualValues(t, 100, reached.Event)
	require.Equal(t, -1, p.ends(), "it killed itself with a signal that nobody can catch")
	require.Equal(t, syscall.SIGKILL, p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())

	p = h.spawn("-dir", dir, "-speed", "500")
	require.Equal(t, 2, p.ends(), "it is there already")
	p = h.spawn("-dir", dir, "-speed", "500", "-resume")
	p.line(&ready)
	require.Equal(t, 20, ready.Machines)
	h.eventually(2*time.Minute, "results", func() bool { return h.outcomes()[""] == 0 })
	require.Equal(t, map[patching.Outcome]int{patching.Patched: busy}, h.outcomes())
	require.NoError(t, p.stdin.Close())
	require.Zero(t, p.ends(), "it does not outlive who started it")
	n, details, err := Repeats(dir)
	require.NoError(t, err)
	require.Zero(t, n, "%v", details)

	p = h.spawn("-dir", dir, "-resume")
	p.line(&ready)
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.ends())
}

func TestWrongArgumentsAreNamed(t *testing.T) {
	dir := t.TempDir()
	made := filepath.Join(dir, "made")
	require.NoError(t, os.MkdirAll(made, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(made, fleetName), []byte(`{}`), 0o600))
	for want, args := range map[string][]string{
		"-dir and -server":       {"-machines", "3"},
		"is no flag":             {"-dir", dir, "-server", "http://127.0.0.1:1", "berlin"},
		"want package:how:rate":  {"-bad", "openssl"},
		"-speed 0":               {"-dir", dir, "-server", "http://127.0.0.1:1", "-speed", "0"},
		"continue it with":       {"-dir", made, "-server", "http://127.0.0.1:1"},
		"there is no fleet in":   {"-dir", dir, "-server", "http://127.0.0.1:1", "-resume"},
		"no site \"atlantis\"":   {"-dir", dir, "-server", "http://127.0.0.1:1", "-direct", "atlantis"},
		"http only on this":      {"-dir", dir, "-server", "http://example.org"},
		"has no update of":       {"-dir", filepath.Join(dir, "a"), "-server", "http://127.0.0.1:1", "-bad", "left-pad:postinst:1"},
		"put sites behind relay": {"-dir", filepath.Join(dir, "b"), "-server", "http://127.0.0.1:1", "-direct", "all", "-machines", "1001"},
		"machines: 0":            {"-dir", filepath.Join(dir, "c"), "-server", "http://127.0.0.1:1", "-machines", "0"},
	} {
		var out, err strings.Builder
		require.NotZero(t, run(t.Context(), args, &out, &err), fmt.Sprint(args))
		require.Contains(t, err.String(), want)
		require.Empty(t, out.String())
	}
}
