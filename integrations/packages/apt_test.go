package packages

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// recording answers as a machine did.
type recording map[string][]byte

func (r recording) run(_ context.Context, _ time.Duration, program string, args ...string) ([]byte, error) {
	said := program + " " + strings.Join(args, " ")
	for start, out := range r {
		if strings.HasPrefix(said, start) {
			return out, nil
		}
	}
	return nil, &command.Error{Program: said, Code: 100, Stderr: r["stderr"]}
}

func debian12(t *testing.T) recording {
	return recording{
		"dpkg-query": recorded(t, "debian-12/dpkg-query.txt"),
		"apt-get " + strings.Join(aptSimulation, " ") + " --with-new-pkgs upgrade": recorded(t, "debian-12/simulate.txt"),
		"apt-cache policy":                     recorded(t, "debian-12/policy.txt"),
		"apt-cache show --no-all-versions -- ": recorded(t, "debian-12/show.txt"),
		"dpkg --audit":                         nil,
		"apt-config":                           []byte("APT::Periodic::Unattended-Upgrade \"1\";\n"),
	}
}

// Serves G1, G14.
func TestCandidatesCarryOriginSizeAndHash(t *testing.T) {
	a := &APT{run: debian12(t).run, root: fstest.MapFS{}}
	set, err := a.Candidates(t.Context())
	require.NoError(t, err)
	golden := "testdata/apt/debian-12/candidates.golden"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(golden, set.Canonical(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(set.Canonical()))
	_, err = patching.ParseCandidateSet(set.Canonical())
	require.NoError(t, err, "the server takes it")
}

func TestAMachineWithNothingToUpgradeAsksForNoSizes(t *testing.T) {
	r := debian12(t)
	for call := range r {
		switch {
		case strings.HasPrefix(call, "apt-get"):
			r[call] = []byte("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n")
		case strings.HasPrefix(call, "apt-cache show"):
			delete(r, call)
		}
	}
	set, err := (&APT{run: r.run, root: fstest.MapFS{}}).Candidates(t.Context())
	require.NoError(t, err)
	require.Empty(t, set.Candidates)
	require.Equal(t, "apt", set.Manager)
}

func TestTheStateSaysWhatIsBrokenAndWhatWantsARestart(t *testing.T) {
	r := debian12(t)
	r["dpkg-query"] = slices.Concat(r["dpkg-query"], []byte("iF \ttb-slow\t1.1\tall\ttb-slow\t1.1\nii \tunattended-upgrades\t2.9.1\tall\tunattended-upgrades\t2.9.1\n"))
	r["dpkg --audit"] = recorded(t, "audit/half-configured.txt")
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	root := fstest.MapFS{
		"var/lib/dpkg/updates/tmp.i": file(""),
		"run/reboot-required":        file("*** System restart required ***\n"),
		"run/reboot-required.pkgs":   file("tb-reboot\nlibc6\ntb-reboot\n"),
	}
	s, err := (&APT{run: r.run, root: root}).State(t.Context())
	require.NoError(t, err)
	require.Equal(t, State{
		Broken: []string{"tb-badpost", "tb-slow"}, RebootPending: true, RebootFor: []string{"libc6", "tb-reboot"},
		Updaters: []string{"unattended-upgrades"},
	}, s)

	root = fstest.MapFS{
		"var/lib/dpkg/updates/0000":                      file("Package: tb-slow\n"),
		"etc/systemd/system/apt-daily-upgrade.timer":     &fstest.MapFile{Data: []byte("/dev/null"), Mode: os.ModeSymlink},
		"etc/systemd/system/timers.target.wants/x.timer": file(""),
	}
	s, err = (&APT{run: r.run, root: root}).State(t.Context())
	require.NoError(t, err)
	require.True(t, s.Interrupted, "dpkg was killed")
	require.False(t, s.RebootPending)
	require.Empty(t, s.Updaters, "its timer is masked")
}

// Serves Q8.
func TestWhatAptComplainsOfHasItsReason(t *testing.T) {
	for said, want := range map[string]patching.Reason{
		"E: Version '9.9' for 'tb-reboot' was not found\n":                                                  patching.ReasonPlanStale,
		"E: Unable to locate package no-such-thing\n":                                                       patching.ReasonPlanStale,
		"E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 2776 (python3)\n":         patching.ReasonLocked,
		"dpkg: error: dpkg database lock was locked by another process with pid 2833\n":                     patching.ReasonLocked,
		"E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. \n":   patching.ReasonPreflight,
		"E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).\n": patching.ReasonPreflight,
		"E: Held packages were changed and -y was used without --allow-change-held-packages.\n":             patching.ReasonHostRules,
		"E: Unable to correct problems, you have held broken packages.\n":                                   patching.ReasonInstallFailed,
		"E: Write error - write (28: No space left on device)\nE: IO Error saving source cache\n":           patching.ReasonDisk,
	} {
		err := aptError(&command.Error{Program: "apt-get", Code: 100, Stderr: []byte(said)}, nil)
		var known *Error
		require.ErrorAs(t, err, &known, said)
		require.Equal(t, want, known.Reason, said)
		require.NotContains(t, known.Detail, "E: ")
	}
	err := aptError(&command.Error{Program: "apt-get", Stderr: []byte("E: Unable to correct problems, you have held broken packages.\n")},
		[]byte("The following packages have unmet dependencies:\n tb-dep : Depends: no-such-package (>= 2) but it is not installable\n"))
	require.ErrorContains(t, err, "tb-dep : Depends: no-such-package (>= 2)", "which dependency")
	other := errors.New("other")
	require.Equal(t, other, aptError(other, nil))
}

func TestNothingButAPackageBecomesAnArgument(t *testing.T) {
	for _, p := range []patching.Patch{
		{Action: patching.Upgrade, Name: "-oAPT::Update::Pre-Invoke::=id", Arch: "amd64", To: "1"},
		{Action: patching.Upgrade, Name: "bash", Arch: "amd64", To: "1 -o x=y"},
		{Action: patching.Upgrade, Name: "bash", Arch: "amd64"},
		{Action: patching.Remove, Name: "bash", Arch: "-", From: "1"},
	} {
		_, err := (&APT{run: recording{"": nil}.run}).Simulate(t.Context(), []patching.Patch{p})
		var known *Error
		require.ErrorAs(t, err, &known, "%+v", p)
		require.Equal(t, patching.ReasonRefused, known.Reason)
	}
}

// thisMachine returns the apt of the machine that the test runs on.
func thisMachine(t *testing.T) *APT {
	t.Helper()
	if _, err := command.Find("apt-get"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no apt here, but CI proves this commit: run the tests on Debian")
		}
		t.Skip("no apt here")
	}
	return NewAPT(Options{})
}

// Serves G1.
func TestThisMachineIsReadAsItsOwnToolsSeeIt(t *testing.T) {
	a := thisMachine(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	has, err := a.Installed(ctx)
	require.NoError(t, err)
	listed, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", `${db:Status-Status}\n`).Output()
	require.NoError(t, err)
	require.Len(t, has, strings.Count(string(listed), "installed\n")-strings.Count(string(listed), "not-installed\n"))
	_, err = patching.ParsePackageSet(Set("apt", has).Canonical())
	require.NoError(t, err)

	began := time.Now()
	set, err := a.Candidates(ctx)
	require.NoError(t, err)
	t.Logf("%d candidates, %d kept back, in %s", len(set.Candidates), len(set.KeptBack), time.Since(began))
	_, err = patching.ParseCandidateSet(set.Canonical())
	require.NoError(t, err)
	upgrades := len(set.KeptBack)
	for _, c := range set.Candidates {
		if c.From != "" {
			upgrades++
		}
		require.Positive(t, c.Size, c.Name)
		require.Len(t, c.SHA256, 64, c.Name)
	}
	list, err := exec.CommandContext(ctx, "apt", "list", "--upgradable").Output()
	require.NoError(t, err)
	require.Equal(t, strings.Count(string(list), "[upgradable from: "), upgrades)
}

func TestASimulationOfOneUpgradeNamesIt(t *testing.T) {
	a := thisMachine(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	has, err := a.Installed(ctx)
	require.NoError(t, err)
	i := slices.IndexFunc(has, func(p Installed) bool { return p.Name == "hostname" || p.Name == "tar" })
	require.GreaterOrEqual(t, i, 0, "a Debian without hostname and tar")
	p := has[i]

	changes, err := a.Simulate(ctx, []patching.Patch{{Action: patching.Upgrade, Name: p.Name, Arch: p.Arch, To: "0.0.1-none"}})
	var known *Error
	require.ErrorAs(t, err, &known, "%v", changes)
	require.Equal(t, patching.ReasonPlanStale, known.Reason, "a version that nobody has")

	set, err := a.Candidates(ctx)
	require.NoError(t, err)
	for _, c := range set.Candidates {
		changes, err := a.Simulate(ctx, []patching.Patch{{Action: patching.Upgrade, Name: c.Name, Arch: c.Arch, From: c.From, To: c.To}})
		require.NoError(t, err)
		require.Contains(t, changes, patching.Change{Name: c.Name, Arch: c.Arch, From: c.From, To: c.To})
		break // one will do: each takes seconds
	}
}

func TestASimulatedRemovalKnowsTheArchitecture(t *testing.T) {
	r := recording{
		"dpkg-query": []byte("ii \ttcl8.6\t8.6.13+dfsg-2\tamd64\ttcl8.6\t8.6.13+dfsg-2\nii \ttk\t8.6.13\tall\ttcltk-defaults\t8.6.13\n"),
		"apt-get":    recorded(t, "removal.txt"),
	}
	changes, err := (&APT{run: r.run}).Simulate(t.Context(), []patching.Patch{{Action: patching.Remove, Name: "tcl8.6", Arch: "amd64", From: "8.6.13+dfsg-2"}})
	require.NoError(t, err)
	require.Len(t, changes, 7)
	require.Contains(t, changes, patching.Change{Name: "tcl8.6", Arch: "amd64", From: "8.6.13+dfsg-2"})
	require.Contains(t, changes, patching.Change{Name: "tk", Arch: "all", From: "8.6.13"})
}
