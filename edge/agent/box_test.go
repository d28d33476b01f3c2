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
	bad       map[string]string // versions whose postinst fails
	running   string            // the package from which the machine runs
	// half is what was being unpacked when the agent was killed: the version that
	// was coming. Until that is repaired no transaction begins.
	half      map[string]string
	failing   []string
	pending   bool // wants a restart
	packages  string
	wrote     []string // what the package manager did, the witness
	fetched   int
	deaf      bool     // does not restart
	held      []string // what was not to be cleaned away
	inventory int

	onFetch     func() error
	onPreflight func() error
	onSimulate  func([]patching.Change) []patching.Change
	onApply     func(patching.Patch) error // before a package is configured
	afterApply  func() error               // when all packages are in place
	onRepair    func() error
	onBoot      func()
	onLook      func() error
	onInventory func() error
	// signers are who signed the indexes that packages come from.
	signers map[string][]string
	// sources are where packages came from, by what was done.
	sources map[string]string
	// sick says what else fails.
	sick func(b *box) []string
	// counts says how often services were started again; nil: it does not count.
	counts func() map[string]int
}

func newBox(f *fuse) *box {
	return &box{
		fuse: f, boot: 1, sources: map[string]string{}, packages: "packages v1\tapt\n", broken: map[string]bool{}, half: map[string]string{},
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
		out = append(out, Standing{Version: b.installed[p.Name], Broken: b.broken[p.Name], Running: p.Name == b.running})
	}
	return out, nil
}

func (b *box) Health(context.Context) (Health, error) {
	failing := b.failing
	if b.sick != nil {
		failing = append(slices.Clone(failing), b.sick(b)...)
	}
	h := Health{Failing: failing, RebootPending: b.pending}
	if b.counts != nil {
		h.Restarts = b.counts()
	}
	return h, nil
}

// from notes where the packages of what is done come from.
func (b *box) from(ctx context.Context, what string) {
	if s, ok := SourcesOf(ctx); ok {
		b.sources[what] = s.Snapshot
	}
}

func (b *box) Preflight(ctx context.Context, _ patching.Bundle) error {
	b.from(ctx, "preflight")
	return call(b.onPreflight)
}

func (b *box) Fetch(ctx context.Context, _ patching.Bundle) error {
	b.fetched++
	b.from(ctx, "fetch")
	return call(b.onFetch)
}

func (b *box) Signers(context.Context) (map[string][]string, error) { return b.signers, nil }

func (b *box) Simulate(ctx context.Context, patches []patching.Patch) ([]patching.Change, error) {
	var out []patching.Change
	b.from(ctx, "simulate")
	for _, p := range patches {
		out = append(out, patching.Change{Name: p.Name, Arch: p.Arch, From: b.installed[p.Name], To: p.To})
	}
	if b.onSimulate != nil {
		out = b.onSimulate(out)
	}
	return out, nil
}

func (b *box) Apply(ctx context.Context, patches []patching.Patch) error {
	if len(b.half) > 0 {
		return errors.New("dpkg was interrupted")
	}
	b.wrote = append(b.wrote, "apply for "+string(OrderOf(ctx).ID))
	b.from(ctx, "apply")
	b.fuse.event("before the transaction")
	var failed error
	for _, p := range patches {
		if p.Action == patching.Remove {
			if p.Name == b.running {
				return errors.New("prerm returned 1")
			}
			delete(b.installed, p.Name)
			b.broken[p.Name] = false
			b.wrote = append(b.wrote, "removed "+p.Name)
			continue
		}
		b.half[p.Name], b.broken[p.Name] = p.To, true
		b.fuse.event("in the unpacking")
		b.unpacked(p.Name)
		b.fuse.event("between unpacking and configuring")
		delete(b.half, p.Name)
		if b.onApply != nil {
			if err := b.onApply(p); err != nil {
				return err
			}
		}
		failed = errors.Join(failed, b.configure(p.Name))
		b.pending = b.pending || p.NeedsReboot
		b.fuse.event("between two packages")
	}
	return errors.Join(failed, b.configureOthers(patches...), call(b.afterApply))
}

func (b *box) unpacked(name string) {
	b.installed[name] = b.half[name]
	b.wrote = append(b.wrote, "unpacked "+name+" "+b.half[name])
}

func (b *box) configure(name string) error {
	if b.bad[name] != "" && b.bad[name] == b.installed[name] {
		b.wrote = append(b.wrote, "failed "+name+" "+b.installed[name])
		return &Failure{Reason: patching.ReasonInstallFailed, Detail: "postinst returned 1", Signature: name + ": postinst"}
	}
	b.broken[name] = false
	b.wrote = append(b.wrote, "configured "+name+" "+b.installed[name])
	return nil
}

// configureOthers tries what an earlier transaction left broken.
func (b *box) configureOthers(than ...patching.Patch) (failed error) {
	for _, name := range slices.Sorted(maps.Keys(b.broken)) {
		tried := slices.ContainsFunc(than, func(p patching.Patch) bool { return p.Name == name })
		if b.broken[name] && !tried {
			failed = errors.Join(failed, b.configure(name))
		}
	}
	return failed
}

func (b *box) Repair(context.Context) error {
	b.wrote = append(b.wrote, "repair")
	if err := call(b.onRepair); err != nil {
		return err
	}
	b.fuse.event("in the repair")
	for _, name := range slices.Sorted(maps.Keys(b.half)) {
		if b.installed[name] != b.half[name] {
			b.unpacked(name)
		}
		delete(b.half, name)
	}
	return b.configureOthers()
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

func (b *box) Clean(_ context.Context, held []string) (int64, error) {
	b.held = held
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
