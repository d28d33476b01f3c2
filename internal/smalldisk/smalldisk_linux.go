// Package smalldisk gives tests disks that are really full.
package smalldisk

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// variable says to a process of a test that its mounts are its own.
const variable = "PATCHCYCLE_TEST_SMALL_DISK"

// On returns a folder on a disk in memory, by the options of tmpfs: "size=2m". Only the
// test's own process sees it: the test is run again in one that may mount, and that
// leaves nothing mounted however it ends. There ok is true; elsewhere the test is over.
func On(t *testing.T, options string) (dir string, ok bool) {
	t.Helper()
	if os.Getenv(variable) != "" {
		dir = t.TempDir()
		require.NoError(t, syscall.Mount("none", dir, "tmpfs", 0, options))
		t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
		return dir, true
	}
	program, err := os.Executable()
	require.NoError(t, err)
	var out bytes.Buffer
	again := exec.CommandContext(t.Context(), program, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	again.Env = append(os.Environ(), variable+"=1")
	again.Stdout, again.Stderr = &out, &out
	again.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = again.Run()
	if errors.Is(err, syscall.EPERM) {
		require.NotEqual(t, "true", os.Getenv("CI"), "this process may not mount: run the tests as root")
		t.Skip("needs a disk of its own to fill; the cure: run it as root")
	}
	require.NoError(t, err, "%s", &out)
	return "", false
}

// Fill takes all space of the folder's disk, and what has become free since it was last
// called; free gives it back.
func Fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer f.Close()
	for block := make([]byte, os.Getpagesize()); err == nil; {
		_, err = f.Write(block)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	return func() { require.NoError(t, os.Remove(name)) }
}
