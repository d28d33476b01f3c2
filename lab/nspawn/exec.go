//go:build linux

package nspawn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Outcome is how a program on a machine ended.
type Outcome struct {
	Code           int // -1 if a signal ended it
	Stdout, Stderr string
}

// Exec runs a program on the machine, in all its namespaces, as its root, and
// without a shell. An exit code is no error; that the machine is off is one.
//
// The program hangs on no terminal and no session: it is like one that came in
// by SSH, and ends with the machine.
func (h *Host) Exec(ctx context.Context, args ...string) (Outcome, error) {
	c, release, err := h.Command(ctx, args...)
	if err != nil {
		return Outcome{}, err
	}
	defer release()
	return outcome(ctx, c)
}

// Output is [Host.Exec] for a program that must succeed; it returns what that
// wrote to its standard output.
func (h *Host) Output(ctx context.Context, args ...string) (string, error) {
	o, err := h.Exec(ctx, args...)
	if err == nil && o.Code != 0 {
		err = fmt.Errorf("%s on %s: exit %d: %s", strings.Join(args, " "), h.Name, o.Code, tail([]byte(o.Stdout+o.Stderr), 500))
	}
	return o.Stdout, err
}

// Command returns a program that will run on the machine. Release it when it
// was started, or is not wanted any more.
func (h *Host) Command(ctx context.Context, args ...string) (c *exec.Cmd, release func(), err error) {
	return h.group().command(ctx, args...)
}

// Command runs a program on a machine of a lab that another process keeps.
func Command(ctx context.Context, lab, host string, args ...string) (c *exec.Cmd, release func(), err error) {
	return hostGroup(lab, host).command(ctx, args...)
}

func (g group) command(ctx context.Context, args ...string) (*exec.Cmd, func(), error) {
	pid, err := g.leader()
	if err != nil {
		return nil, nil, err
	}
	dirs, err := (g + "/exec").create()
	if err != nil {
		return nil, nil, err
	}
	// From its first instruction in the machine's group: frozen, counted and
	// killed with it.
	dir, err := os.Open(dirs[0])
	if err != nil {
		return nil, nil, err
	}
	full := append([]string{
		"--target", strconv.Itoa(pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--",
		// nsenter keeps our own working directory, which is outside.
		"env", "--chdir=/", "--ignore-environment", "PATH=" + path, "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "TERM=dumb",
	}, args...)
	c := exec.CommandContext(ctx, "nsenter", full...)
	alone(c)
	c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, int(dir.Fd())
	return c, func() { dir.Close() }, nil
}

func outcome(ctx context.Context, c *exec.Cmd) (Outcome, error) {
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	o := Outcome{Code: -1, Stdout: stdout.String(), Stderr: stderr.String()}
	if c.ProcessState != nil {
		o.Code = c.ProcessState.ExitCode()
	}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return o, context.Cause(ctx)
	case errors.As(err, &exit):
		return o, nil
	}
	return o, err
}

// seen is the root of the machine's files: as it sees them while it runs, and
// from its disk when it is off.
func (h *Host) seen() string {
	if pid, err := h.leader(); err == nil {
		return "/proc/" + strconv.Itoa(pid) + "/root"
	}
	return h.root()
}

// WriteFile puts a file on the machine. The name is relative to its root, and no
// part of it may be an absolute link: write run/x, not var/run/x.
func (h *Host) WriteFile(name string, data []byte, mode fs.FileMode) error {
	return writeBelow(h.seen(), name, data, mode)
}

// CopyIn puts a file of this machine on the lab's, with its mode.
func (h *Host) CopyIn(from, name string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	return h.WriteFile(name, data, info.Mode().Perm())
}

// ReadFile reads a file of the machine, on or off; names as in [Host.WriteFile].
func (h *Host) ReadFile(name string) ([]byte, error) {
	root, err := os.OpenRoot(h.seen())
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.ReadFile(name)
}
