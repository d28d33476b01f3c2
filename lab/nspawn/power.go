//go:build linux

package nspawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// bootLimit bounds a boot. Fifty at once took 27 seconds on two cores.
const bootLimit = 3 * time.Minute

// rebooted is nspawn's exit code when the machine asked for a reboot: it does
// not boot it again by itself, because no systemd of ours keeps its unit.
const rebooted = 133

var errRetired = errors.New("the lab is being taken down")

// Boot switches machines on, at once, and waits until each is up.
func Boot(ctx context.Context, hosts ...*Host) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, h := range hosts {
		g.Go(func() error {
			if err := h.Start(ctx); err != nil {
				return err
			}
			return h.AwaitUp(ctx)
		})
	}
	return g.Wait()
}

// Start switches the machine on and does not wait until it is up.
func (h *Host) Start(ctx context.Context) error {
	if h.On() {
		return fmt.Errorf("machine %s is on", h.Name)
	}
	dirs, err := h.group().create()
	if err != nil {
		return err
	}
	// What a power loss has left: nspawn's own groups.
	if err := await(ctx, 10*time.Second, h.Name+" to be gone", func() (bool, error) {
		pids, err := h.group().pids()
		return len(pids) == 0, err
	}); err != nil {
		return err
	}
	console, err := os.OpenFile(h.Console(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.retired {
		console.Close()
		return errRetired
	}
	off := make(chan struct{})
	h.running, h.ending = off, nil
	go func() {
		// The kernel ends nspawn when the thread that started it ends, which
		// is when this process is killed.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := h.supervise(console, dirs)
		console.Close()
		h.mu.Lock()
		h.ending = err
		h.mu.Unlock()
		close(off)
	}()
	go h.letGo(off)
	return nil
}

// letGo lets nsenter see what it brought in end. When a machine shuts down, its
// systemd stops every process before it kills them; nsenter then stops itself, as
// its child did, and would never reap that: the machine would wait for ever.
func (h *Host) letGo(off <-chan struct{}) {
	for {
		select {
		case <-off:
			return
		case <-time.After(200 * time.Millisecond):
		}
		pids, _ := (h.group() + "/exec").pids() // there is none before the first program
		for _, pid := range pids {
			stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat") // it may be gone
			if strings.Contains(string(stat), "(nsenter) T ") {
				_ = unix.Kill(pid, unix.SIGCONT)
			}
		}
	}
}

// supervise keeps the machine on: a reboot ends nspawn, and it is started again.
func (h *Host) supervise(console *os.File, dirs []string) error {
	for {
		h.mu.Lock()
		retired := h.retired
		h.mu.Unlock()
		if retired {
			return errRetired
		}
		c := h.nspawn(dirs)
		c.Stdout, c.Stderr = console, console
		err := c.Run()
		if c.ProcessState == nil || c.ProcessState.ExitCode() != rebooted {
			return err
		}
	}
}

// enter moves the shell into groups before it becomes nspawn. Machines that
// share a group would fight over it.
const enter = `while [ "$1" != -- ]; do echo $$ > "$1/cgroup.procs" || exit 1; shift; done; shift; exec "$@"`

func (h *Host) nspawn(dirs []string) *exec.Cmd {
	args := append([]string{"-c", enter, "sh"}, dirs...)
	args = append(args, "--",
		"systemd-nspawn", "--quiet", "--boot",
		// This machine's own first process need not be systemd.
		"--keep-unit", "--register=no",
		"--network-namespace-path="+string(h.net),
		// As on a real machine: systemd brings the loopback of a service's own network up.
		"--capability=CAP_NET_ADMIN",
		"--directory="+h.root(), "--machine="+machine(h.lab.options.Name, h.Name),
		"--link-journal=no", "--resolv-conf=off", "--timezone=off", "--console=pipe")
	c := exec.Command("sh", args...)
	c.Env = []string{"PATH=" + path, "LC_ALL=C.UTF-8", "TERM=dumb"}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c
}

const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// On says whether the machine is switched on. One that boots is.
func (h *Host) On() bool {
	h.mu.Lock()
	running := h.running
	h.mu.Unlock()
	if running == nil {
		return false
	}
	select {
	case <-running:
		return false
	default:
		return true
	}
}

// AwaitUp waits until the machine's systemd has started everything. A service
// that failed does not keep a machine from being up.
func (h *Host) AwaitUp(ctx context.Context) error {
	var state string
	err := await(ctx, bootLimit, h.Name+" to be up", func() (bool, error) {
		if !h.On() {
			return false, errors.New("it is off")
		}
		o, err := h.Exec(ctx, "systemctl", "is-system-running", "--wait")
		state = strings.TrimSpace(o.Stdout)
		return state == "running" || state == "degraded", err
	})
	if err != nil {
		printed, _ := os.ReadFile(h.Console())
		return fmt.Errorf("%w (systemd said %q; the console ends with: %s)", err, state, tail(printed, 400))
	}
	return nil
}

// BootID is what the machine's kernel says; another one after each boot.
func (h *Host) BootID(ctx context.Context) (string, error) {
	id, err := h.Output(ctx, "cat", "/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(id), err
}

// Reboot has the machine reboot itself, and waits until it is up again.
func (h *Host) Reboot(ctx context.Context) error {
	before, err := h.BootID(ctx)
	if err != nil {
		return err
	}
	// It may be killed before it has answered.
	if _, err := h.Exec(ctx, "systemctl", "reboot"); err != nil {
		return err
	}
	return h.AwaitReboot(ctx, before)
}

// AwaitReboot waits until the machine is up with another boot id. It answers
// for a while after it was told to go: that it answers says nothing.
func (h *Host) AwaitReboot(ctx context.Context, before string) error {
	err := await(ctx, bootLimit, h.Name+" to have booted again", func() (bool, error) {
		now, err := h.BootID(ctx)
		return err == nil && now != "" && now != before, err
	})
	if err != nil {
		return err
	}
	return h.AwaitUp(ctx)
}

// PowerLoss kills the machine's first process: everything in it ends at once and
// nothing is stopped. [Host.Start] switches it on again. One that is between two
// boots has no such process: that is [ErrOff].
func (h *Host) PowerLoss(ctx context.Context) error {
	pid, err := h.leader()
	if err != nil {
		return err
	}
	// Frozen first: none may see another one end.
	if err := h.Freeze(ctx); err != nil {
		return err
	}
	err = unix.Kill(pid, unix.SIGKILL)
	if err := errors.Join(err, h.Thaw(ctx)); err != nil {
		return fmt.Errorf("kill %s: %w", h.Name, err)
	}
	return h.ended(ctx)
}

// ended waits until the machine is off.
func (h *Host) ended(ctx context.Context) error {
	return await(ctx, 30*time.Second, h.Name+" to be off", func() (bool, error) { return !h.On(), nil })
}

// retire keeps the machine from being started again.
func (h *Host) retire() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retired = true
}

// leader is the machine's first process, as this machine numbers it.
func (h *Host) leader() (int, error) { return h.group().leader() }

func (g group) leader() (int, error) {
	all, err := g.processes()
	if err != nil {
		return 0, err
	}
	for _, p := range all {
		if p.Inside == 1 && p.Name == "systemd" { // before, it is still nspawn's
			return p.PID, nil
		}
	}
	return 0, ErrOff
}

// ErrOff says that no machine runs in there, as between two boots.
var ErrOff = errors.New("the machine is off")
