//go:build linux

package vm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/pause"
)

// diskMB is the size of a machine's disk. The file has holes: a fresh one takes
// half a gigabyte.
const diskMB = 2500

// wanted are units that the lab's base masks, because a machine without a kernel of
// its own has no use for them.
var wanted = []string{"systemd-udevd.service", "systemd-networkd.service"}

// makeImage makes the machine's disk from a folder.
func (m *Machine) makeImage(ctx context.Context, tree string) error {
	if err := command(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-d", tree, m.image(), fmt.Sprintf("%dM", diskMB)); err != nil {
		return err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	return m.Change(ctx, func(root *os.Root) error {
		for name, text := range map[string]string{
			"etc/hostname":                      m.Name + "\n",
			"etc/machine-id":                    fmt.Sprintf("%x\n", id),
			"etc/hosts":                         fmt.Sprintf("127.0.0.1 localhost\n127.0.1.1 %s\n", m.Name),
			"etc/fstab":                         "/dev/vda / ext4 defaults 0 1\n",
			"etc/systemd/network/wired.network": fmt.Sprintf("[Match]\nName=eth0\n[Network]\nAddress=%s\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n", m.options.Address),
		} {
			if err := root.WriteFile(name, []byte(text), 0o644); err != nil {
				return err
			}
		}
		const units = "etc/systemd/system/"
		for _, unit := range wanted {
			if err := root.Remove(units + unit); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := root.MkdirAll(units+"multi-user.target.wants", 0o755); err != nil {
			return err
		}
		return root.Symlink("/lib/systemd/system/systemd-networkd.service", units+"multi-user.target.wants/systemd-networkd.service")
	})
}

// Change does something to the files of a machine that is off.
func (m *Machine) Change(ctx context.Context, do func(root *os.Root) error) error {
	if m.On() {
		return fmt.Errorf("machine %s is on: its disk is its own", m.Name)
	}
	return m.change(ctx, do)
}

func (m *Machine) change(ctx context.Context, do func(root *os.Root) error) (err error) {
	at := filepath.Join(m.dir, "mnt")
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	// Others may take the loop device that mount has just found free.
	for tries := 0; ; tries++ {
		err := command(ctx, "mount", "-o", "loop", m.image(), at)
		if err == nil {
			break
		}
		if tries == 10 || pause.For(ctx, time.Second) != nil {
			return err
		}
	}
	defer func() { err = errors.Join(err, command(context.WithoutCancel(ctx), "umount", at)) }()
	root, err := os.OpenRoot(at)
	if err != nil {
		return err
	}
	defer root.Close()
	return do(root)
}

// epoch is by what systemd judges a clock: it moves one that is before that file's
// time, or 15 years after it, to that time. Without the file it is when systemd was
// built.
const epoch = "usr/lib/clock-epoch"

// Believe lets a machine that is off take a clock of that time as it is. Without it
// Debian 12 has, with its clock at 1970 and at 2099, the day that its systemd was
// built.
func (m *Machine) Believe(ctx context.Context, at time.Time) error {
	return m.Change(ctx, func(root *os.Root) error {
		f, err := root.Create(epoch)
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), root.Chtimes(epoch, at, at))
	})
}

// takeKernel copies what the machine would boot out of its image. Qemu must not run.
func (m *Machine) takeKernel(ctx context.Context) error {
	return m.change(ctx, func(root *os.Root) error {
		for link, to := range map[string]string{"vmlinuz": m.kernel(), "initrd.img": m.initrd()} {
			data, err := root.ReadFile(link)
			if err == nil {
				err = os.WriteFile(to, data, 0o600)
			}
			if err != nil {
				return fmt.Errorf("the kernel of %s: %w", m.Name, err)
			}
		}
		return nil
	})
}

func (m *Machine) image() string  { return filepath.Join(m.dir, "disk.img") }
func (m *Machine) kernel() string { return filepath.Join(m.dir, "vmlinuz") }
func (m *Machine) initrd() string { return filepath.Join(m.dir, "initrd.img") }

// command runs a program of this machine; the error carries what it said.
func command(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %.500s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
