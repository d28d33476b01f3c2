//go:build linux

package nspawn_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/nspawn/labtest"
)

func TestTwoMachinesBootMissUpdatesGetOneRebootAndLeaveNothing(t *testing.T) {
	labtest.Need(t)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	var name string
	before := surroundings(t)
	t.Run("in a lab", func(t *testing.T) {
		began := time.Now()
		lab := labtest.Up(t, nspawn.Options{Name: "smoke"})
		name = filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(must(lab.Create(ctx, nspawn.HostOptions{})).Console()))))
		must(lab.Create(ctx, nspawn.HostOptions{}))
		t.Logf("lab: %.1f s, base of %s, %d updates pending", time.Since(began).Seconds(), lab.Base.Made.At, lab.Base.Made.Pending)

		began = time.Now()
		hosts := lab.Hosts()
		require.NoError(t, nspawn.Boot(ctx, hosts...))
		t.Logf("two machines up: %.1f s", time.Since(began).Seconds())

		for _, h := range hosts {
			require.Equal(t, lab.Base.Made.Pending, pending(ctx, t, h), "each machine misses what the base misses")
		}
		require.NotEqual(t, must(hosts[0].BootID(ctx)), must(hosts[1].BootID(ctx)))

		upgradesOnePackage(ctx, t, hosts[0])
		require.Equal(t, lab.Base.Made.Pending, pending(ctx, t, hosts[1]), "the other machine stays as it was")
		used := must(hosts[0].DiskUsed())
		t.Logf("disk: %d MB after an upgrade, %d MB without", used>>20, must(hosts[1].DiskUsed())>>20)

		networkEndsAtTheServer(ctx, t, lab, hosts)
		cableAndFreezer(ctx, t, lab, hosts[1])
		filesGoInAndOut(ctx, t, hosts[0])

		id := must(hosts[0].BootID(ctx))
		ended := make(chan error, 1)
		go func() { _, err := hosts[0].Exec(ctx, "sleep", "600"); ended <- err }()
		require.Eventually(t, func() bool {
			all, err := hosts[0].Processes()
			return err == nil && slices.ContainsFunc(all, func(p nspawn.Process) bool { return p.Name == "sleep" })
		}, 10*time.Second, 20*time.Millisecond)
		began = time.Now()
		require.NoError(t, hosts[0].Reboot(ctx), "a program that we brought in keeps no machine from restarting")
		require.NoError(t, <-ended)
		t.Logf("reboot: %.1f s", time.Since(began).Seconds())
		require.NotEqual(t, id, must(hosts[0].BootID(ctx)))
		require.Equal(t, "running\n", must(hosts[0].Exec(ctx, "systemctl", "is-system-running")).Stdout)

		id = must(hosts[1].BootID(ctx))
		require.NoError(t, hosts[1].WriteFile("root/kept", []byte("x"), 0o600))
		require.NoError(t, hosts[1].PowerLoss(ctx))
		require.False(t, hosts[1].On())
		_, err := hosts[1].Exec(ctx, "true")
		require.Error(t, err, "what is off does not answer")
		require.NoError(t, nspawn.Boot(ctx, hosts[1]))
		require.NotEqual(t, id, must(hosts[1].BootID(ctx)))
		require.Equal(t, "x", string(must(hosts[1].ReadFile("root/kept"))))
		began = time.Now()
		t.Cleanup(func() { t.Logf("down: %.1f s", time.Since(began).Seconds()) })
	})
	require.Equal(t, before, surroundings(t))
	require.NotEmpty(t, name)
	require.NoDirExists(t, filepath.Join(nspawn.Cache(), "labs", name))
}

// upgradesOnePackage installs one real update by the machine's own apt, from the
// archive, and sees one missing patch less.
func upgradesOnePackage(ctx context.Context, t *testing.T, h *nspawn.Host) {
	t.Helper()
	missing := pending(ctx, t, h)
	const name = "xz-utils"
	old := must(h.Output(ctx, "dpkg-query", "-W", "-f", "${Version}", name))
	candidate := regexp.MustCompile(`Candidate: (\S+)`).FindStringSubmatch(must(h.Output(ctx, "apt-cache", "policy", name)))
	require.NotNil(t, candidate)
	if candidate[1] == old {
		t.Fatalf("%s has no update pending any more: choose another small package here", name)
	}
	began := time.Now()
	_, err := h.Output(ctx, "apt-get", "install", "-y", "-q", "-o", "Dpkg::Use-Pty=0", "--only-upgrade", "--", name)
	require.NoError(t, err)
	t.Logf("upgrade of %s: %.1f s", name, time.Since(began).Seconds())
	require.Equal(t, candidate[1], must(h.Output(ctx, "dpkg-query", "-W", "-f", "${Version}", name)))
	require.Less(t, pending(ctx, t, h), missing)
	_, err = h.Output(ctx, "apt-get", "install", "-y", "-q", "-o", "Dpkg::Use-Pty=0", "--allow-downgrades", "--", name+"="+old)
	require.NoError(t, err, "the archive still has the old version, so there is a way back")
}

func networkEndsAtTheServer(ctx context.Context, t *testing.T, lab *nspawn.Lab, hosts []*nspawn.Host) {
	t.Helper()
	reach := func(h *nspawn.Host, addr string) bool {
		host, port, _ := strings.Cut(addr, ":")
		o := must(h.Exec(ctx, "timeout", "2", "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port))
		return o.Code == 0
	}
	require.True(t, reach(hosts[0], lab.Server()))
	other, err := lab.Network.Listen(nspawn.Gateway + ":8081")
	require.NoError(t, err)
	defer other.Close()
	require.False(t, reach(hosts[0], nspawn.Gateway+":8081"), "one port, not all of the server's")
	require.True(t, reach(hosts[1], "127.0.0.1:80"), "nginx runs")
	require.False(t, reach(hosts[0], hosts[1].Address+":80"), "machines do not reach each other")
	conn, err := lab.Network.Dial(ctx, "tcp", hosts[1].Address+":80")
	require.NoError(t, err, "the server's end reaches machines")
	conn.Close()
	require.NoError(t, lab.CloseDoor())
	require.False(t, reach(hosts[0], lab.Server()))
	require.NoError(t, lab.OpenDoor())
}

func cableAndFreezer(ctx context.Context, t *testing.T, lab *nspawn.Lab, h *nspawn.Host) {
	t.Helper()
	answers := func() bool {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		conn, err := lab.Network.Dial(ctx, "tcp", h.Address+":80")
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
		_, _ = conn.Write([]byte("HEAD / HTTP/1.0\r\n\r\n"))
		n, _ := conn.Read(make([]byte, 8))
		return n > 0
	}
	require.True(t, answers())
	require.NoError(t, h.LinkDown(ctx))
	require.False(t, answers())
	require.NoError(t, h.LinkUp(ctx))
	require.Eventually(t, answers, 20*time.Second, 100*time.Millisecond)
	require.NoError(t, h.Freeze(ctx))
	require.False(t, answers())
	require.NoError(t, h.Thaw(ctx))
	require.Eventually(t, answers, 20*time.Second, 100*time.Millisecond)
}

func filesGoInAndOut(ctx context.Context, t *testing.T, h *nspawn.Host) {
	t.Helper()
	require.NoError(t, h.WriteFile("run/lab/note", []byte("on its tmpfs"), 0o640))
	require.Equal(t, "on its tmpfs", must(h.Output(ctx, "cat", "/run/lab/note")))
	require.Equal(t, "640", strings.TrimSpace(must(h.Output(ctx, "stat", "-c", "%a", "/run/lab/note"))))
	require.Equal(t, h.Name+"\n", string(must(h.ReadFile("etc/hostname"))))
	require.NoError(t, h.CopyIn("/bin/true", "usr/local/bin/copied"))
	require.Zero(t, must(h.Exec(ctx, "copied")).Code)
	require.Error(t, h.WriteFile("var/run/escaped", nil, 0o600), "an absolute link would lead to this machine's files")
	require.NoFileExists(t, "/run/escaped")
}

// pending counts missing patches as the machine's own apt does.
func pending(ctx context.Context, t *testing.T, h *nspawn.Host) int {
	t.Helper()
	out, err := h.Output(ctx, "apt-get", "-s", "-q", "dist-upgrade")
	require.NoError(t, err)
	n := strings.Count("\n"+out, "\nInst ")
	require.Positive(t, n)
	return n
}

// surroundings is everything around a lab that it must leave as it was.
func surroundings(t *testing.T) map[string]string {
	t.Helper()
	seen := map[string]string{}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		// Other tests have labs of their own at the same time.
		if !strings.Contains(line, nspawn.Cache()+"/labs/") || strings.Contains(line, "/labs/smoke") {
			seen["mounts"] += line
		}
	}
	for name, pattern := range map[string]string{
		"links": "/sys/class/net/*", "groups": "/sys/fs/cgroup/patchcycle-lab-smoke*",
		"groups beside": "/sys/fs/cgroup/*/patchcycle-lab-smoke*", "labs": nspawn.Cache() + "/labs/smoke*",
		"namespaces": "/run/netns/*", "machines": "/run/systemd/nspawn/propagate/pclab-smoke*",
	} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		seen[name] = strings.Join(found, "\n")
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, l := range lines {
		text, _ := os.ReadFile(l)
		if bytes.Contains(text, []byte("systemd-nspawn")) && bytes.Contains(text, []byte("/labs/smoke")) {
			seen["process "+l] = string(text)
		}
	}
	return seen
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
