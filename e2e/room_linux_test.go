package e2e_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/smalldisk"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// A server's disk is really full: first while it serves, then when it is started.
// The disk is one in memory, which only the test's own process sees.
//
// Serves Q1, Q13.
func TestAFullDiskIsNamedAndLosesNothing(t *testing.T) {
	disk, ok := smalldisk.On(t, "size=48m")
	if !ok {
		return
	}
	h := newHouse(t, func(c *serve.Config) { c.Dir, c.UI, c.Log = filepath.Join(disk, "d"), "", zap.NewNop() })
	check, _ := h.check(t, "disk")
	require.False(t, check.OK, "48 MB are not much")
	require.Contains(t, check.Words, "of 50.3 MB are free")

	free := smalldisk.Fill(t, disk)
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
	free = smalldisk.Fill(t, disk)
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
