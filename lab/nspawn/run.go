//go:build linux

package nspawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/patchcycle/patchcycle/internal/pause"
)

func chroot(ctx context.Context, log io.Writer, root string, args ...string) error {
	return run(ctx, log, "chroot", append([]string{root}, args...)...)
}

// run runs a program of this machine; the error carries the end of what it said,
// the log all of it.
func run(ctx context.Context, log io.Writer, program string, args ...string) error {
	return runCommand(log, exec.CommandContext(ctx, program, args...))
}

func runCommand(log io.Writer, c *exec.Cmd) error {
	c.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")
	alone(c)
	out, err := c.CombinedOutput()
	if err != nil {
		_, _ = log.Write(out)
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, tail(out, 500))
	}
	return nil
}

// alone gives a program a process group of its own, so that a ^C at the
// terminal reaches us alone and we end the program with all its children.
func alone(c *exec.Cmd) {
	if c.SysProcAttr == nil {
		c.SysProcAttr = &syscall.SysProcAttr{}
	}
	c.SysProcAttr.Setpgid = true
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 5 * time.Second
}

func tail(out []byte, n int) string {
	return strings.TrimSpace(string(out[max(0, len(out)-n):]))
}

// lock waits for a lock between processes, which ends with its holder.
func lock(ctx context.Context, file string) (func(), error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", file, err)
		}
		if err := pause.For(ctx, 200*time.Millisecond); err != nil {
			f.Close()
			return nil, fmt.Errorf("wait for %s, which another lab holds: %w", file, err)
		}
	}
}

// await asks again and again until the answer is yes. Every wait in the lab is
// bounded: a machine that never answers says nothing.
func await(ctx context.Context, limit time.Duration, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
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
		if err := pause.For(ctx, 50*time.Millisecond); err != nil {
			return errors.Join(fmt.Errorf("waited %s for %s: %w", limit, what, err), last)
		}
	}
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return !errors.Is(err, fs.ErrNotExist)
}
