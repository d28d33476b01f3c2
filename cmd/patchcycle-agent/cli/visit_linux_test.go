package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/edge/visit"
)

// site is a relay that visits one machine, which is enrolled.
type site struct {
	*ground
	desk    *desk
	visitor *visit.Visitor
	parcel  []byte
}

func newSite(t *testing.T) *site {
	t.Helper()
	d, url := newDesk(t)
	s := newShell(t)
	st := &site{ground: newGround(t, s), desk: d, parcel: make([]byte, 8<<20)}
	code, _, errs := s.run(t.Context(), "s3cret", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	_, _ = rand.Read(st.parcel)
	up, err := uplink.NewClient(uplink.ClientOptions{URL: url, Tries: 1})
	require.NoError(t, err)
	t.Cleanup(up.Close)
	r, err := relay.New(relay.Options{Name: "berlin", Up: up, Dir: t.TempDir(), Gather: 10 * time.Millisecond})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-ended) })
	mux := http.NewServeMux()
	mux.Handle("/", r.Handler())
	mux.HandleFunc("/snapshot/x.deb", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.deb", time.Unix(1, 0), bytes.NewReader(st.parcel))
	})
	st.visitor, err = visit.New(visit.Options{Machines: []visit.Machine{st.machine}, Key: st.key, Handler: mux, Retry: 200 * time.Millisecond})
	require.NoError(t, err)
	return st
}

// ends are the terminal receipts that reached the server.
func (s *site) ends() (ends []uplink.Receipt) {
	s.desk.mu.Lock()
	defer s.desk.mu.Unlock()
	for _, r := range s.desk.receipts {
		if r.Stage.Terminal() {
			ends = append(ends, r)
		}
	}
	return ends
}

// Serves Q15: with a real sshd. The agent has no network but for the session.
func TestAWholeOrderAndItsPackagesGoOverSSHToAMachineWithoutAResidentAgent(t *testing.T) {
	s := newSite(t)
	s.touch("fetch")
	require.NoError(t, s.visitor.Visit(t.Context(), s.machine))
	require.Len(t, s.ends(), 1)
	assert.Equal(t, 1, s.desk.facts)
	got, err := os.ReadFile(filepath.Join(s.dir, "fetched"))
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.parcel, got), "8 MB came beside the uplink's own requests")

	require.NoError(t, s.visitor.Visit(t.Context(), s.machine))
	require.Len(t, s.ends(), 1, "nothing is done twice")
}

// Serves Q15.
func TestAMachineThatShowsAnotherHostKeyIsNotVisited(t *testing.T) {
	s := newSite(t)
	m := s.machine
	m.Host = makeKey(t, filepath.Join(s.dir, "other")).PublicKey()
	err := s.visitor.Visit(t.Context(), m)
	require.ErrorContains(t, err, "another machine answers, or its host key was changed")
	require.Zero(t, s.desk.facts)
}

func TestAKeyThatIsNotBoundToTheAgentIsNotUsed(t *testing.T) {
	s := newSite(t)
	admin, err := visit.ReadKey(s.adminFile)
	require.NoError(t, err)
	v, err := visit.New(visit.Options{Key: admin, Handler: http.NotFoundHandler()})
	require.NoError(t, err)
	require.ErrorContains(t, v.Visit(t.Context(), s.machine), "not bound to the agent there: put restrict,command=")
}

// Serves Q13: the line is cut while the order is carried out; who carries it out ends it,
// and the next visit delivers what happened.
func TestALineThatIsLostInTheMiddleOfAnOrderLosesNothing(t *testing.T) {
	s := newSite(t)
	s.touch("wait")
	ctx, cut := context.WithCancel(t.Context())
	visited := make(chan error, 1)
	go func() { visited <- s.visitor.Visit(ctx, s.machine) }()
	began := func() bool { pids, _ := s.cleaning(); return len(pids) > 0 }
	require.Eventually(t, began, 20*time.Second, 20*time.Millisecond)
	cut()
	require.Error(t, <-visited)
	require.ErrorContains(t, s.visitor.Visit(t.Context(), s.machine), "another agent uses it", "it is at work still")
	require.NoError(t, os.Remove(filepath.Join(s.dir, "wait")))
	require.Eventually(t, func() bool { _, done := s.cleaning(); return done == 1 }, 20*time.Second, 20*time.Millisecond)
	require.Eventually(t, func() bool { return s.visitor.Visit(t.Context(), s.machine) == nil }, 20*time.Second, 50*time.Millisecond)
	require.Len(t, s.ends(), 1)
	pids, done := s.cleaning()
	require.Len(t, pids, 1, "it was done once")
	require.Equal(t, 1, done)
}

// Serves Q13: kill -9 in the middle, and the relay visits by itself until it is done.
func TestAVisitedAgentThatIsKilledIsStartedAgainByTheNextVisit(t *testing.T) {
	s := newSite(t)
	s.touch("wait")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.visitor.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	for n := range 3 {
		require.Eventually(t, func() bool { pids, _ := s.cleaning(); return len(pids) > n }, 30*time.Second, 20*time.Millisecond)
		pids, _ := s.cleaning()
		require.NoError(t, syscall.Kill(pids[n], syscall.SIGKILL))
	}
	require.Eventually(t, func() bool { return len(s.visitor.Troubles()) == 1 }, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, os.Remove(filepath.Join(s.dir, "wait")))
	require.Eventually(t, func() bool { return len(s.ends()) == 1 && len(s.visitor.Troubles()) == 0 }, 30*time.Second, 20*time.Millisecond)
}

// Serves Q15: red team. Whoever has the relay's SSH key has what the relay has: the agent
// is started, and nothing else. The same attempts with a key of an administrator's succeed,
// so that they can fail.
func TestTheRelaysSSHKeyGivesNoShellNoFileAndNoPort(t *testing.T) {
	s := newSite(t)
	secret := filepath.Join(s.dir, "secret")
	require.NoError(t, os.WriteFile(secret, []byte("s3cr3t-words"), 0o600))
	var reached atomic.Int32
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = inside.Close() })
	go func() {
		for {
			c, err := inside.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			_, _ = io.WriteString(c, "s3cr3t-words")
			_ = c.Close()
		}
	}()
	for _, c := range []struct {
		name    string
		program string
		args    []string
		shows   string // to the administrator
	}{
		{"a command", "ssh", []string{"root@127.0.0.1", "id"}, "uid="},
		{"a file by a command", "ssh", []string{"root@127.0.0.1", "cat " + secret}, "s3cr3t-words"},
		{"a command behind the agent's", "ssh", []string{"root@127.0.0.1", "true; id; $(id >&2)"}, "uid="},
		{"a terminal", "ssh", []string{"-tt", "root@127.0.0.1", "tty; id"}, "uid="},
		{"a file by sftp", "sftp", []string{"-b", "/dev/null", "root@127.0.0.1:" + secret, filepath.Join(s.dir, "stolen")}, ""},
		{"a file by scp", "scp", []string{"root@127.0.0.1:" + secret, filepath.Join(s.dir, "stolen")}, ""},
		{"a file by the old scp", "scp", []string{"-O", "root@127.0.0.1:" + secret, filepath.Join(s.dir, "stolen")}, ""},
		{"a file put there", "scp", []string{"-O", secret, "root@127.0.0.1:" + filepath.Join(s.dir, "stolen")}, ""},
		{"what a port inside says", "ssh", []string{"-W", inside.Addr().String(), "root@127.0.0.1"}, "s3cr3t-words"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stolen := filepath.Join(s.dir, "stolen")
			_, said := s.ssh(s.adminFile, c.program, c.args...)
			if c.shows != "" {
				require.Contains(t, said, c.shows)
			} else {
				require.FileExists(t, stolen, said)
				require.NoError(t, os.Remove(stolen))
			}
			before := reached.Load()
			code, said := s.ssh(s.keyFile, c.program, c.args...)
			require.NotZero(t, code, said)
			if c.shows != "" {
				require.NotContains(t, said, c.shows)
			}
			require.NoFileExists(t, stolen, said)
			require.Equal(t, before, reached.Load(), "nobody reached the port")
		})
	}
	t.Run("a port there that leads here", func(t *testing.T) {
		port := freePort(t)
		args := []string{"-o", "ExitOnForwardFailure=yes", "-R", port + ":" + inside.Addr().String(), "root@127.0.0.1"}
		code, said := s.ssh(s.adminFile, "ssh", append(args, "true")...)
		require.Zero(t, code, said)
		code, said = s.ssh(s.keyFile, "ssh", args...)
		require.NotZero(t, code)
		require.Contains(t, said, "remote port forwarding failed")
	})
	for _, way := range []string{"-L", "-D"} {
		t.Run("a port here that leads there, "+way, func(t *testing.T) { s.forwards(t, way, inside.Addr().String(), &reached) })
	}
	_, done := s.cleaning()
	require.Zero(t, done, "an agent whose line is none does not act")
}

// forwards tries a port here that leads to another one there, while the session stands.
func (s *site) forwards(t *testing.T, way, inside string, reached *atomic.Int32) {
	for key, want := range map[string]bool{s.adminFile: true, s.keyFile: false} {
		port := freePort(t)
		rule := map[string]string{"-L": port + ":" + inside, "-D": port}[way]
		c := exec.Command("ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
			"-o", "UserKnownHostsFile="+s.hostFile, "-p", s.port, "-N", way, rule, "root@127.0.0.1")
		require.NoError(t, c.Start())
		before := reached.Load()
		try := func() {
			line, err := net.DialTimeout("tcp", "127.0.0.1:"+port, time.Second)
			if err != nil {
				return
			}
			defer line.Close()
			_ = line.SetDeadline(time.Now().Add(time.Second))
			if way == "-D" {
				to, err := net.ResolveTCPAddr("tcp", inside)
				require.NoError(t, err)
				_, _ = line.Write([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, byte(to.Port >> 8), byte(to.Port)})
			}
			_, _ = io.ReadAll(line)
		}
		for range 15 {
			try()
			if reached.Load() > before {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		_ = c.Process.Kill()
		_ = c.Wait()
		require.Equal(t, want, reached.Load() > before, "%s with %s", way, filepath.Base(key))
	}
}
