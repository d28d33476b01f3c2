package cli

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/internal/build"
)

// asAgent makes the test binary the program, for tests that kill it.
const asAgent = "PATCHCYCLE_TEST_AS_AGENT"

func TestMain(m *testing.M) {
	if os.Getenv(asAgent) == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	if kind := os.Getenv(asAgent); kind == "hand" || kind == "visited" {
		if err := loopbackUp(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(9)
		}
	}
	cleaned := 0
	code := Run(ctx, Options{
		Build: build.Info{Version: "v0"}, Hindrance: func() string { return "" }, Env: os.Getenv, Now: time.Now,
		Machine: func(p Place, _ *zap.Logger) (agent.Machine, error) {
			if os.Getenv(asAgent) == "visited" {
				return visited{still{&cleaned}, p}, nil
			}
			return still{&cleaned}, nil
		},
		Log: func(io.Writer) *zap.Logger { return zap.Must(zap.NewProduction()) },
	}, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// loopbackUp does in a network of our own what systemd does for a unit.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// part is one of the agent's two processes. It is started again when it dies, as
// systemd does, until the test ends.
type part struct {
	start func() *exec.Cmd
	at    *exec.Cmd
	log   *os.File
}

func (s *shell) part(kind string, args ...string) *part {
	s.t.Helper()
	log, err := os.Create(filepath.Join(s.dir, kind+".log"))
	require.NoError(s.t, err)
	p := &part{log: log, start: func() *exec.Cmd {
		c := exec.Command(os.Args[0], append(args, "--home", filepath.Join(s.dir, "home"), "--rules", filepath.Join(s.dir, "rules"))...)
		c.Env = append(os.Environ(), asAgent+"="+kind)
		c.Stdout, c.Stderr = log, log
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if kind == "hand" {
			c.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
		}
		require.NoError(s.t, c.Start())
		return c
	}}
	p.at = p.start()
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			text, _ := os.ReadFile(log.Name())
			s.t.Logf("%s: %s", kind, text)
		}
		_ = log.Close()
	})
	return p
}

func (p *part) kill() {
	_ = p.at.Process.Kill()
	_ = p.at.Wait()
}

func (p *part) said(t *testing.T, words string) bool {
	t.Helper()
	text, err := os.ReadFile(p.log.Name())
	require.NoError(t, err)
	return strings.Contains(string(text), words)
}

// needRoot skips where no process can be given a network of its own.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("a process gets a network of its own only from root: run the tests as root")
	}
	t.Skip("a process gets a network of its own only from root: run the tests as root")
}

// Serves Q13: with real processes, killed with kill -9 at chance moments.
func TestEitherPartMayBeKilledAtAnyMoment(t *testing.T) {
	needRoot(t)
	d, url := newDesk(t)
	s := newShell(t)
	s.env["PATCHCYCLE_TOKEN"] = "s3cret"
	code, _, errs := s.run(t.Context(), "", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	socket := filepath.Join(s.dir, "run", "letters")
	courier := s.part("courier", "carry", "--socket", socket)
	hand := s.part("hand", "run", "--courier", socket)
	chance := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		time.Sleep(time.Duration(chance.IntN(300)) * time.Millisecond)
		one := []*part{courier, hand}[chance.IntN(2)]
		one.kill()
		one.at = one.start()
	}
	done := func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.receipts) > 0 && d.receipts[len(d.receipts)-1].Stage.Terminal() && d.facts > 0
	}
	require.Eventually(t, done, time.Minute, 50*time.Millisecond)
	require.Len(t, d.enrolled, 1, "nobody enrolled anew")
	status := func(want ...string) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, out, _ := s.run(t.Context(), "", "status", "--courier", socket)
			for _, w := range want {
				if !strings.Contains(out, w) {
					return false
				}
			}
			return true
		}, 30*time.Second, 100*time.Millisecond, "%v", want)
	}
	status("d-1 of acme", "No instruction in hand.\n")
	courier.kill()
	status("Nothing reaches the server: this machine's courier does not answer at " + socket)
	require.Eventually(t, func() bool { return hand.said(t, "this machine's courier does not answer at "+socket) }, time.Minute, 50*time.Millisecond, "the hand says so in words")
	courier.at = courier.start()
	hand.kill()
	status("No agent is at work here now", "The courier serves nobody.")
}

// The courier is told nothing but the server's address.
func TestACourierReadsTheAddressAloneAndNamesAFileThatItMayNotRead(t *testing.T) {
	_, url := newDesk(t)
	s := newShell(t)
	code, _, errs := s.run(t.Context(), "", "carry", "--socket", filepath.Join(s.dir, "run", "letters"))
	require.Equal(t, ExitNotEnrolled, code, errs)
	s.env["PATCHCYCLE_TOKEN"] = "s3cret"
	code, _, errs = s.run(t.Context(), "", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)
	require.NoError(t, os.Remove(filepath.Join(s.dir, "home", "device.key")))
	code, _, errs = s.run(t.Context(), "", "carry")
	require.Equal(t, ExitFailed, code)
	require.Contains(t, errs, "systemd handed no sockets over")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		code, _, _ := s.run(ctx, "", "carry", "--socket", filepath.Join(s.dir, "run", "letters"), "--notice", "5m")
		ended <- code
	}()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(s.dir, "run", "parcels"))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	stop()
	require.Equal(t, ExitOK, <-ended)
}
