//go:build linux

package nspawn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// overlay mounts lower folders, the topmost first, below one that is written.
//
// One space of inode numbers (xino) keeps hard links together. Without it a file
// that dpkg has linked for its way back cannot be renamed again ("Stale file
// handle"), on a disk of its own, and a package that was merely refused ends
// half installed. The index would do it too, but refuses a layer that is still
// mounted anywhere, as in the copies that machines of other labs hold.
func overlay(root, upper, work string, lower ...string) error {
	options := fmt.Sprintf("index=off,xino=on,lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(lower, ":"), upper, work)
	return os.NewSyscallError("mount overlay", unix.Mount("overlay", root, "overlay", 0, options))
}

// mountsBelow lists mount points in a folder, the last mounted first.
func mountsBelow(dir string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		// The kernel writes what would break its lines in octal.
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(f[4])
		if point == dir || strings.HasPrefix(point, dir+"/") {
			found = append(found, point)
		}
	}
	slices.Reverse(found)
	return found, nil
}

// unmountBelow takes away every mount in a folder. One that is still in use is
// detached: it ends with its last user.
func unmountBelow(dir string) error {
	points, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	var failed []error
	for _, p := range points {
		if unix.Unmount(p, 0) == nil {
			continue
		}
		if err := unix.Unmount(p, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			failed = append(failed, fmt.Errorf("unmount %s: %w", p, err))
		}
	}
	return errors.Join(failed...)
}

// removeTree removes a folder of the lab's. It touches no file while anything is
// mounted below: that would be somebody else's.
func removeTree(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	left, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("%s is still mounted: nothing below %s was removed", left[0], dir)
	}
	return os.RemoveAll(dir)
}
