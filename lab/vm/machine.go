//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/netns"
)

const (
	memoryMB = 512
	// bootLimit bounds a boot: one takes 45 seconds, five at once on two busy cores
	// three minutes.
	bootLimit = 10 * time.Minute
)

// Options say what machine to make.
type Options struct {
	Name string
	// Address with the width of its network: 10.77.200.1/16.
	Address string
	// Dir will be the machine's own. Tree is what its disk is made from: it has
	// [Packages].
	Dir, Tree string
	// Network has a Bridge, to which the machine is plugged in.
	Network netns.Namespace
	Bridge  string
	// Tap names its cable, in that network.
	Tap string
}

// Machine is a Debian with a kernel and a clock of its own.
type Machine struct {
	Name string

	options Options
	dir     string

	talk sync.Mutex // one asks the guest agent at a time

	mu sync.Mutex
	// ahead is how far its clock is ahead of ours.
	ahead    time.Duration
	stopping bool
	running  chan struct{} // closed when the machine is off; nil before it was on
	process  *os.Process
	ending   error // how it went off
}

// Create makes a machine, switched off, with a clock that is right.
func Create(ctx context.Context, o Options) (*Machine, error) {
	m := &Machine{Name: o.Name, options: o, dir: o.Dir}
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return nil, err
	}
	if err := m.makeImage(ctx, o.Tree); err != nil {
		return nil, fmt.Errorf("machine %s: %w", o.Name, err)
	}
	for _, args := range [][]string{
		{"ip", "tuntap", "add", "dev", o.Tap, "mode", "tap"},
		{"ip", "link", "set", o.Tap, "master", o.Bridge},
		{"ip", "link", "set", o.Tap, "type", "bridge_slave", "isolated", "on"},
		{"ip", "link", "set", o.Tap, "up"},
	} {
		if err := o.Network.Run(ctx, args...); err != nil {
			return nil, fmt.Errorf("machine %s: %w", o.Name, err)
		}
	}
	return m, nil
}

// SetClock sets the clock of the machine's hardware, which counts from its next
// start. It goes on over reboots, as if a battery kept it.
func (m *Machine) SetClock(ahead time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ahead = ahead
}

// Start switches the machine on and does not wait until it is up.
func (m *Machine) Start(ctx context.Context) error {
	if m.On() {
		return fmt.Errorf("machine %s is on", m.Name)
	}
	if err := m.takeKernel(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	off := make(chan struct{})
	m.running, m.stopping, m.ending = off, false, nil
	go func() {
		// The kernel ends qemu when the thread that started it ends, which is when
		// this process is killed.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := m.supervise(off)
		m.mu.Lock()
		m.ending = err
		m.mu.Unlock()
	}()
	return nil
}

// supervise keeps the machine on. Off is closed when it is off for good.
func (m *Machine) supervise(off chan struct{}) error {
	defer func() {
		m.mu.Lock()
		m.process = nil
		m.mu.Unlock()
		close(off)
	}()
	for {
		c, err := m.qemu()
		if err != nil {
			return err
		}
		m.mu.Lock()
		stopping := m.stopping
		if !stopping {
			if err = c.Start(); err == nil {
				m.process = c.Process
			}
		}
		m.mu.Unlock()
		if stopping || err != nil {
			return err
		}
		if err := c.Wait(); err != nil {
			return err
		}
		m.mu.Lock()
		stopping, m.process = m.stopping, nil
		m.mu.Unlock()
		if stopping {
			return nil
		}
		if err := m.takeKernel(context.Background()); err != nil {
			return err
		}
	}
}

func (m *Machine) qemu() (*exec.Cmd, error) {
	log, err := os.OpenFile(filepath.Join(m.dir, "qemu.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	m.mu.Lock()
	now := time.Now().Add(m.ahead)
	m.mu.Unlock()
	c := exec.Command("nsenter", append([]string{"--net=" + string(m.options.Network), "--", "qemu-system-x86_64"}, m.arguments(now)...)...)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return c, nil
}

// arguments start it with its hardware's clock at now.
func (m *Machine) arguments(now time.Time) []string {
	return []string{
		"-machine", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", strconv.Itoa(memoryMB),
		"-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot",
		"-kernel", m.kernel(), "-initrd", m.initrd(),
		// On busy cores the kernel sees too few ticks of its timer to trust it, and
		// services take longer than systemd lets them.
		"-append", "root=/dev/vda rw console=ttyS0 net.ifnames=0 no_timer_check panic=1 quiet systemd.show_status=1 systemd.default_timeout_start_sec=900 systemd.service_watchdogs=no",
		"-rtc", "base=" + now.UTC().Format("2006-01-02T15:04:05") + ",clock=vm",
		// The lab is thrown away: nobody waits for this machine's disk.
		"-drive", "file=" + m.image() + ",format=raw,if=virtio,cache=unsafe",
		"-chardev", "file,id=console,append=on,path=" + m.Console(), "-serial", "chardev:console",
		"-device", "virtio-serial",
		"-chardev", "socket,id=agent,server=on,wait=off,path=" + m.socket(), "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
		"-device", "virtio-rng",
		"-netdev", "tap,id=net,script=no,downscript=no,ifname=" + m.options.Tap, "-device", "virtio-net,netdev=net,mac=" + m.mac(),
	}
}

// mac is made from the cable's name: no two on a bridge are the same.
func (m *Machine) mac() string {
	n, _ := strconv.Atoi(strings.TrimLeft(m.options.Tap, "abcdefghijklmnopqrstuvwxyz"))
	return fmt.Sprintf("52:54:00:77:%02x:%02x", n>>8&0xff, n&0xff)
}

// Console is the file with what the machine printed.
func (m *Machine) Console() string { return filepath.Join(m.dir, "console.log") }

func (m *Machine) socket() string { return filepath.Join(m.dir, "agent.sock") }

// off is closed when the machine is off; nil before it was on.
func (m *Machine) off() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.running
}

// On says whether the machine is switched on. One that reboots is.
func (m *Machine) On() bool {
	off := m.off()
	select {
	case <-off:
		return false
	default:
		return off != nil
	}
}

// AwaitUp waits until systemd has started everything. A service that failed does
// not keep a machine from being up.
func (m *Machine) AwaitUp(ctx context.Context) error {
	err := m.await(ctx, "to be up", func() (bool, error) {
		o, err := m.Exec(ctx, "systemctl", "is-system-running")
		state := strings.TrimSpace(o.Stdout)
		return state == "running" || state == "degraded", err
	})
	if err != nil {
		printed, _ := os.ReadFile(m.Console())
		return fmt.Errorf("%w (the console ends with: %s)", err, printed[max(0, len(printed)-500):])
	}
	return nil
}

// BootID is what the machine's kernel says; another one after each boot.
func (m *Machine) BootID(ctx context.Context) (string, error) {
	id, err := m.Output(ctx, "cat", "/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(id), err
}

// Stop shuts the machine down, as whoever switches it off does.
func (m *Machine) Stop(ctx context.Context) error {
	if !m.On() {
		return nil
	}
	m.mu.Lock()
	m.stopping = true
	m.mu.Unlock()
	// The answer may be lost with the machine.
	_, asked := m.Exec(ctx, "systemctl", "poweroff", "--no-block")
	if err := m.await(ctx, "to be off", func() (bool, error) { return !m.On(), nil }); err != nil {
		return errors.Join(err, asked)
	}
	return nil
}

// Kill cuts the machine's power.
func (m *Machine) Kill(ctx context.Context) error {
	m.mu.Lock()
	m.stopping = true
	var err error
	if m.process != nil {
		err = m.process.Kill()
	}
	m.mu.Unlock()
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", m.Name, err)
	}
	return m.awaitOff(ctx)
}

func (m *Machine) awaitOff(ctx context.Context) error {
	off := m.off()
	if off == nil {
		return nil
	}
	select {
	case <-off:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await asks until the answer is yes, or the machine has ended in a way that
// nobody asked for.
func (m *Machine) await(ctx context.Context, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, bootLimit)
	defer cancel()
	var last error
	for {
		yes, err := ask()
		if yes {
			return nil
		}
		if err != nil {
			last = err
		}
		m.mu.Lock()
		ending := m.ending
		m.mu.Unlock()
		if ending != nil {
			return fmt.Errorf("%s has ended: %w: see qemu.log beside its image", m.Name, ending)
		}
		if err := pause.For(ctx, time.Second); err != nil {
			return errors.Join(fmt.Errorf("waited %s for %s %s: %w", bootLimit, m.Name, what, err), last)
		}
	}
}
