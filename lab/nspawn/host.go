//go:build linux

package nspawn

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/patchcycle/patchcycle/lab/netns"
)

// Host is a machine of the lab.
type Host struct {
	Name    string
	Address string
	// DiskMB is the size of its own disk; 0 if it writes to this machine's.
	DiskMB int

	lab  *Lab
	dir  string
	link string // its end of the cable at the bridge
	net  netns.Namespace

	mu      sync.Mutex
	retired bool
	running chan struct{} // closed when the machine is off; nil before it was on
	ending  error         // how it went off
}

// HostOptions say what machine to make. All may be zero.
type HostOptions struct {
	// Name is h1, h2, … if empty.
	Name string
	// DiskMB gives the machine a disk of its own, of that size. Only such a
	// machine's disk may be filled.
	DiskMB int
}

// Create makes a machine, switched off. From the first one on the lab's layer
// is closed.
func (l *Lab) Create(ctx context.Context, o HostOptions) (*Host, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	number := len(l.hosts) + 1
	if o.Name == "" {
		o.Name = "h" + strconv.Itoa(number)
	}
	switch {
	case !names.MatchString(o.Name):
		return nil, fmt.Errorf("%q is no name of a machine: write small letters, digits and dashes", o.Name)
	case slices.Contains(l.state.Hosts, o.Name):
		return nil, fmt.Errorf("machine %s is there already", o.Name)
	case number > 8000:
		return nil, errors.New("no addresses left for more machines")
	}
	if err := l.seal(); err != nil {
		return nil, err
	}
	h := &Host{
		Name: o.Name, DiskMB: o.DiskMB, lab: l,
		// Far from the gateway, and never the network's first or last address.
		Address: fmt.Sprintf("10.77.%d.%d", 10+number/200, number%200+1),
		dir:     filepath.Join(l.dir, "hosts", o.Name),
		link:    "v" + strconv.Itoa(number),
	}
	l.state.Hosts = append(l.state.Hosts, o.Name)
	if err := l.state.save(); err != nil {
		return nil, err
	}
	l.hosts = append(l.hosts, h)
	if err := h.make(ctx); err != nil {
		return nil, fmt.Errorf("machine %s: %w", o.Name, err)
	}
	return h, nil
}

func (h *Host) make(ctx context.Context) error {
	disk := filepath.Join(h.dir, "disk")
	if err := os.MkdirAll(disk, 0o755); err != nil {
		return err
	}
	if h.DiskMB > 0 {
		if err := h.ownDisk(ctx, disk); err != nil {
			return err
		}
	}
	for _, d := range []string{"upper", "work"} {
		if err := os.Mkdir(filepath.Join(disk, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Mkdir(h.root(), 0o755); err != nil {
		return err
	}
	err := overlay(h.root(), filepath.Join(disk, "upper"), filepath.Join(disk, "work"), h.lab.layer("upper"), h.lab.Base.Root())
	if err != nil {
		return err
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	for name, text := range map[string]string{
		"etc/hostname":   h.Name + "\n",
		"etc/machine-id": fmt.Sprintf("%x\n", id),
		"etc/hosts":      fmt.Sprintf("127.0.0.1 localhost\n127.0.1.1 %s\n%s patchcycle\n", h.Name, Gateway),
	} {
		if err := writeBelow(h.root(), name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return h.wire(ctx)
}

func (h *Host) ownDisk(ctx context.Context, at string) error {
	image := filepath.Join(h.dir, "disk.img")
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	err = errors.Join(f.Truncate(int64(h.DiskMB)<<20), f.Close())
	if err == nil {
		err = run(ctx, h.lab.options.Log, "mkfs.ext4", "-q", "-m", "0",
			"-i", "16384", image) // few enough inodes to be used up in seconds
	}
	if err == nil {
		err = run(ctx, h.lab.options.Log, "mount", "-o", "loop", image, at)
	}
	return err
}

func (h *Host) wire(ctx context.Context) (err error) {
	if h.net, err = netns.Create(ctx, filepath.Join(h.dir, "net")); err != nil {
		return err
	}
	for _, args := range [][]string{
		// The other end comes to life in the machine's network: the one of
		// whoever runs the lab sees neither.
		{"ip", "link", "add", h.link, "type", "veth", "peer", "name", "eth0", "netns", string(h.net)},
		{"ip", "link", "set", h.link, "master", "br0"},
		{"ip", "link", "set", h.link, "type", "bridge_slave", "isolated", "on"},
		{"ip", "link", "set", h.link, "up"},
	} {
		if err := h.lab.Network.Run(ctx, args...); err != nil {
			return err
		}
	}
	if err := h.net.Run(ctx, "ip", "addr", "add", h.Address+"/16", "dev", "eth0"); err != nil {
		return err
	}
	return h.net.Run(ctx, "ip", "link", "set", "eth0", "up")
}

func (h *Host) root() string { return filepath.Join(h.dir, "root") }

// Disk is the folder of the machine's files, without what is mounted there while it
// runs. It stays where it is over restarts.
func (h *Host) Disk() string { return h.root() }

func (h *Host) group() group { return hostGroup(h.lab.options.Name, h.Name) }

func hostGroup(lab, host string) group { return labGroup(lab) + group("/"+host) }

// Console is the file with what the machine printed as it booted.
func (h *Host) Console() string { return filepath.Join(h.dir, "console.log") }

// LinkDown pulls the machine's cable.
func (h *Host) LinkDown(ctx context.Context) error {
	return h.lab.Network.Run(ctx, "ip", "link", "set", h.link, "down")
}

// LinkUp plugs it in again.
func (h *Host) LinkUp(ctx context.Context) error {
	return h.lab.Network.Run(ctx, "ip", "link", "set", h.link, "up")
}

// Freeze stops everything on the machine, as a hung one: its kernel still takes
// connections, and nobody answers them.
func (h *Host) Freeze(ctx context.Context) error { return h.group().freeze(ctx, true) }

// Thaw lets it go on.
func (h *Host) Thaw(ctx context.Context) error { return h.group().freeze(ctx, false) }

// DiskUsed is how much the machine has written, in bytes.
func (h *Host) DiskUsed() (int64, error) {
	var sum int64
	err := filepath.WalkDir(filepath.Join(h.dir, "disk", "upper"), func(_ string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // it changes while we count
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}

// Processes lists what runs on the machine, as this machine numbers it.
func (h *Host) Processes() ([]Process, error) { return h.group().processes() }

// Process is one that runs on a machine.
type Process struct {
	// PID is this machine's number; Inside the machine's own, 0 for what keeps
	// it from outside.
	PID, Inside int
	// Name is the program's, at most 15 letters; Args what it was called with.
	Name string
	Args []string
}

func (g group) processes() ([]Process, error) {
	pids, err := g.pids()
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, pid := range pids {
		dir := "/proc/" + strconv.Itoa(pid)
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			continue // it has ended
		}
		p := Process{PID: pid}
		for line := range strings.Lines(string(status)) {
			key, value, _ := strings.Cut(line, ":")
			switch f := strings.Fields(value); {
			case key == "Name":
				p.Name = strings.TrimSpace(value)
			case key == "NSpid" && len(f) > 1:
				p.Inside, _ = strconv.Atoi(f[len(f)-1])
			}
		}
		if line, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil && len(line) > 0 {
			p.Args = strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
		}
		all = append(all, p)
	}
	return all, nil
}
