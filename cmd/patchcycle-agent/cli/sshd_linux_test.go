package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/edge/visit"
)

// What the agent that a visit starts does and waits for is in this folder.
const visitedDir = "PATCHCYCLE_TEST_VISITED"

// visited is a machine whose clean fetches a package, and takes as long as a test wants.
type visited struct {
	still
	place Place
}

func (v visited) Clean(ctx context.Context, held []string) (int64, error) {
	dir := os.Getenv(visitedDir)
	log, err := os.OpenFile(filepath.Join(dir, "cleaning"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	fmt.Fprintln(log, os.Getpid())
	if _, err := os.Stat(filepath.Join(dir, "fetch")); err == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.place.Server+"/snapshot/x.deb", http.NoBody)
		if err != nil {
			return 0, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		var got bytes.Buffer
		if _, err := got.ReadFrom(resp.Body); err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(dir, "fetched"), got.Bytes(), 0o600); err != nil {
			return 0, err
		}
	}
	for range 600 {
		if _, err := os.Stat(filepath.Join(dir, "wait")); errors.Is(err, fs.ErrNotExist) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Fprintln(log, "done")
	return v.still.Clean(ctx, held)
}

// ground is a machine with a real sshd that allows everything, but for what a key's
// options forbid. Programs in bin in its folder are found first.
type ground struct {
	*shell
	t         *testing.T
	machine   visit.Machine
	hostFile  string // known_hosts
	key       ssh.Signer
	keyFile   string // the relay's
	adminFile string // one that is not restricted
	port      string
}

func newGround(t *testing.T, s *shell) *ground {
	t.Helper()
	needRoot(t)
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "there is no sshd: apt-get install openssh-server")
		t.Skip("there is no sshd: apt-get install openssh-server")
	}
	g := &ground{shell: s, t: t, port: freePort(t)}
	at := func(name string) string { return filepath.Join(s.dir, name) }
	host := makeKey(t, at("host_key"))
	g.keyFile, g.adminFile, g.hostFile = at("relay_key"), at("admin_key"), at("known_hosts")
	g.key = makeKey(t, g.keyFile)
	admin := makeKey(t, g.adminFile)
	line := func(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }
	program, err := os.Executable()
	require.NoError(t, err)
	// A network of its own, as the agent's unit has: all comes over the session.
	forced := fmt.Sprintf("env %s=visited %s=%s unshare -n %s once --stdio --home %s --rules %s",
		asAgent, visitedDir, s.dir, program, at("home"), at("rules"))
	write := func(name, text string) { require.NoError(t, os.WriteFile(name, []byte(text), 0o600)) }
	write(at("authorized_keys"), fmt.Sprintf("restrict,command=%q %s\n%s\n", forced, line(g.key.PublicKey()), line(admin.PublicKey())))
	write(g.hostFile, fmt.Sprintf("[127.0.0.1]:%s %s\n", g.port, line(host.PublicKey())))
	write(at("sshd_config"), fmt.Sprintf(`ListenAddress 127.0.0.1:%s
HostKey %s
AuthorizedKeysFile %s
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
SetEnv PATH=%s:/usr/sbin:/usr/bin:/sbin:/bin
AllowTcpForwarding yes
AllowAgentForwarding yes
PermitTunnel yes
PermitTTY yes
Subsystem sftp internal-sftp
`, g.port, at("host_key"), at("authorized_keys"), at("bin")))
	require.NoError(t, os.MkdirAll("/run/sshd", 0o755)) // sshd's own, and empty
	log, err := os.Create(at("sshd.log"))
	require.NoError(t, err)
	d := exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", at("sshd_config"))
	d.Stderr = log
	d.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, d.Start())
	t.Cleanup(func() {
		_ = d.Process.Kill()
		_ = d.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("sshd: %s", text)
		}
		_ = log.Close()
	})
	g.machine = visit.Machine{Name: "db1", Address: "127.0.0.1:" + g.port, User: "root", Host: host.PublicKey(), Every: time.Minute}
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", g.machine.Address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
	return g
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

func makeKey(t *testing.T, file string) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	key, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return key
}

// ssh runs one of OpenSSH's programs with a key, and returns its code and all it said.
func (g *ground) ssh(key string, program string, args ...string) (code int, said string) {
	g.t.Helper()
	limit := 20 * time.Second
	if key == g.keyFile { // its agent waits for what a relay would say
		limit = 6 * time.Second
	}
	ctx, stop := context.WithTimeout(g.t.Context(), limit)
	defer stop()
	port := "-p"
	if program != "ssh" {
		port = "-P"
	}
	all := append([]string{
		"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=" + g.hostFile, "-o", "StrictHostKeyChecking=yes", port, g.port,
	}, args...)
	c := exec.CommandContext(ctx, program, all...)
	out, err := c.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(g.t, err)
	}
	return c.ProcessState.ExitCode(), string(out)
}

// cleaning returns the pids of agents that began to clean, and how many ended that.
func (g *ground) cleaning() (pids []int, done int) {
	text, _ := os.ReadFile(filepath.Join(g.dir, "cleaning"))
	for _, word := range strings.Fields(string(text)) {
		if word == "done" {
			done++
			continue
		}
		pid, err := strconv.Atoi(word)
		require.NoError(g.t, err)
		pids = append(pids, pid)
	}
	return pids, done
}

func (g *ground) touch(name string) {
	g.t.Helper()
	require.NoError(g.t, os.WriteFile(filepath.Join(g.dir, name), nil, 0o600))
}
