//go:build linux

package nspawn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/patchcycle/patchcycle/lab/archive"
	"github.com/patchcycle/patchcycle/lab/netns"
)

// programs that a lab starts, with the Debian package that each is in.
var programs = [][2]string{
	{"systemd-nspawn", "systemd-container"},
	{"debootstrap", "debootstrap"},
	{"nft", "nftables"},
	{"ip", "iproute2"},
	{"tc", "iproute2"},
	{"nsenter", "util-linux"},
	{"mkfs.ext4", "e2fsprogs"},
}

// Check says in one line, with the cure, why no lab can run here; nil if one
// can. It tries what it needs instead of asking for a version.
func Check(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("the lab boots machines, which needs root: start it with sudo -E")
	}
	var missing []string
	for _, p := range programs {
		if _, err := exec.LookPath(p[0]); err != nil {
			missing = append(missing, p[1])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the lab lacks programs; the cure: apt-get install %s", strings.Join(missing, " "))
	}
	if _, err := archive.Find(os.DirFS("/")); err != nil {
		return err
	}
	if _, err := unified(); err != nil {
		return err
	}
	return try(ctx)
}

// try makes a namespace and an overlay where the machines' will be.
func try(ctx context.Context) error {
	cache := Cache()
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cache, ".try-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	n, err := netns.Create(ctx, filepath.Join(dir, "net"))
	if err != nil {
		return fmt.Errorf("no network namespaces here: run the lab on a machine of its own, not in a container: %w", err)
	}
	if err := n.Remove(); err != nil {
		return err
	}
	for _, d := range []string{"lower", "up", "work", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	root := filepath.Join(dir, "root")
	if err := overlay(root, filepath.Join(dir, "up"), filepath.Join(dir, "work"), filepath.Join(dir, "lower")); err != nil {
		return fmt.Errorf("no overlay file system in %s: set PATCHCYCLE_LAB to a folder on ext4 or xfs: %w", cache, err)
	}
	return os.NewSyscallError("unmount", unix.Unmount(root, 0))
}
