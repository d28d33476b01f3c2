//go:build linux

package netns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Namespace is the file that a network namespace is mounted on.
type Namespace string

// Create makes a namespace with nothing but its loopback, which is up. The file
// must not exist.
func Create(ctx context.Context, file string) (Namespace, error) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return "", fmt.Errorf("network namespace: %w", err)
	}
	f.Close()
	n := Namespace(file)
	err = apart(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		return os.NewSyscallError("mount", unix.Mount("/proc/thread-self/ns/net", file, "", unix.MS_BIND, ""))
	})
	if err == nil {
		err = n.Run(ctx, "ip", "link", "set", "lo", "up")
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("network namespace %s: %w", file, err), n.Remove())
	}
	return n, nil
}

// Remove takes the file away. The namespace itself lives on until the last
// process in it has ended and the last socket is closed.
func (n Namespace) Remove() error {
	if err := unix.Unmount(string(n), unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("network namespace %s: unmount: %w", n, err)
	}
	if err := os.Remove(string(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Do calls f inside the namespace. Sockets stay in the namespace that they were
// made in, so that what f opens goes on working there when Do has returned.
// Goroutines that f starts are outside.
func (n Namespace) Do(f func() error) error {
	target, err := os.Open(string(n))
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer target.Close()
	return apart(func() error {
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter %s: %w", n, err)
		}
		return f()
	})
}

// apart calls f on a thread that may change its network namespace, and brings
// the thread back afterwards.
func apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			done <- err
			return
		}
		defer home.Close()
		err = f()
		if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
			// The thread stays locked and ends with this goroutine: nobody
			// else may find himself in the wrong network.
			done <- errors.Join(err, os.NewSyscallError("setns", back))
			return
		}
		runtime.UnlockOSThread()
		done <- err
	}()
	return <-done
}

// Listen opens a listener in the namespace. Addr must be numeric: names would be
// looked up outside.
func (n Namespace) Listen(addr string) (net.Listener, error) {
	var l net.Listener
	err := n.Do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	return l, err
}

// Dial connects from inside the namespace. Addr must be numeric, as for
// [Namespace.Listen].
func (n Namespace) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var c net.Conn
	err := n.Do(func() (err error) {
		var d net.Dialer
		// One address, so that the connection is made by this thread and not
		// by one of several that race.
		c, err = d.DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

// Command returns a program that will run in the namespace.
func (n Namespace) Command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + string(n), "--"}, args...)...)
}

// Run runs a program in the namespace; the error carries what it said.
func (n Namespace) Run(ctx context.Context, args ...string) error {
	out, err := n.Command(ctx, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %.500s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
