package sim

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// pkg is a package as dpkg's status has it.
type pkg struct {
	patching.Package
	// phase is empty for what the image had; Removed for what is gone.
	phase Phase
	// before is the version that was there before this one: what a half-installed
	// package still mostly is.
	before string
	// misfires counts how often the postinst of this version failed.
	misfires int
}

func (p pkg) installed() bool { return p.phase == "" || p.phase == Configured }
func (p pkg) broken() bool    { return p.phase == Started || p.phase == Unpacked || p.phase == Misfired }

// dpkg is the package database of one machine: its image and what the witness
// says since.
type dpkg struct {
	catalog *catalog
	image   *image
	changed map[string]pkg // by name
	witness *witness
	breaks  map[string]truth.Bad
	// running reports whether the machine runs from a package, as from its kernel.
	running func(name string) bool
	now     func() time.Time
	wait    func(context.Context, time.Duration) error
}

// Durations of a package's parts, on a machine like a small server.
const (
	unpackBase    = 300 * time.Millisecond
	unpackPerMB   = 120 * time.Millisecond
	configureBase = 400 * time.Millisecond
	dragged       = 30 // times as long for a patch that drags
)

// replay makes the events of a witness the state.
func (d *dpkg) replay(events []Event) {
	for _, e := range events {
		d.changed[e.Package] = d.after(e)
	}
}

func (d *dpkg) after(e Event) pkg {
	p, known := d.get(e.Package)
	before := p.before
	switch {
	case !known:
		before = ""
	case p.phase != Started && p.Version != e.Version:
		before = p.Version
	}
	next := pkg{Package: patching.Package{Name: e.Package, Arch: e.Arch, Version: e.Version, Source: p.Source}, phase: e.Phase, before: before}
	if o, ok := d.catalog.find(e.Package, e.Version); ok {
		next.Source, next.SourceVersion = o.Source, o.SourceVersion
	}
	if p.Version == e.Version {
		next.misfires = p.misfires
	}
	if e.Phase == Misfired {
		next.misfires++
	}
	return next
}

// get returns a package as it stands; ok is false if it is not there at all.
func (d *dpkg) get(name string) (pkg, bool) {
	if p, ok := d.changed[name]; ok {
		return p, p.phase != Removed
	}
	p, ok := d.image.packages[name]
	return pkg{Package: p}, ok
}

func (d *dpkg) has(name string) bool { _, ok := d.get(name); return ok }

// note writes the event down and makes it the state.
func (d *dpkg) note(o order, p patching.Package, phase Phase) error {
	e := Event{At: d.now(), Cycle: o.cycle, Order: o.id, Package: p.Name, Arch: p.Arch, Version: p.Version, Phase: phase}
	if err := d.witness.append(e); err != nil {
		return err
	}
	d.changed[p.Name] = d.after(e)
	return nil
}

// all iterates over what is installed, broken packages included, in no order.
func (d *dpkg) all() iter.Seq[patching.Package] {
	return func(yield func(patching.Package) bool) {
		for name, p := range d.image.packages {
			if _, ok := d.changed[name]; !ok && !yield(p) {
				return
			}
		}
		for _, p := range d.changed {
			if p.phase != Removed && !yield(d.shown(p)) {
				return
			}
		}
	}
}

// shown is the package with the version that dpkg's status gives: the old one
// until the new one's files are there.
func (d *dpkg) shown(p pkg) patching.Package {
	if p.phase == Started && p.before != "" {
		p.Version = p.before
	}
	return p.Package
}

// broken lists packages that were left between two states.
func (d *dpkg) broken() []pkg {
	var out []pkg
	for _, p := range d.changed {
		if p.broken() {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b pkg) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// resolve returns all changes that an installation of the patches would make,
// in the order in which it would make them, what comes along included. What is
// as wanted already is left out, as apt says "already the newest version"; be it
// half configured, apt then only configures it.
func (d *dpkg) resolve(patches []patching.Patch) ([]patching.Change, error) {
	var changes []patching.Change
	wanted := map[string]bool{}
	for _, p := range patches {
		wanted[p.Name] = true
	}
	add := func(name, arch, to string) {
		from := ""
		p, there := d.get(name)
		switch {
		case there && p.phase != Started && p.Version == to, !there && to == "":
			return
		case there:
			from = d.shown(p).Version
		}
		changes = append(changes, patching.Change{Name: name, Arch: arch, From: from, To: to})
	}
	for _, p := range patches {
		if p.Action == patching.Remove {
			add(p.Name, p.Arch, "")
			continue
		}
		o, ok := d.catalog.find(p.Name, p.To)
		if !ok {
			return nil, &agent.Failure{
				Reason:    patching.ReasonPlanStale,
				Detail:    fmt.Sprintf("E: Version '%s' for '%s' was not found", p.To, p.Name),
				Signature: p.Name + ": version not found",
			}
		}
		for _, along := range d.catalog.brings(o.Stanza, func(name string) bool { return wanted[name] || d.has(name) }) {
			wanted[along.Name] = true
			add(along.Name, along.Arch, along.Version)
		}
		add(p.Name, p.Arch, p.To)
	}
	return changes, nil
}

// install carries changes out as dpkg does: it unpacks everything, then
// configures everything, what an earlier transaction left included; one postinst
// that fails does not keep the others from being configured.
func (d *dpkg) install(ctx context.Context, o order, changes []patching.Change) error {
	if d.interrupted() {
		return &agent.Failure{
			Reason: patching.ReasonPreflight, Signature: "dpkg interrupted",
			Detail: "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.",
		}
	}
	for _, c := range changes {
		p := patching.Package{Name: c.Name, Arch: c.Arch, Version: c.To}
		if c.To == "" {
			if err := d.remove(o, p, c.From); err != nil {
				return err
			}
			continue
		}
		if now, ok := d.get(c.Name); ok && now.phase != Started && now.Version == c.To {
			continue // unpacked by an earlier try
		}
		if err := d.unpack(ctx, o, p); err != nil {
			return err
		}
	}
	return d.configureAll(ctx, o)
}

// interrupted reports whether a transaction was cut off. One that merely failed
// leaves no package but configured or with a failed postinst.
func (d *dpkg) interrupted() bool {
	return slices.ContainsFunc(d.broken(), func(p pkg) bool { return p.phase != Misfired })
}

// remove removes a package, but not the kernel that runs: its script asks
// whether that is meant, and nobody answers yes (linux-check-removal of Debian's
// linux-base).
func (d *dpkg) remove(o order, p patching.Package, version string) error {
	if d.running(p.Name) {
		return &agent.Failure{
			Reason: patching.ReasonInstallFailed, Signature: p.Name + ": prerm",
			Detail: fmt.Sprintf("dpkg: error processing package %s (--remove):\n"+
				" installed %s package pre-removal script subprocess returned error exit status 1", p.Name, p.Name),
		}
	}
	p.Version = version
	return d.note(o, p, Removed)
}

func (d *dpkg) unpack(ctx context.Context, o order, p patching.Package) error {
	if err := d.note(o, p, Started); err != nil {
		return err
	}
	took := unpackBase
	if f, ok := d.catalog.find(p.Name, p.Version); ok {
		took += time.Duration(float64(f.Size) / 1e6 * float64(unpackPerMB))
	}
	if err := d.wait(ctx, d.scale(p, took)); err != nil {
		return err
	}
	return d.note(o, p, Unpacked)
}

// configureAll is dpkg --configure -a.
func (d *dpkg) configureAll(ctx context.Context, o order) error {
	var failed []string
	for _, p := range d.broken() {
		if p.phase == Started {
			continue // needs to be unpacked again first
		}
		if err := d.wait(ctx, d.scale(p.Package, configureBase)); err != nil {
			return err
		}
		if d.misfires(p) {
			if err := d.note(o, p.Package, Misfired); err != nil {
				return err
			}
			failed = append(failed, p.Name)
			continue
		}
		if err := d.note(o, p.Package, Configured); err != nil {
			return err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	var text strings.Builder
	for _, name := range failed {
		fmt.Fprintf(&text, "dpkg: error processing package %s (--configure):\n"+
			" installed %s package post-installation script subprocess returned error exit status 1\n", name, name)
	}
	text.WriteString("E: Sub-process /usr/bin/dpkg returned an error code (1)")
	return &agent.Failure{Reason: patching.ReasonInstallFailed, Detail: text.String(), Signature: failed[0] + ": postinst"}
}

// foreign names what is broken and none of the bundle's (dpkg --audit): every
// transaction would try to configure it, and fail.
func (d *dpkg) foreign(b patching.Bundle) error {
	ours := map[string]bool{}
	for _, p := range b.Patches() {
		ours[p.Name] = true
	}
	var names []string
	for _, p := range d.broken() {
		if !ours[p.Name] {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &agent.Failure{
		Reason: patching.ReasonPreflight, Signature: names[0] + ": half installed",
		Detail: "Half installed, and no part of this: " + strings.Join(names, ", ") + ".",
	}
}

// repair is dpkg --configure -a, after the files of what was cut off while
// unpacking have been unpacked again (apt-get install --reinstall).
func (d *dpkg) repair(ctx context.Context, o order) error {
	for _, p := range d.broken() {
		if p.phase == Started {
			if err := d.unpack(ctx, o, p.Package); err != nil {
				return err
			}
		}
	}
	return d.configureAll(ctx, o)
}

// bad returns what a version of a package does wrong on this machine.
func (d *dpkg) bad(p patching.Package) truth.How {
	b, ok := d.breaks[p.Name]
	if !ok {
		return ""
	}
	version := b.Version
	if version == "" {
		version = d.catalog.offers[p.Name].Version
	}
	if p.Version != version {
		return ""
	}
	return b.How
}

func (d *dpkg) misfires(p pkg) bool {
	switch d.bad(p.Package) {
	case truth.PostinstFails:
		return true
	case truth.PostinstFailsOnce:
		return p.misfires == 0
	default:
		return false
	}
}

// suffers reports whether a bad patch of that kind is installed now.
func (d *dpkg) suffers(how truth.How) bool {
	for name := range d.breaks {
		if p, ok := d.get(name); ok && p.installed() && d.bad(p.Package) == how {
			return true
		}
	}
	return false
}

func (d *dpkg) scale(p patching.Package, took time.Duration) time.Duration {
	if d.bad(p) == truth.Drags {
		return took * dragged
	}
	return took
}
