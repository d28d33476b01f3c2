package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/host"
	"github.com/patchcycle/patchcycle/integrations/packages"
	"github.com/patchcycle/patchcycle/patching"
)

// box is a machine whose package manager says what a test wants.
type box struct {
	packages.None
	state packages.State
	room  packages.Room
	// begins is called when an installation begins.
	begins func()
	// updates counts how often lists were fetched.
	updates  int
	fetches  int   // of packages
	away     error // why they cannot be
	onUpdate func(context.Context)
}

func (b *box) Update(ctx context.Context) error {
	b.updates++
	if b.onUpdate != nil {
		b.onUpdate(ctx)
	}
	return b.away
}

func (b *box) Fetch(context.Context, []patching.Patch) error  { b.fetches++; return nil }
func (b *box) Clean(context.Context, []string) (int64, error) { return 7, nil }

func (b *box) Name() string                                                  { return "apt" }
func (b *box) State(context.Context) (packages.State, error)                 { return b.state, nil }
func (b *box) Room(context.Context, []patching.Patch) (packages.Room, error) { return b.room, nil }
func (b *box) Install(context.Context, []patching.Patch) error {
	if b.begins != nil {
		b.begins()
	}
	return &packages.Error{Reason: patching.ReasonInstallFailed, Detail: "d", Signature: "s"}
}

// newMachine has room, no other program at work, and a clock that is right.
func newMachine(t *testing.T) (*Machine, *box) {
	t.Helper()
	b := &box{}
	s := newSystemd(t)
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	root := fstest.MapFS{
		"run/systemd/system/x": &fstest.MapFile{},
		"var/lib/dpkg/status":  &fstest.MapFile{ModTime: now.Add(-time.Hour)},
		"proc/77/comm":         &fstest.MapFile{Data: []byte("aptitude\n")},
	}
	m := &Machine{
		o: Options{LockWait: time.Nanosecond, Notice: time.Minute, Log: zap.NewNop()}, root: root, boot: "b1", manager: b, units: s.open(t.TempDir(), "b1"),
		now: func() time.Time { return now },
		run: func(context.Context, time.Duration, string, ...string) ([]byte, error) {
			return []byte("inactive\n"), errors.New("3")
		},
		lockedBy: func(string) (int, bool, error) { return 0, false, nil },
		spaceAt: func(string) (host.Space, error) {
			return host.Space{Device: 1, Bytes: 10 << 30, Inodes: 1e6, CountsInodes: true}, nil
		},
	}
	return m, b
}

var bundle = patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{
	{Action: patching.Upgrade, Name: "tool", Arch: "amd64", From: "1", To: "1:2", Size: 100 << 20},
}}}}

func refused(t *testing.T, err error, reason patching.Reason) string {
	t.Helper()
	var f *agent.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, reason, f.Reason, f.Detail)
	require.NotEmpty(t, f.Detail)
	return f.Detail
}

// Serves G14.
func TestAMachineIsReadyOrSaysWhyNot(t *testing.T) {
	m, b := newMachine(t)
	ctx := t.Context()
	require.NoError(t, m.Preflight(ctx, bundle))

	b.state.Broken = []string{"other", "tool"}
	var half *agent.Failure
	require.ErrorAs(t, m.Preflight(ctx, bundle), &half)
	require.True(t, half.Mendable, "a repair is tried before the order fails by it")
	detail := refused(t, m.Preflight(ctx, bundle), patching.ReasonPreflight)
	require.Contains(t, detail, "other")
	require.NotContains(t, detail, "tool", "whose order cures it")
	b.state.Broken = []string{"tool"}
	require.NoError(t, m.Preflight(ctx, bundle))

	refused(t, m.Preflight(ctx, patching.Bundle{Manager: "dnf"}), patching.ReasonPlanStale)

	m.lockedBy = func(path string) (int, bool, error) { return 77, path == "/var/lib/dpkg/lock", nil }
	require.Contains(t, refused(t, m.Preflight(ctx, bundle), patching.ReasonLocked), "process 77 (aptitude), which holds /var/lib/dpkg/lock")
	m.lockedBy = func(string) (int, bool, error) { return 0, false, nil }
	m.run = func(_ context.Context, _ time.Duration, _ string, args ...string) ([]byte, error) {
		if args[1] == "apt-daily-upgrade.service" {
			return []byte("activating\n"), errors.New("3")
		}
		return []byte("inactive\n"), errors.New("3")
	}
	require.Contains(t, refused(t, m.Preflight(ctx, bundle), patching.ReasonLocked), "apt-daily-upgrade.service")
	m.run = func(context.Context, time.Duration, string, ...string) ([]byte, error) {
		return []byte("inactive\n"), nil
	}

	right := m.now
	m.now = func() time.Time { return right().AddDate(-1, 0, 0) }
	require.Contains(t, refused(t, m.Preflight(ctx, bundle), patching.ReasonClockOff), "2025-11-20")
	m.now = right

	m.units.root = fstest.MapFS{}
	refused(t, m.Preflight(ctx, bundle), patching.ReasonPreflight)
}

func TestALockIsWaitedFor(t *testing.T) {
	m, _ := newMachine(t)
	m.o.LockWait = time.Minute
	asked := 0
	m.lockedBy = func(string) (int, bool, error) { asked++; return 77, asked == 1, nil }
	require.NoError(t, m.Preflight(t.Context(), bundle))
	require.Greater(t, asked, 1)
}

// Serves Q8: apt was never asked.
func TestATransactionThatCannotBeWrittenDownIsLaidToTheDisk(t *testing.T) {
	record := &fs.PathError{Op: "open", Path: "/var/lib/patchcycle-agent/transactions/.1", Err: syscall.ENOSPC}
	require.Contains(t, refused(t, failure(fmt.Errorf("download: %w", record)), patching.ReasonDisk), record.Path)
	known := &packages.Error{Reason: patching.ReasonInstallFailed, Detail: "d"}
	refused(t, failure(errors.Join(known, record)), patching.ReasonInstallFailed)
}

// Serves G14.
func TestSpaceIsAddedUpByFileSystem(t *testing.T) {
	m, b := newMachine(t)
	b.room = packages.Room{Grows: 50 << 20, Peak: 200 << 20, Kernels: 1}
	left := map[string]host.Space{}
	m.spaceAt = func(folder string) (host.Space, error) { return left[folder], nil }
	set := func(archives, usr, dpkg, boot host.Space) {
		left = map[string]host.Space{"/var/cache/apt/archives": archives, "/usr": usr, "/var/lib/dpkg": dpkg, "/boot": boot}
	}
	disk := func(device uint64, megabytes, inodes int64) host.Space {
		return host.Space{Device: device, Bytes: megabytes << 20, Inodes: inodes, CountsInodes: true}
	}
	one := disk(1, 493, 1e6)
	set(one, one, one, one)
	detail := refused(t, m.Preflight(t.Context(), bundle), patching.ReasonDisk)
	require.Contains(t, detail, "494 MB are needed, 493 MB are left", "100 to fetch, 250 to unpack, 64 for dpkg, 80 for a kernel")
	one = disk(1, 494, 1e6)
	set(one, one, one, one)
	require.NoError(t, m.Preflight(t.Context(), bundle))

	big := disk(1, 100000, 1e6)
	set(big, big, big, disk(2, 60, 1e6))
	require.Contains(t, refused(t, m.Preflight(t.Context(), bundle), patching.ReasonDisk), "/boot: 80 MB")
	set(big, big, disk(3, 10, 1e6), big)
	require.Contains(t, refused(t, m.Preflight(t.Context(), bundle), patching.ReasonDisk), "/var/lib/dpkg")
	set(big, disk(4, 100000, 100), big, big)
	require.Contains(t, refused(t, m.Preflight(t.Context(), bundle), patching.ReasonDisk), "inodes for /usr")
	none := big
	none.Inodes, none.CountsInodes = 0, false
	set(none, none, none, none)
	require.NoError(t, m.Preflight(t.Context(), bundle), "such a file system makes them as needed")

	m.root.(fstest.MapFS)["var/cache/apt/archives/tool_1%3a2_amd64.deb"] = &fstest.MapFile{Data: make([]byte, 100<<20)}
	one = disk(1, 394, 1e6)
	set(one, one, one, one)
	require.NoError(t, m.Preflight(t.Context(), bundle), "it has been fetched")
}

func TestAFailureKeepsItsReason(t *testing.T) {
	m, _ := newMachine(t)
	err := m.Apply(t.Context(), bundle.Patches())
	var f *agent.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, agent.Failure{Reason: patching.ReasonInstallFailed, Detail: "d", Signature: "s"}, *f)
}

// What packages look like while a transaction is at work would mislead whoever
// begins the next.
func TestNothingIsReadBeforeAnEarlierTransactionHasEnded(t *testing.T) {
	m, b := newMachine(t)
	s := newSystemd(t)
	m.units.run = s.run
	require.NoError(t, m.units.start(under(t, "o-1"), record{Unit: unitPrefix + "o-1-1", Order: "o-1", Boot: "b1", Program: "sleep", Args: []string{"0.5"}, Started: time.Now(), Limit: time.Minute}))
	b.begins = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		require.Equal(t, "exited", s.units[unitPrefix+"o-1-1.service"].sub)
	}
	require.Error(t, m.Apply(under(t, "o-1"), bundle.Patches()))
}

// Serves G7.
func TestARestartIsGivenNoticeOf(t *testing.T) {
	for name, c := range map[string]struct {
		notice time.Duration
		logind bool
		want   []string
	}{
		"a minute":       {time.Minute, true, []string{"shutdown -r +1 patchcycle: restarting to complete an update"}},
		"a quarter":      {15 * time.Minute, true, []string{"shutdown -r +15 patchcycle: restarting to complete an update"}},
		"none":           {-1, true, []string{"systemctl reboot"}},
		"nobody to tell": {time.Minute, false, []string{"shutdown -r +1 patchcycle: restarting to complete an update", "systemctl reboot"}},
	} {
		m, _ := newMachine(t)
		m.o.Notice = c.notice
		var did []string
		m.run = func(_ context.Context, _ time.Duration, program string, args ...string) ([]byte, error) {
			line := program
			for _, a := range args {
				line += " " + a
			}
			if strings.HasPrefix(line, "systemctl is-active ") {
				return []byte("inactive\n"), errors.New("3")
			}
			did = append(did, line)
			if program == "shutdown" && !c.logind {
				return nil, errors.New("Failed to call ScheduleShutdown in logind")
			}
			return nil, nil
		}
		require.NoError(t, m.Reboot(t.Context()))
		require.Equal(t, c.want, did, name)
	}
}

// Serves G7.
func TestNoRestartWhileAnotherProgramWorksWithPackages(t *testing.T) {
	m, _ := newMachine(t)
	var did []string
	m.run = func(_ context.Context, _ time.Duration, program string, args ...string) ([]byte, error) {
		did = append(did, program+" "+args[0])
		return []byte("inactive\n"), nil
	}
	m.lockedBy = func(path string) (int, bool, error) { return 77, path == "/var/lib/dpkg/lock", nil }
	require.Contains(t, refused(t, m.Reboot(t.Context()), patching.ReasonLocked), "aptitude")
	require.NotContains(t, did, "shutdown -r")
	require.NotContains(t, did, "systemctl reboot")
	m.lockedBy = func(string) (int, bool, error) { return 0, false, nil }
	require.NoError(t, m.Reboot(t.Context()))
	require.Contains(t, did, "shutdown -r")
}

func TestAMachineThatIsOnlyLookedAtChangesNothing(t *testing.T) {
	m, _ := newMachine(t)
	m.units = nil
	_, cleaned := m.Clean(t.Context(), nil)
	for _, err := range []error{m.Preflight(t.Context(), bundle), m.Apply(t.Context(), nil), m.Repair(t.Context()), m.Reboot(t.Context()), cleaned} {
		refused(t, err, patching.ReasonHostRules)
	}
}

func TestHealthNamesPackagesThatBroke(t *testing.T) {
	m, b := newMachine(t)
	m.root = fstest.MapFS{} // without systemd no service is known to fail
	m.units.root = m.root
	b.state = packages.State{Broken: []string{"initramfs-tools"}, RebootPending: true}
	h, err := m.Health(t.Context())
	require.NoError(t, err)
	require.Equal(t, agent.Health{Failing: []string{"initramfs-tools (half installed)"}, RebootPending: true}, h)
	require.True(t, ours("patchcycle-op-o-1-1.service"))
	require.False(t, ours("nginx.service"))
}
