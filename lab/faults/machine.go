//go:build linux

package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/patchcycle/patchcycle/lab/nspawn"
)

// Lock is one that apt and dpkg take, by its file on the machine.
type Lock string

// The locks, in the order in which an installation takes them.
const (
	LockFrontend Lock = "/var/lib/dpkg/lock-frontend"
	LockDpkg     Lock = "/var/lib/dpkg/lock"
	LockLists    Lock = "/var/lib/apt/lists/lock"
)

// holder takes a lock as dpkg does: fcntl(2), which flock(1) does not.
const holder = `import fcntl, sys, time
f = open(sys.argv[1], "w")
fcntl.lockf(f, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(86400)`

// Hold has a program on the machine hold a lock until release is called, or the
// context or the machine ends.
func Hold(ctx context.Context, h *nspawn.Host, lock Lock) (release func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	c, started, err := h.Command(ctx, "python3", "-c", holder, string(lock))
	if err != nil {
		cancel()
		return nil, err
	}
	defer started()
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	end := func() {
		cancel()
		_ = c.Wait()
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "held\n" {
		end()
		return nil, fmt.Errorf("hold %s on %s: somebody else has it, or python3 is missing: %w", lock, h.Name, err)
	}
	return end, nil
}

var errSharedDisk = errors.New("the machine writes to this machine's disk, which must not be filled: give it one of its own (HostOptions.DiskMB)")

// fillers are the files that fill a disk.
const (
	filler      = "/lab-filler"
	fillerCrowd = "/lab-crowd"
)

// FillDisk leaves the machine that many MB; with 0 not even a byte.
func FillDisk(ctx context.Context, h *nspawn.Host, leave int) error {
	if h.DiskMB == 0 {
		return errSharedDisk
	}
	free, err := available(ctx, h, "avail", "1M")
	if err != nil {
		return err
	}
	// The file system needs a little for itself to note so large a file.
	const slack = 16
	if take := free - max(leave, slack); take > 0 {
		if _, err := h.Output(ctx, "fallocate", "-l", strconv.Itoa(take)+"MiB", filler); err != nil {
			return err
		}
	}
	if leave > 0 {
		return nil
	}
	// What is left, first by blocks; dd ends when the disk is full.
	for _, block := range []string{"4k", "1"} {
		if _, err := h.Exec(ctx, "dd", "if=/dev/zero", "of="+filler+block, "bs="+block, "count=16384", "status=none"); err != nil {
			return err
		}
	}
	_, err = h.Output(ctx, "sync", "-f", "/")
	return err
}

// FillInodes leaves the machine room for bytes, but for no more files.
func FillInodes(ctx context.Context, h *nspawn.Host) error {
	if h.DiskMB == 0 {
		return errSharedDisk
	}
	const fill = `import os, sys
os.makedirs(sys.argv[1], exist_ok=True)
n = 0
try:
    while True:
        os.mknod(f"{sys.argv[1]}/{n}")
        n += 1
except OSError as e:
    if e.errno != 28: raise`
	if _, err := h.Output(ctx, "python3", "-c", fill, fillerCrowd); err != nil {
		return err
	}
	left, err := available(ctx, h, "iavail", "")
	if err == nil && left > 0 {
		err = fmt.Errorf("%s still has %d inodes", h.Name, left)
	}
	return err
}

// FreeDisk takes away what [FillDisk] and [FillInodes] have put there.
func FreeDisk(ctx context.Context, h *nspawn.Host) error {
	_, err := h.Output(ctx, "rm", "-rf", filler, filler+"4k", filler+"1", fillerCrowd)
	return err
}

// available asks df for one of its figures.
func available(ctx context.Context, h *nspawn.Host, what, unit string) (int, error) {
	args := []string{"df", "--output=" + what}
	if unit != "" {
		args = append(args, "--block-size="+unit)
	}
	out, err := h.Output(ctx, append(args, "/")...)
	if err != nil {
		return 0, err
	}
	f := strings.Fields(strings.ReplaceAll(out, "M", ""))
	if len(f) == 0 {
		return 0, fmt.Errorf("df on %s said %q", h.Name, out)
	}
	return strconv.Atoi(f[len(f)-1])
}

// Moment is a point in an installation.
type Moment func(nspawn.Process) bool

// InScript is while a package's maintainer script runs, such as postinst.
func InScript(f Fault, script string) Moment {
	file := "/" + string(f) + "." + script
	return func(p nspawn.Process) bool {
		return slices.ContainsFunc(p.Args, func(a string) bool { return strings.HasSuffix(a, file) })
	}
}

// Unpacking is while dpkg unpacks a package: its files are half there.
func Unpacking(p nspawn.Process) bool { return p.Name == "dpkg-deb" }

// Await waits until the machine is at that moment. The limit is a minute.
func Await(ctx context.Context, h *nspawn.Host, at Moment) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		all, err := h.Processes()
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, at) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s never came to the moment that was waited for: %w", h.Name, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond): // unpacking is short
		}
	}
}

// KillPackageManager kills apt and dpkg on the machine, with kill -9, at a
// moment. Scripts that they had started go on by themselves.
func KillPackageManager(ctx context.Context, h *nspawn.Host, at Moment) error {
	if err := Await(ctx, h, at); err != nil {
		return err
	}
	all, err := h.Processes()
	if err != nil {
		return err
	}
	killed := 0
	for _, p := range all {
		if p.Name == "apt-get" || p.Name == "dpkg" {
			if err := unix.Kill(p.PID, unix.SIGKILL); err == nil {
				killed++
			}
		}
	}
	if killed == 0 {
		return fmt.Errorf("neither apt-get nor dpkg runs on %s any more: the moment has passed", h.Name)
	}
	return nil
}
