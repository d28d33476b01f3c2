//go:build linux

package faults_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/nspawn/labtest"
)

// house is a lab with one machine that has the good version of every package
// and a small disk of its own.
type house struct {
	t    *testing.T
	ctx  context.Context //nolint:containedctx // one test's
	repo *faults.Repository
	lab  *nspawn.Lab
	host *nspawn.Host
}

func newHouse(t *testing.T) *house {
	t.Helper()
	labtest.Need(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	var repo *faults.Repository
	lab := labtest.Up(t, nspawn.Options{Name: "faults", Repositories: func(folder string) (_ []nspawn.Repository, err error) {
		if repo, err = faults.Open(folder); err != nil {
			return nil, err
		}
		if err := repo.PublishAll(faults.Good, faults.Bad, faults.Fixed); err != nil {
			return nil, err
		}
		key, err := repo.Key()
		return []nspawn.Repository{{Name: "lab", Suite: faults.Suite, Key: key, Handler: repo.Handler()}}, err
	}})
	// Without Debian's 60,000 packages each apt is ten times as quick.
	require.NoError(t, lab.Install("etc/apt/sources.list.d/debian.sources", nil, 0o644))
	require.NoError(t, lab.Apt(ctx, "update", "-q", "-o", "APT::Update::Error-Mode=any"))
	install := []string{"install", "-y", "-q"}
	for _, f := range faults.Faults() {
		install = append(install, string(f)+"="+faults.Good)
	}
	require.NoError(t, lab.Apt(ctx, install...))
	host, err := lab.Create(ctx, nspawn.HostOptions{DiskMB: 400})
	require.NoError(t, err)
	require.NoError(t, nspawn.Boot(ctx, host))
	return &house{t: t, ctx: ctx, repo: repo, lab: lab, host: host}
}

func (h *house) run(args ...string) (code int, said string) {
	h.t.Helper()
	o, err := h.host.Exec(h.ctx, args...)
	require.NoError(h.t, err)
	return o.Code, o.Stdout + o.Stderr
}

func (h *house) install(args ...string) (int, string) {
	h.t.Helper()
	return h.run(append([]string{"apt-get", "install", "-y", "-q", "-o", "Dpkg::Use-Pty=0", "--allow-downgrades"}, args...)...)
}

// state is dpkg's: "ii " for what is well.
func (h *house) state(f faults.Fault) (state, version string) {
	h.t.Helper()
	_, state = h.run("dpkg-query", "-W", "-f", "${db:Status-Abbrev}", string(f))
	_, version = h.run("dpkg-query", "-W", "-f", "${Version}", string(f))
	return state, version
}

// good brings a package back to its good version, and sees the machine whole.
func (h *house) good(f faults.Fault) {
	h.t.Helper()
	code, said := h.install(string(f) + "=" + faults.Good)
	require.Zero(h.t, code, said)
	code, said = h.run("dpkg", "--audit")
	require.Zero(h.t, code)
	require.Empty(h.t, said, "dpkg has nothing to complain of")
}

func bad(f faults.Fault) string { return string(f) + "=" + faults.Bad }

// What apt and dpkg say is that of Debian 12, as it was seen on a machine of the
// same kind on 2026-11-20.
func TestEveryFaultShowsAsItDoesOnARealMachine(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		name string
		do   func(t *testing.T)
	}{
		{"a postinst that fails leaves the package half configured", func(t *testing.T) {
			code, said := h.install(bad(faults.PostinstFails))
			require.Equal(t, 100, code)
			require.Contains(t, said, "installed lab-postinst-fails package post-installation script subprocess returned error exit status 1")
			state, version := h.state(faults.PostinstFails)
			require.Equal(t, "iF ", state)
			require.Equal(t, faults.Bad, version)
			h.good(faults.PostinstFails)
		}},
		{"a preinst that fails leaves the old version in place", func(t *testing.T) {
			code, said := h.install(bad(faults.PreinstFails))
			require.Equal(t, 100, code)
			require.Contains(t, said, "new lab-preinst-fails package pre-installation script subprocess returned error exit status 1")
			state, version := h.state(faults.PreinstFails)
			require.Equal(t, "ii ", state)
			require.Equal(t, faults.Good, version)
		}},
		{"a service dies after the upgrade while apt says that all is well", func(t *testing.T) {
			code, said := h.install(string(faults.ServiceDies) + "=" + faults.Fixed)
			require.Zero(t, code, said)
			code, _ = h.run("systemctl", "is-active", "lab-service-dies")
			require.Zero(t, code, "a good version's service runs")
			code, said = h.install(bad(faults.ServiceDies))
			require.Zero(t, code, said)
			require.Eventually(t, func() bool {
				_, said := h.run("systemctl", "is-system-running")
				return said == "degraded\n"
			}, 20*time.Second, 200*time.Millisecond)
			h.good(faults.ServiceDies)
			_, said = h.run("systemctl", "is-system-running")
			require.Equal(t, "running\n", said)
		}},
		{"a strict package says that its service does not start", func(t *testing.T) {
			code, said := h.install(bad(faults.ServiceStrict))
			require.Equal(t, 100, code)
			require.Contains(t, said, "installed lab-service-strict package post-installation script subprocess returned error exit status 1")
			h.good(faults.ServiceStrict)
		}},
		{"a file that its owner changed stops the installation at a question", func(t *testing.T) {
			require.NoError(t, h.host.WriteFile("etc/lab-conffile.conf", []byte("setting = mine\n"), 0o644))
			code, said := h.install(bad(faults.Conffile))
			require.Equal(t, 100, code)
			require.Contains(t, said, "end of file on stdin at conffile prompt")
			code, said = h.run("apt-get", "install", "-y", "-q", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold", bad(faults.Conffile))
			require.Zero(t, code, said)
			text, err := h.host.ReadFile("etc/lab-conffile.conf")
			require.NoError(t, err)
			require.Equal(t, "setting = mine\n", string(text))
		}},
		{"a file of another package stops the unpacking", func(t *testing.T) {
			code, said := h.install(bad(faults.Clash))
			require.Equal(t, 100, code)
			require.Contains(t, said, "trying to overwrite '/usr/share/lab-conffile/version', which is also in package lab-conffile")
			state, version := h.state(faults.Clash)
			require.Equal(t, "ii "+faults.Good, state+version, said)
		}},
		{"a dependency that nobody has is refused before anything is done", func(t *testing.T) {
			code, said := h.install(bad(faults.Unmet))
			require.Equal(t, 100, code)
			require.Contains(t, said, "Depends: no-such-package (>= 2) but it is not installable")
		}},
		{"a held package is not changed", func(t *testing.T) {
			_, err := h.host.Output(h.ctx, "apt-mark", "hold", string(faults.Reboot))
			require.NoError(t, err)
			code, said := h.install(bad(faults.Reboot))
			require.Equal(t, 100, code)
			require.Contains(t, said, "Held packages were changed and -y was used without --allow-change-held-packages")
			_, err = h.host.Output(h.ctx, "apt-mark", "unhold", string(faults.Reboot))
			require.NoError(t, err)
		}},
		{"a package asks for a reboot, and is satisfied by it", func(t *testing.T) {
			code, said := h.install(bad(faults.Reboot))
			require.Zero(t, code, said)
			_, said = h.run("cat", "/run/reboot-required.pkgs")
			require.Equal(t, "lab-reboot\n", said)
			require.NoError(t, h.host.Reboot(h.ctx))
			code, _ = h.run("cat", "/run/reboot-required")
			require.NotZero(t, code)
		}},
		{"locks are held until they are released", func(t *testing.T) {
			for lock, want := range map[faults.Lock]string{
				faults.LockFrontend: "Could not get lock /var/lib/dpkg/lock-frontend. It is held by process",
				faults.LockDpkg:     "Unable to lock the administration directory (/var/lib/dpkg/)",
			} {
				release, err := faults.Hold(h.ctx, h.host, lock)
				require.NoError(t, err)
				code, said := h.install(string(faults.Reboot) + "=" + faults.Fixed)
				require.Equal(t, 100, code)
				require.Contains(t, said, want)
				release()
				h.good(faults.Reboot)
			}
			release, err := faults.Hold(h.ctx, h.host, faults.LockLists)
			require.NoError(t, err)
			code, said := h.run("apt-get", "update", "-q")
			require.Equal(t, 100, code)
			require.Contains(t, said, "Could not get lock /var/lib/apt/lists/lock. It is held by process")
			release()
		}},
		{"a disk without room for a download says so", func(t *testing.T) {
			require.NoError(t, faults.FillDisk(h.ctx, h.host, 30))
			code, said := h.install(bad(faults.Big))
			require.Equal(t, 100, code)
			require.Contains(t, said, "You don't have enough free space in /var/cache/apt/archives/.")
			require.NoError(t, faults.FreeDisk(h.ctx, h.host))
		}},
		{"a disk that fills up while a package is unpacked keeps the old one", func(t *testing.T) {
			code, said := h.install("--download-only", bad(faults.Big))
			require.Zero(t, code, said)
			require.NoError(t, faults.FillDisk(h.ctx, h.host, 30))
			code, said = h.install(bad(faults.Big))
			require.Equal(t, 100, code)
			require.Contains(t, said, "failed to write (No space left on device)")
			_, version := h.state(faults.Big)
			require.Equal(t, faults.Good, version)
			require.NoError(t, faults.FreeDisk(h.ctx, h.host))
		}},
		{"a disk that is full to the last byte", func(t *testing.T) {
			require.NoError(t, faults.FillDisk(h.ctx, h.host, 0))
			code, said := h.install(string(faults.Reboot) + "=" + faults.Fixed)
			require.Equal(t, 100, code)
			require.Contains(t, said, "No space left on device")
			require.NoError(t, faults.FreeDisk(h.ctx, h.host))
			h.good(faults.Reboot)
		}},
		{"a disk without inodes reads like a failed download", func(t *testing.T) {
			_, err := h.host.Output(h.ctx, "apt-get", "clean")
			require.NoError(t, err)
			require.NoError(t, faults.FillInodes(h.ctx, h.host))
			code, said := h.install(string(faults.Reboot) + "=" + faults.Fixed)
			require.Equal(t, 100, code)
			require.Contains(t, said, "(28: No space left on device)")
			require.NoError(t, faults.FreeDisk(h.ctx, h.host))
		}},
		{"apt and dpkg are killed in a postinst", func(t *testing.T) {
			done := h.during(bad(faults.Slow))
			require.NoError(t, faults.KillPackageManager(h.ctx, h.host, faults.InScript(faults.Slow, "postinst")))
			require.NotZero(t, <-done)
			code, said := h.install(string(faults.Reboot) + "=" + faults.Fixed)
			require.Equal(t, 100, code)
			require.Contains(t, said, "dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem")
			// Back to the good version, whose script does not sleep.
			state, _ := h.state(faults.Slow)
			require.Equal(t, "iF ", state)
			h.run("pkill", "-f", "lab-slow.postinst") // the orphan would be taken for the next one
			require.NoError(t, h.host.WriteFile("var/lib/dpkg/info/lab-slow.postinst", []byte("#!/bin/sh\n"), 0o755))
			code, said = h.run("dpkg", "--configure", "-a")
			require.Zero(t, code, said)
			h.good(faults.Slow)
		}},
		{"apt and dpkg are killed while they unpack", func(t *testing.T) {
			code, said := h.install("--download-only", bad(faults.Big))
			require.Zero(t, code, said)
			done := h.during(bad(faults.Big))
			require.NoError(t, faults.KillPackageManager(h.ctx, h.host, func(p nspawn.Process) bool {
				return faults.Unpacking(p) && len(p.Args) > 1 && p.Args[1] == "--fsys-tarfile"
			}))
			require.NotZero(t, <-done)
			state, _ := h.state(faults.Big)
			require.Equal(t, "iHR", state)
			// Clears the journal, and repairs nothing, whatever it answers.
			h.run("dpkg", "--configure", "-a")
			state, _ = h.state(faults.Big)
			require.NotEqual(t, "ii ", state)
			code, said = h.run("apt-get", "install", "-y", "-q", "--reinstall", "--allow-downgrades", string(faults.Big)+"="+faults.Good)
			require.Zero(t, code, said)
			h.good(faults.Big)
		}},
		{"the machine loses its power in a postinst", func(t *testing.T) {
			h.during(bad(faults.Slow))
			require.NoError(t, faults.Await(h.ctx, h.host, faults.InScript(faults.Slow, "postinst")))
			require.NoError(t, h.host.PowerLoss(h.ctx))
			require.NoError(t, nspawn.Boot(h.ctx, h.host))
			state, _ := h.state(faults.Slow)
			require.Equal(t, "iF ", state)
			_, said := h.run("dpkg", "--audit")
			require.Contains(t, said, "lab-slow")
			require.NoError(t, h.host.WriteFile("var/lib/dpkg/info/lab-slow.postinst", []byte("#!/bin/sh\n"), 0o755))
			code, said := h.run("dpkg", "--configure", "-a")
			require.Zero(t, code, said)
			h.good(faults.Slow)
		}},
		{"versions that the archive has dropped cannot be had", func(t *testing.T) {
			require.NoError(t, h.repo.Drop(faults.Reboot, faults.Good, faults.Bad))
			_, err := h.host.Output(h.ctx, "apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any")
			require.NoError(t, err)
			code, said := h.install(bad(faults.Reboot))
			require.Equal(t, 100, code)
			require.Contains(t, said, "Version '1.1' for 'lab-reboot' was not found")
		}},
		{"an index that has expired is refused", func(t *testing.T) {
			require.NoError(t, h.repo.Expire(-time.Hour))
			code, said := h.run("apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any")
			require.Equal(t, 100, code)
			require.Contains(t, said, "is expired (invalid since")
		}},
	} {
		if !t.Run(c.name, func(t *testing.T) {
			h.t = t
			began := time.Now()
			c.do(t)
			t.Logf("%.1f s", time.Since(began).Seconds())
		}) {
			break // the machine is not as the next one expects it
		}
	}
}

// during starts an installation and returns where its exit code will come.
func (h *house) during(what string) <-chan int {
	done := make(chan int, 1)
	go func() {
		o, err := h.host.Exec(h.ctx, "apt-get", "install", "-y", "-q", "-o", "Dpkg::Use-Pty=0", "--allow-downgrades", what)
		if err != nil {
			o.Code = -1
		}
		done <- o.Code
	}()
	return done
}

func TestADiskThatIsNotTheMachinesOwnIsNeverFilled(t *testing.T) {
	h := &nspawn.Host{Name: "h1"}
	require.ErrorContains(t, faults.FillDisk(t.Context(), h, 0), "DiskMB")
	require.ErrorContains(t, faults.FillInodes(t.Context(), h), "DiskMB")
}
