//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/nspawn/labtest"
)

// TestMain is the command itself when it is started by a test, or by the up of
// one.
func TestMain(m *testing.M) {
	if os.Getenv("LAB_HOSTS_COMMAND") != "" {
		main()
		os.Exit(0) //nolint:forbidigo // here it is the command
	}
	os.Exit(m.Run()) //nolint:forbidigo // as TestMain must
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, self, args...)
	c.Env = append(os.Environ(), "LAB_HOSTS_COMMAND=1")
	return c
}

func hosts(t *testing.T, args ...string) string {
	t.Helper()
	out, err := command(t, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func labName(t *testing.T) string {
	t.Helper()
	labtest.Need(t)
	name := fmt.Sprintf("hosts-%d", os.Getpid())
	t.Cleanup(func() { require.NoError(t, nspawn.TakeDown(context.Background(), name)) })
	return name
}

// traces are what the lab of that name has on this machine.
func traces(t *testing.T, name string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{
		"/sys/fs/cgroup/patchcycle-lab-" + name, "/sys/fs/cgroup/*/patchcycle-lab-" + name,
		nspawn.Cache() + "/labs/" + name, "/run/systemd/nspawn/propagate/pclab-" + name + "-*",
	} {
		more, err := filepath.Glob(pattern)
		require.NoError(t, err)
		found = append(found, more...)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	if bytes.Contains(mounts, []byte("/labs/"+name+"/")) {
		found = append(found, "mounts")
	}
	return append(found, machines(t, name)...)
}

func machines(t *testing.T, name string) []string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	var found []string
	for _, l := range lines {
		if text, _ := os.ReadFile(l); bytes.Contains(text, []byte("--machine=pclab-"+name+"-")) {
			found = append(found, l)
		}
	}
	return found
}

func TestALabOutlivesUpAndDoesNotOutliveItsKeeper(t *testing.T) {
	name := labName(t)
	hosts(t, "up", "-name", name, "-n", "1")
	require.Regexp(t, name+` +h1 +running`, hosts(t, "status"))
	require.Equal(t, "h1\n", hosts(t, "exec", "-name", name, "h1", "cat", "/etc/hostname"))
	require.Equal(t, "/\n", hosts(t, "exec", "-name", name, "h1", "readlink", "/proc/self/cwd"), "not a folder of this machine")
	hosts(t, "publish", "-name", name, "lab-reboot=1.1")
	hosts(t, "exec", "-name", name, "h1", "apt-get", "update", "-q")
	require.Contains(t, hosts(t, "exec", "-name", name, "h1", "apt-cache", "policy", "lab-reboot"), "Candidate: 1.1")
	require.Contains(t, hosts(t, "net", "-name", name, "ip", "-4", "addr", "show", "br0"), nspawn.Gateway)
	code := command(t, "exec", "-name", name, "h1", "sh", "-c", "exit 7")
	_ = code.Run()
	require.Equal(t, 7, code.ProcessState.ExitCode())

	again, err := command(t, "up", "-name", name).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(again), "stands already")

	s, err := nspawn.Load(name)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(s.Keeper, syscall.SIGKILL))
	require.Eventually(t, func() bool { return !s.Alive() }, 20*time.Second, 100*time.Millisecond)
	require.Contains(t, hosts(t, "status"), "left behind")
	require.Eventually(t, func() bool { return len(machines(t, name)) == 0 }, 20*time.Second, 100*time.Millisecond)
	require.NotEmpty(t, traces(t, name), "mounts stay until somebody removes them")
	hosts(t, "down", "-name", name)
	require.Empty(t, traces(t, name))
	require.NotContains(t, hosts(t, "status"), name)
}

func TestAnInterruptTakesTheLabDown(t *testing.T) {
	name := labName(t)
	c := command(t, "up", "-stay", "-name", name, "-n", "1")
	var said bytes.Buffer
	c.Stderr = &said
	require.NoError(t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for begun := false; !begun; {
		s, err := nspawn.Load(name)
		begun = err == nil && len(s.Hosts) > 0
		select {
		case err := <-ended:
			require.FailNow(t, "it ended before it was told to", "%v: %s", err, said.String())
		case <-time.After(100 * time.Millisecond):
		}
	}
	// In the middle of its boot, which is as good a moment as any.
	require.NoError(t, c.Process.Signal(os.Interrupt))
	<-ended
	require.True(t, c.ProcessState.Exited(), "it ends by itself: %s", said.String())
	require.Empty(t, traces(t, name))
}

func TestWhatCannotBeIsSaid(t *testing.T) {
	for line, want := range map[string]string{
		"fly":                   `no command "fly"`,
		"exec h1":               "write: exec HOST PROGRAM",
		"publish":               "needs something",
		"status now":            `"now" is no flag`,
		"up -n -1":              "-n from 0",
		"exec -name no h1 true": "machine h1 of lab no: the machine is off",
		"down -name ../x":       "is no name of a lab",
		"net -name no ip":       "lab no",
		"drop -name no x=":      "lab no",
	} {
		t.Run(line, func(t *testing.T) {
			var out bytes.Buffer
			_, err := run(t.Context(), strings.Fields(line), nil, &out, &out)
			require.ErrorContains(t, err, want)
		})
	}
}
