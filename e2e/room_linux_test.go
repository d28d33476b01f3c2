package e2e_test

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// onSmallDisk says to a process of this test that its file systems are its own.
const onSmallDisk = "PATCHCYCLE_TEST_SMALL_DISK=1"

// A server's disk is really full: first while it serves, then when it is started.
// The disk is one in memory, which only the test's own process sees.
//
// Serves Q1, Q13.
func TestAFullDiskIsNamedAndLosesNothing(t *testing.T) {
	if os.Getenv("PATCHCYCLE_TEST_SMALL_DISK") == "" {
		inOwnMounts(t)
		return
	}
	disk := t.TempDir()
	require.NoError(t, syscall.Mount("none", disk, "tmpfs", 0, "size=48m"))
	// Temporal keeps the files of an engine open for as long as the process lives.
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(disk, syscall.MNT_DETACH)) })
	h := newHouse(t, func(c *serve.Config) { c.Dir, c.UI, c.Log = filepath.Join(disk, "d"), "", zap.NewNop() })
	check, _ := h.check(t, "disk")
	require.False(t, check.OK, "48 MB are not much")
	require.Contains(t, check.Words, "of 50.3 MB are free")

	free := fill(t, disk)
	add := func(name patching.AccountName) error {
		_, err := h.admin.AddAccount(t.Context(), wire.NewAccount{Name: name, Roles: []patching.Role{patching.RoleAuditor}})
		return err
	}
	var p *wire.Problem
	require.ErrorAs(t, add("zoe"), &p)
	require.Equal(t, http.StatusInsufficientStorage, p.Status, p.Detail)
	require.Contains(t, p.Detail, "The disk that holds the server's state is full")
	require.Contains(t, p.WayOut, "Free space")
	check, _ = h.check(t, "disk")
	require.Contains(t, check.Words, "0 bytes of 50.3 MB are free")
	require.Contains(t, check.WayOut, "Free space")

	free()
	require.NoError(t, add("zoe"), "it goes on without a restart")
	text, err := policy.Example("demo")
	require.NoError(t, err)
	_, err = h.as(t, ana).ApplyPolicy(t.Context(), "demo", "demo.yaml", text, true)
	require.NoError(t, err)
	until(t, time.Minute, "the engine", func() bool {
		_, err := h.as(t, ana).SetSchedule(t.Context(), "demo", wire.SetSchedule{})
		return err == nil
	})

	h.Stop()
	free = fill(t, disk)
	h.refuses(t, "the disk that holds "+h.config.Dir+" is full: free space there and start again; nothing was lost")
	program, err := os.Executable()
	require.NoError(t, err)
	doctor := exec.Command(program, "doctor", "--data-dir", h.config.Dir)
	doctor.Env = append(os.Environ(), asProgram)
	out, err := doctor.Output()
	require.Error(t, err)
	require.Regexp(t, `WRONG +disk +0 bytes of 50.3 MB are free`, string(out), "also while the server is down")

	free()
	h.start(t)
	accounts, err := h.admin.Accounts(t.Context(), time.Time{})
	require.NoError(t, err)
	require.Len(t, accounts.Items, 6, "the administrator, four of the house, and Zoe")
	kept, err := h.admin.Schedule(t.Context(), "demo")
	require.NoError(t, err)
	require.NotEmpty(t, kept.Next)
	chain, err := h.admin.VerifyAudit(t.Context())
	require.NoError(t, err)
	require.True(t, chain.OK, chain.Words)
}

// inOwnMounts runs the test again in a process that may mount what nobody else
// sees, and that leaves nothing mounted however it ends.
func inOwnMounts(t *testing.T) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	var out bytes.Buffer
	again := exec.CommandContext(t.Context(), program, "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	again.Env = append(os.Environ(), onSmallDisk)
	again.Stdout, again.Stderr = &out, &out
	again.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err = again.Run()
	if errors.Is(err, syscall.EPERM) {
		require.NotEqual(t, "true", os.Getenv("CI"), "this process may not mount: run the tests as root")
		t.Skip("needs a disk of its own to fill; the cure: run it as root")
	}
	require.NoError(t, err, "%s", &out)
}

// fill takes all space of a disk, until it is freed.
func fill(t *testing.T, disk string) (free func()) {
	t.Helper()
	f, err := os.Create(filepath.Join(disk, "filler"))
	require.NoError(t, err)
	defer f.Close()
	for block := make([]byte, 1<<12); err == nil; {
		_, err = f.Write(block)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	return func() { require.NoError(t, os.Remove(f.Name())) }
}
