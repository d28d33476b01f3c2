package machine

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/host"
	"github.com/patchcycle/patchcycle/patching"
)

// Preflight implements [agent.Machine].
func (m *Machine) Preflight(ctx context.Context, b patching.Bundle) error {
	if err := m.acts(); err != nil {
		return err
	}
	if b.Manager != m.manager.Name() {
		return &agent.Failure{Reason: patching.ReasonPlanStale, Detail: fmt.Sprintf("The bundle is for %q, this machine has %q.", b.Manager, m.manager.Name())}
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	if err := m.lists(ctx); err != nil {
		return err
	}
	if err := m.clock(); err != nil {
		return err
	}
	if err := m.alone(ctx); err != nil {
		return err
	}
	state, err := m.manager.State(ctx)
	if err != nil {
		return failure(err)
	}
	if others := beyond(state.Broken, b); len(others) > 0 {
		return &agent.Failure{
			Reason: patching.ReasonPreflight, Signature: others[0] + ": half installed", Mendable: true,
			Detail: "Half installed, and not of this order, so that every transaction would fail: " + strings.Join(others, ", ") + ". On the machine: dpkg --audit",
		}
	}
	return m.space(ctx, b)
}

// beyond returns the names that the bundle does not cover: carrying it out cures
// its own.
func beyond(names []string, b patching.Bundle) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(b.Patches(), func(p patching.Patch) bool { return p.Name == name })
	})
}

// clockFiles were written by this machine when packages last changed: no clock
// that is right is before them.
var clockFiles = []string{"var/lib/dpkg/status", "var/lib/dpkg/status-old"}

// clock refuses where the clock was set back: files would look as if they were
// from the future, and lists of packages as if they were not valid yet.
func (m *Machine) clock() error {
	now := m.now()
	for _, name := range clockFiles {
		info, err := fs.Stat(m.root, name)
		if err == nil && info.ModTime().After(now.Add(time.Hour)) {
			return &agent.Failure{
				Reason: patching.ReasonClockOff,
				Detail: fmt.Sprintf("It shows %s, but /%s is of %s.", now.UTC().Format(time.RFC3339), name, info.ModTime().UTC().Format(time.RFC3339)),
			}
		}
	}
	return nil
}

// locks are taken by whoever works with packages; updaters are units that are at
// work while they are being started (they end by themselves).
var (
	locks    = []string{"/var/lib/dpkg/lock-frontend", "/var/lib/dpkg/lock", "/var/lib/apt/lists/lock", "/var/cache/apt/archives/lock"}
	updaters = []string{"apt-daily.service", "apt-daily-upgrade.service", "packagekit-offline-update.service"}
)

const lockPoll = 2 * time.Second

// alone waits, for a bounded time, until no other program works with packages.
// None is ever stopped, and no lock removed.
func (m *Machine) alone(ctx context.Context) error {
	for waited := time.Duration(0); ; waited += lockPoll {
		who, err := m.otherWork(ctx)
		if err != nil || who == "" {
			return err
		}
		if waited+lockPoll > m.o.LockWait {
			return &agent.Failure{
				Reason: patching.ReasonLocked, Signature: "apt: lock",
				Detail: fmt.Sprintf("Still at work with packages after %s: %s", m.o.LockWait, who),
			}
		}
		select {
		case <-time.After(lockPoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// otherWork names another program that works with packages now.
func (m *Machine) otherWork(ctx context.Context) (string, error) {
	for _, lock := range locks {
		process, locked, err := m.lockedBy(lock)
		if err != nil {
			return "", err
		}
		if locked {
			return fmt.Sprintf("process %d%s, which holds %s", process, m.processName(process), lock), nil
		}
	}
	for _, unit := range updaters {
		// It exits with 3 for any state but active.
		out, _ := m.run(ctx, time.Minute, "systemctl", "is-active", unit)
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if state := strings.TrimSpace(string(out)); state == "activating" || state == "active" {
			return unit, nil
		}
	}
	return "", nil
}

func (m *Machine) processName(process int) string {
	text, err := fs.ReadFile(m.root, fmt.Sprintf("proc/%d/comm", process))
	if err != nil {
		return ""
	}
	return " (" + strings.TrimSpace(string(text)) + ")"
}

// What a transaction needs beside its packages. dpkg writes its status file anew
// for every package; a kernel comes with an image of the first steps of a boot
// that is made on the machine.
const (
	spare        = 64 << 20
	kernelTakes  = 16 << 20
	initrdTakes  = 64 << 20 // when there is none yet to go by
	spareInodes  = 1000
	packageFiles = 300 // that a package brings beside those that it replaces
)

// need is what a folder's file system has to hold.
type need struct {
	folder string
	bytes  int64
	inodes int64
}

// space refuses where the download or what is unpacked would fill a disk.
func (m *Machine) space(ctx context.Context, b patching.Bundle) error {
	all := b.Patches()
	room, err := m.manager.Room(ctx, all)
	if err != nil {
		return failure(err)
	}
	installs := 0
	for _, p := range all {
		if p.Action == patching.Install {
			installs++
		}
	}
	needs := []need{
		{"/var/cache/apt/archives", m.toFetch(b), int64(len(all))},
		{"/usr", room.Grows + room.Peak, spareInodes + packageFiles*int64(installs)},
		{"/var/lib/dpkg", spare, spareInodes},
	}
	if room.Kernels > 0 {
		needs = append(needs, need{"/boot", int64(room.Kernels) * (kernelTakes + m.initrd()), 10})
	}
	spaces := map[string]host.Space{}
	for _, n := range needs {
		if spaces[n.folder], err = m.spaceAt(n.folder); err != nil {
			return err
		}
	}
	if short := shortage(needs, spaces); short != "" {
		return agent.DiskFull(short)
	}
	return nil
}

// shortage says where the needs do not fit. Folders may share a file system.
func shortage(needs []need, spaces map[string]host.Space) string {
	type sum struct {
		folders       []string
		bytes, inodes int64
		has           host.Space
	}
	var order []uint64
	sums := map[uint64]*sum{}
	for _, n := range needs {
		has := spaces[n.folder]
		s := sums[has.Device]
		if s == nil {
			s = &sum{has: has}
			sums[has.Device] = s
			order = append(order, has.Device)
		}
		s.folders = append(s.folders, n.folder)
		s.bytes += n.bytes
		s.inodes += n.inodes
	}
	for _, device := range order {
		s := sums[device]
		where := strings.Join(s.folders, ", ")
		if s.bytes > s.has.Bytes {
			return fmt.Sprintf("Too little space for %s: %d MB are needed, %d MB are left.", where, s.bytes>>20, s.has.Bytes>>20)
		}
		if s.has.CountsInodes && s.inodes > s.has.Inodes {
			return fmt.Sprintf("Too few inodes for %s: about %d are needed, %d are left.", where, s.inodes, s.has.Inodes)
		}
	}
	return ""
}

// toFetch is what of the bundle is not in the cache yet, in bytes.
func (m *Machine) toFetch(b patching.Bundle) (bytes int64) {
	for _, p := range b.Patches() {
		// apt writes a colon as %3a, in lower case (QuoteString).
		name := p.Name + "_" + strings.ReplaceAll(p.To, ":", "%3a") + "_" + p.Arch + ".deb"
		info, err := fs.Stat(m.root, "var/cache/apt/archives/"+name)
		if err != nil || info.Size() != p.Size {
			bytes += p.Size
		}
	}
	return bytes
}

// initrd is what the largest image of a boot's first steps takes.
func (m *Machine) initrd() int64 {
	largest := int64(0)
	images, _ := fs.Glob(m.root, "boot/initrd.img-*")
	for _, name := range images {
		if info, err := fs.Stat(m.root, name); err == nil {
			largest = max(largest, info.Size())
		}
	}
	if largest == 0 {
		return initrdTakes
	}
	return largest
}
