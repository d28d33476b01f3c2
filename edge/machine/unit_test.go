package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// systemd stands for the real one: it starts units as processes that outlive
// whoever asked for them, and forgets them when the machine starts anew.
type systemd struct {
	t     *testing.T
	mu    sync.Mutex
	units map[string]*unit
	runs  int
	// dies ends the asker after the unit was started, deaf is how often it does
	// not answer. lost: the answer to a start is lost; refuses: nothing is started.
	dies, lost, refuses bool
	deaf                int
}

type unit struct {
	active, sub, code, status string
	cmd                       *exec.Cmd
}

func (s *systemd) run(ctx context.Context, _ time.Duration, program string, args ...string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if program == "systemd-run" {
		return nil, s.start(args)
	}
	if s.deaf > 0 {
		s.deaf--
		return nil, errors.New("Failed to connect to bus")
	}
	name := args[1]
	u := s.units[name]
	switch args[0] {
	case "list-units":
		var out strings.Builder
		for name, u := range s.units {
			fmt.Fprintf(&out, "%s loaded %s %s patchcycle\n", name, u.active, u.sub)
		}
		return []byte(out.String()), nil
	case "show":
		if u == nil {
			return []byte("LoadState=not-found\nActiveState=inactive\nSubState=dead\nExecMainCode=0\nExecMainStatus=0\n"), nil
		}
		return fmt.Appendf(nil, "LoadState=loaded\nActiveState=%s\nSubState=%s\nExecMainCode=%s\nExecMainStatus=%s\n", u.active, u.sub, u.code, u.status), nil
	case "stop":
		if u != nil && u.active == "active" {
			delete(s.units, name)
		}
	case "reset-failed":
		if u != nil && u.active == "failed" {
			delete(s.units, name)
		}
	}
	return nil, nil
}

func (s *systemd) start(args []string) error {
	if s.refuses {
		return errors.New("Failed to start transient service unit: Access denied")
	}
	s.runs++
	var name, out string
	for _, a := range args {
		if v, ok := strings.CutPrefix(a, "--unit="); ok {
			name = v + ".service"
		}
		if v, ok := strings.CutPrefix(a, "--property=StandardOutput=file:"); ok {
			out = v
		}
	}
	if s.units[name] != nil {
		return errors.New("unit already exists")
	}
	file, err := os.Create(out)
	require.NoError(s.t, err)
	rest := args[slices.Index(args, "--")+1:]
	cmd := exec.Command(rest[0], rest[1:]...)
	cmd.Stdout, cmd.Stderr = file, file
	require.NoError(s.t, cmd.Start())
	u := &unit{active: "active", sub: "running", code: "0", status: "0", cmd: cmd}
	s.units[name] = u
	go func() {
		err := cmd.Wait()
		file.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		u.active, u.sub, u.code, u.status = "active", "exited", "1", "0"
		if err != nil {
			u.active, u.sub, u.status = "failed", "failed", fmt.Sprint(cmd.ProcessState.ExitCode())
			if cmd.ProcessState.ExitCode() < 0 {
				u.code, u.status = "2", "9"
			}
		}
	}()
	if s.dies {
		return context.Canceled
	}
	if s.lost {
		s.deaf = 3
		return errors.New("Failed to start transient service unit: Connection reset by peer")
	}
	return nil
}

var booted = fstest.MapFS{"run/systemd/system/x": &fstest.MapFile{}}

func newSystemd(t *testing.T) *systemd { return &systemd{t: t, units: map[string]*unit{}} }

// units is what an agent that has just started has of it.
func (s *systemd) open(dir, boot string) *units {
	u, err := newUnits(dir, boot, booted, zap.NewNop())
	require.NoError(s.t, err)
	u.run, u.poll = s.run, 10*time.Millisecond
	return u
}

func under(t *testing.T, order patching.OrderID) context.Context {
	return agent.WithOrder(t.Context(), trust.Order{ID: order})
}

// Serves Q4.
func TestAProgramInAUnitSaysWhatItSaidAndHowItEnded(t *testing.T) {
	s := newSystemd(t)
	u := s.open(t.TempDir(), "b1")
	out, err := u.Run(under(t, "o-1"), time.Minute, "printf", "%s\\n", "--", "a b", "(id)")
	require.NoError(t, err)
	require.Equal(t, "--\na b\n(id)\n", string(out))
	out, err = u.Run(under(t, "o-1"), time.Minute, "ls", "/no/such/folder")
	var e *command.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, 2, e.Code)
	require.Contains(t, string(out), "No such file", "what it complained of stands among what it said")
	require.Empty(t, s.units, "nothing is left on systemd's list")
	_, err = u.Run(under(t, "o-1"), time.Minute, "printf", "$HOME")
	require.ErrorContains(t, err, "variable")
}

// Serves Q4.
func TestAnAgentThatWasKilledTakesUpItsTransaction(t *testing.T) {
	s := newSystemd(t)
	dir := t.TempDir()
	// cat waits at the gate until the test opens it.
	gate, text := filepath.Join(t.TempDir(), "gate"), filepath.Join(t.TempDir(), "text")
	require.NoError(t, exec.CommandContext(t.Context(), "mkfifo", gate).Run())
	require.NoError(t, os.WriteFile(text, []byte("said"), 0o600))
	ctx, kill := context.WithCancel(under(t, "o-1"))
	done := make(chan error, 1)
	first := s.open(dir, "b1")
	go func() {
		_, err := first.Run(ctx, time.Minute, "cat", "--", gate, text)
		done <- err
	}()
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.runs == 1 }, 10*time.Second, time.Millisecond)
	kill()
	require.ErrorIs(t, <-done, context.Canceled)

	next := s.open(dir, "b1")
	asked := 0
	next.run = func(c context.Context, l time.Duration, program string, args ...string) ([]byte, error) {
		out, err := s.run(c, l, program, args...)
		if asked++; asked == 3 { // it was listed, and seen at work
			require.Contains(t, string(out), "SubState=running")
			require.NoError(t, os.WriteFile(gate, nil, 0o600))
		}
		return out, err
	}
	require.NoError(t, next.settle(t.Context()))
	s.mu.Lock()
	for _, u := range s.units {
		require.Equal(t, "exited", u.sub, "whoever looks at packages waits for it")
	}
	s.mu.Unlock()
	out, err := next.Run(under(t, "o-1"), time.Minute, "cat", "--", text)
	require.NoError(t, err, "a part of what was asked for then")
	require.Equal(t, "said", string(out))
	require.Equal(t, 1, s.runs, "it is not started again")
	_, err = next.Run(under(t, "o-1"), time.Minute, "cat", "--", text)
	require.NoError(t, err)
	require.Equal(t, 2, s.runs, "its end was told once")
}

// Serves Q4.
func TestAnAgentThatWasKilledBeforeItNotedTheStartFindsTheUnit(t *testing.T) {
	s := newSystemd(t)
	dir := t.TempDir()
	s.dies = true
	ctx, kill := context.WithCancel(under(t, "o-1"))
	u := s.open(dir, "b1")
	u.run = func(c context.Context, l time.Duration, program string, args ...string) ([]byte, error) {
		out, err := s.run(c, l, program, args...)
		if program == "systemd-run" {
			kill()
		}
		return out, err
	}
	_, err := u.Run(ctx, time.Minute, "ls", "--", "/no/such/folder")
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.open(dir, "b1").Run(under(t, "o-1"), time.Minute, "ls", "--", "/no/such/folder")
	var e *command.Error
	require.ErrorAs(t, err, &e, "the failure is told though another process asked")
	require.Equal(t, 1, s.runs)
}

func TestAUnitThatWasWrittenDownAndNeverBeganIsStarted(t *testing.T) {
	s := newSystemd(t)
	dir := t.TempDir()
	u := s.open(dir, "b1")
	require.NoError(t, u.put(record{Unit: unitPrefix + "o-1-1", Order: "o-1", Boot: "b1", Program: "printf", Args: []string{"--", "x"}, Started: time.Now(), Limit: time.Minute}))
	out, err := u.Run(under(t, "o-1"), time.Minute, "printf", "--", "x")
	require.NoError(t, err)
	require.Equal(t, "x", string(out))
	all, err := u.all()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, unitPrefix+"o-1-2", all[1].Unit)
	require.True(t, all[0].Seen && all[1].Seen)
}

func TestAfterALossOfPowerTheTransactionIsGoneAndAnotherIsStarted(t *testing.T) {
	s := newSystemd(t)
	dir := t.TempDir()
	ctx, kill := context.WithCancel(under(t, "o-1"))
	done := make(chan error, 1)
	first := s.open(dir, "b1")
	go func() {
		_, err := first.Run(ctx, time.Minute, "sleep", "--", "60")
		done <- err
	}()
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.runs == 1 }, 10*time.Second, time.Millisecond)
	kill()
	require.Error(t, <-done)
	s.mu.Lock()
	for _, u := range s.units {
		require.NoError(t, u.cmd.Process.Kill())
	}
	s.units = map[string]*unit{}
	s.mu.Unlock()
	next := s.open(dir, "b2")
	require.NoError(t, next.settle(t.Context()))
	_, err := next.Run(under(t, "o-1"), time.Minute, "sleep", "--", "0.01")
	require.NoError(t, err)
	require.Equal(t, 2, s.runs)
}

// Serves Q4.
func TestNoSecondTransactionIsStartedBesideOneThatRuns(t *testing.T) {
	s := newSystemd(t)
	dir := t.TempDir()
	ctx, kill := context.WithCancel(under(t, "o-1"))
	done := make(chan error, 1)
	first := s.open(dir, "b1")
	go func() {
		_, err := first.Run(ctx, time.Minute, "sleep", "--", "30")
		done <- err
	}()
	require.Eventually(t, func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.runs == 1 }, 10*time.Second, time.Millisecond)
	kill()
	require.Error(t, <-done)
	next := s.open(dir, "b1")
	next.now = func() time.Time { return time.Now().Add(time.Hour) }
	_, err := next.Run(under(t, "o-2"), time.Minute, "printf", "x")
	var f *agent.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, "transaction: does not end", f.Signature)
	require.Contains(t, f.Detail, unitPrefix+"o-1-1")
	require.Equal(t, 1, s.runs)
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Equal(t, "running", s.units[unitPrefix+"o-1-1.service"].sub, "it is left alone")
	require.NoError(t, s.units[unitPrefix+"o-1-1.service"].cmd.Process.Kill())
}

func TestAUnitThatWasKilledOrStoppedIsCutOff(t *testing.T) {
	require.NoError(t, ending("x", false, "1", "0"))
	for _, c := range [][2]string{{"2", "9"}, {"3", "11"}, {"0", "0"}, {"", ""}} {
		var e *command.Error
		require.ErrorAs(t, ending("x", false, c[0], c[1]), &e)
		require.Equal(t, -1, e.Code)
	}
	require.Error(t, ending("x", true, "1", "0"), "somebody took it off before it was asked")
}

func TestSystemdThatStartsItselfAnewIsWaitedFor(t *testing.T) {
	s := newSystemd(t)
	u := s.open(t.TempDir(), "b1")
	u.run = func(c context.Context, l time.Duration, program string, args ...string) ([]byte, error) {
		out, err := s.run(c, l, program, args...)
		if program == "systemd-run" {
			s.mu.Lock()
			s.deaf = 5
			s.mu.Unlock()
		}
		return out, err
	}
	_, err := u.Run(under(t, "o-1"), time.Minute, "printf", "x")
	require.NoError(t, err)
}

// Serves Q4.
func TestAUnitThatStartedThoughItsStartSeemedToFailIsAwaited(t *testing.T) {
	s := newSystemd(t)
	s.lost = true
	u := s.open(t.TempDir(), "b1")
	running := false
	u.run = func(c context.Context, l time.Duration, program string, args ...string) ([]byte, error) {
		s.mu.Lock()
		for _, one := range s.units {
			running = running || one.sub == "running"
			require.False(t, one.sub == "running" && args[0] == "stop", "what is at work is not stopped")
		}
		s.mu.Unlock()
		return s.run(c, l, program, args...)
	}
	out, err := u.Run(under(t, "o-1"), time.Minute, "sh", "-c", "sleep 0.2; echo said")
	require.NoError(t, err)
	require.Equal(t, "said\n", string(out))
	require.True(t, running, "it was still at work when it was asked for")
	_, err = u.Run(under(t, "o-1"), time.Minute, "ls", "/no/such/folder")
	var e *command.Error
	require.ErrorAs(t, err, &e, "one that has ended says how")
	require.Equal(t, 2, e.Code)
	require.Equal(t, 2, s.runs)
}

func TestAUnitThatDidNotStartIsForgotten(t *testing.T) {
	s := newSystemd(t)
	s.refuses = true
	u := s.open(t.TempDir(), "b1")
	_, err := u.Run(under(t, "o-1"), time.Minute, "printf", "x")
	require.ErrorContains(t, err, "Access denied")
	all, err := u.all()
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.True(t, all[0].Seen)
}

// Serves Q4.
func TestAUnitOfWhichNothingIsKnownIsNotForgotten(t *testing.T) {
	s := newSystemd(t)
	s.refuses, s.deaf = true, patience+1
	u := s.open(t.TempDir(), "b1")
	u.poll = time.Nanosecond
	r := record{Unit: unitPrefix + "o-1-1", Order: "o-1", Boot: "b1", Program: "printf", Args: []string{"x"}, Started: time.Now(), Limit: time.Minute}
	require.ErrorContains(t, u.start(under(t, "o-1"), r), "Failed to connect to bus")
	all, err := u.all()
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.False(t, all[0].Seen, "it may be at work")
}

func TestWithoutSystemdNothingIsChanged(t *testing.T) {
	s := newSystemd(t)
	u := s.open(t.TempDir(), "b1")
	u.root = fstest.MapFS{}
	_, err := u.Run(under(t, "o-1"), time.Minute, "printf", "x")
	var f *agent.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, patching.ReasonPreflight, f.Reason)
	require.Contains(t, f.Detail, "systemd does not run this machine")
	require.Zero(t, s.runs)
}

func TestNoTwoOrdersShareAUnit(t *testing.T) {
	require.Equal(t, "o-0123456789abcdef", unitWord("o-0123456789abcdef"), "ids of ours do as they are")
	require.Regexp(t, `^cycle_a_b\.[0-9a-f]{16}$`, unitWord("cycle/a/b"))
	require.NotEqual(t, unitWord("cycle/a/b"), unitWord("cycle/a_b"))
	require.NotEqual(t, unitWord(strings.Repeat("x", 200)), unitWord(strings.Repeat("x", 201)))
	require.Less(t, len(unitWord(strings.Repeat("x", 9000))), 120)
}

func TestOldRecordsAreTakenAwayButNoneThatSomebodyWaitsFor(t *testing.T) {
	d := records(t.TempDir())
	at := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	require.NoError(t, d.put(record{Unit: "waits", Started: at}))
	for n := range kept + 10 {
		require.NoError(t, d.put(record{Unit: fmt.Sprintf("u-%03d", n), Started: at.Add(time.Duration(n+1) * time.Minute), Seen: true}))
	}
	all, err := d.all()
	require.NoError(t, err)
	require.Equal(t, "waits", all[0].Unit)
	require.LessOrEqual(t, len(all), kept+1)
	require.Equal(t, fmt.Sprintf("u-%03d", kept+9), all[len(all)-1].Unit)
}
