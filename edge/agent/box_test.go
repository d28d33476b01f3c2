package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// box is a machine of which every action can be scripted and is written down.
type box struct {
	fuse      *fuse
	boot      int
	installed map[string]string
	broken    map[string]bool
	failing   []string
	pending   bool // wants a restart
	packages  string
	wrote     []string // what the package manager did, the witness
	fetched   int
	deaf      bool // does not restart
	inventory int

	onFetch     func() error
	onPreflight func() error
	onSimulate  func([]patching.Change) []patching.Change
	onApply     func(patching.Patch) error // before a package is configured
	onRepair    func() error
	onBoot      func()
	onLook      func() error
	onInventory func() error
	// afterApply and afterBoot say what fails then.
	sick func(b *box) []string
}

func newBox(f *fuse) *box {
	return &box{
		fuse: f, boot: 1, packages: "packages v1\tapt\n", broken: map[string]bool{},
		installed: map[string]string{"openssl": "1", "linux": "5", "nginx": "7"},
	}
}

func (b *box) Boot() string { return fmt.Sprintf("boot-%d", b.boot) }

func (b *box) Inventory(context.Context) (patching.Asset, error) {
	b.inventory++
	if b.onInventory != nil {
		if err := b.onInventory(); err != nil {
			return patching.Asset{}, err
		}
	}
	return patching.Asset{
		Hostname: "db1", Manager: "apt", RebootPending: b.pending,
		Packages: patching.DigestOf([]byte(b.packages)), Candidates: patching.DigestOf([]byte("candidates v1\tapt\n")),
	}, nil
}

func (b *box) Content(_ context.Context, d patching.Digest) ([]byte, error) {
	for _, text := range []string{b.packages, "candidates v1\tapt\n"} {
		if patching.DigestOf([]byte(text)) == d {
			return []byte(text), nil
		}
	}
	return nil, errors.New("no such list")
}

func (b *box) Look(_ context.Context, patches []patching.Patch) ([]Standing, error) {
	if b.onLook != nil {
		if err := b.onLook(); err != nil {
			return nil, err
		}
	}
	var out []Standing
	for _, p := range patches {
		out = append(out, Standing{b.installed[p.Name], b.broken[p.Name]})
	}
	return out, nil
}

func (b *box) Health(context.Context) (Health, error) {
	failing := b.failing
	if b.sick != nil {
		failing = append(slices.Clone(failing), b.sick(b)...)
	}
	return Health{Failing: failing, RebootPending: b.pending}, nil
}

func (b *box) Preflight(context.Context, patching.Bundle) error { return call(b.onPreflight) }

func (b *box) Fetch(context.Context, patching.Bundle) error {
	b.fetched++
	return call(b.onFetch)
}

func (b *box) Simulate(_ context.Context, patches []patching.Patch) ([]patching.Change, error) {
	var out []patching.Change
	for _, p := range patches {
		out = append(out, patching.Change{Name: p.Name, Arch: p.Arch, From: b.installed[p.Name], To: p.To})
	}
	if b.onSimulate != nil {
		out = b.onSimulate(out)
	}
	return out, nil
}

func (b *box) Apply(ctx context.Context, patches []patching.Patch) error {
	b.wrote = append(b.wrote, "apply for "+string(OrderOf(ctx).ID))
	b.fuse.event("before the transaction")
	for _, p := range patches {
		b.installed[p.Name], b.broken[p.Name] = p.To, true
		b.wrote = append(b.wrote, "unpacked "+p.Name+" "+p.To)
		b.fuse.event("between unpacking and configuring")
		if b.onApply != nil {
			if err := b.onApply(p); err != nil {
				return err
			}
		}
		b.configure(p.Name)
		b.pending = b.pending || p.NeedsReboot
		b.fuse.event("between two packages")
	}
	return nil
}

func (b *box) configure(name string) {
	b.broken[name] = false
	b.wrote = append(b.wrote, "configured "+name+" "+b.installed[name])
}

func (b *box) Repair(context.Context) error {
	b.wrote = append(b.wrote, "repair")
	if err := call(b.onRepair); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(b.broken)) {
		if b.broken[name] {
			b.fuse.event("in the repair")
			b.configure(name)
		}
	}
	return nil
}

// Reboot ends the agent's process, as a real one does.
func (b *box) Reboot(context.Context) error {
	b.fuse.event("before the restart")
	b.wrote = append(b.wrote, "reboot")
	if b.deaf {
		return nil
	}
	b.restart()
	panic(killed{})
}

// restart is a boot, asked for or by a loss of power.
func (b *box) restart() {
	b.boot++
	b.pending = false
	if b.onBoot != nil {
		b.onBoot()
	}
}

func (b *box) Clean(context.Context) (int64, error) {
	b.wrote = append(b.wrote, "clean")
	return 4096, nil
}

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

// repeats returns what was unpacked in the same version again after it had
// been configured: the one thing that must never be.
func (b *box) repeats() (out []string) {
	done := map[string]bool{}
	for _, line := range b.wrote {
		what, pkg, _ := strings.Cut(line, " ")
		switch {
		case what == "configured":
			done[pkg] = true
		case what == "unpacked" && done[pkg]:
			out = append(out, pkg)
		}
	}
	return out
}
