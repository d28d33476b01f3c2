//go:build linux

package nspawn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// group is a cgroup by its path below the root of each hierarchy that counts:
// the unified one, and systemd's own where there is one. Who is in it is ours:
// that is how what a lab started is found again.
type group string

// unified is where the one hierarchy of cgroup 2 is mounted: by itself, or
// beside the old ones.
func unified() (string, error) {
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if exists(filepath.Join(dir, "cgroup.procs")) && exists(filepath.Join(dir, "cgroup.controllers")) {
			return dir, nil
		}
	}
	return "", errors.New("no cgroup 2 here: the lab needs it to tell its machines apart; " +
		"the cure: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
}

// dirs are the group's folders, the unified one first.
func (g group) dirs() ([]string, error) {
	one, err := unified()
	if err != nil {
		return nil, err
	}
	all := []string{filepath.Join(one, string(g))}
	if old := "/sys/fs/cgroup/systemd"; exists(filepath.Join(old, "cgroup.procs")) {
		all = append(all, filepath.Join(old, string(g)))
	}
	return all, nil
}

func (g group) create() ([]string, error) {
	dirs, err := g.dirs()
	if err != nil {
		return nil, err
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, fmt.Errorf("cgroup: %w", err)
		}
	}
	return dirs, nil
}

// pids are all processes in the group and below.
func (g group) pids() ([]int, error) {
	dirs, err := g.dirs()
	if err != nil {
		return nil, err
	}
	seen := map[int]bool{}
	var all []int
	for _, d := range dirs {
		err := filepath.WalkDir(d, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it ends while we look
			}
			if err != nil || entry.Name() != "cgroup.procs" {
				return err
			}
			text, err := os.ReadFile(path)
			if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			for f := range strings.FieldsSeq(string(text)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 0 && !seen[pid] {
					seen[pid] = true
					all = append(all, pid)
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// freeze stops every process of the group at once, or lets all go on.
func (g group) freeze(ctx context.Context, yes bool) error {
	dirs, err := g.dirs()
	if err != nil {
		return err
	}
	word := map[bool]string{false: "0", true: "1"}[yes]
	if err := os.WriteFile(filepath.Join(dirs[0], "cgroup.freeze"), []byte(word), 0); err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	return await(ctx, 10*time.Second, "the machine to be frozen or thawed", func() (bool, error) {
		text, err := os.ReadFile(filepath.Join(dirs[0], "cgroup.events"))
		return strings.Contains(string(text), "frozen "+word), err
	})
}

// remove kills what is in the group, with kill -9, and takes the group away.
func (g group) remove(ctx context.Context) error {
	dirs, err := g.dirs()
	if err != nil {
		return err
	}
	err = await(ctx, 30*time.Second, "the processes of "+string(g)+" to end", func() (bool, error) {
		pids, err := g.pids()
		if err != nil || len(pids) == 0 {
			return err == nil, err
		}
		// The kernel's own way, which nothing escapes by forking; then one by
		// one, for what is in the old hierarchy alone.
		_ = os.WriteFile(filepath.Join(dirs[0], "cgroup.kill"), []byte("1"), 0)
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		return false, nil
	})
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if err := removeGroups(d); err != nil {
			return err
		}
	}
	return nil
}

// removeGroups removes folders from the leaves up; their files are the kernel's.
func removeGroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroups(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove cgroup %s: %w", dir, err)
	}
	return nil
}
