package assess

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Verify judges by a fresh inventory whether a machine has what a bundle
// brings. What it lacks is named ("nginx 1.22.1-9+deb12u2 (has 1.22.1-9)"). A
// newer version than the bundle's is as good, an older one after a downgrade is
// not: going back means exactly there.
func Verify(b patching.Bundle, after patching.PackageSet) (ok bool, missing []string) {
	has := versionsOf(after)
	for _, step := range b.Steps {
		for _, p := range step.Patches {
			version := has[key{p.Name, p.Arch}]
			if !taken(b.Manager, p, version) {
				missing = append(missing, lack(p, version))
			}
		}
	}
	return len(missing) == 0, missing
}

// Returned judges by a fresh inventory whether a machine is where the bundle of
// its way back leads. A kernel that it runs could not be removed: that one is no
// failure, but [Remains] names it.
func Returned(back patching.Bundle, after patching.PackageSet, kernel string) (ok bool, missing []string) {
	demanded := patching.Bundle{Manager: back.Manager}
	for _, s := range back.Steps {
		s.Patches = slices.DeleteFunc(slices.Clone(s.Patches), func(p patching.Patch) bool {
			return p.Action == patching.Remove && patching.RunsFrom(p.Name, kernel)
		})
		demanded.Steps = append(demanded.Steps, s)
	}
	return Verify(demanded, after)
}

// Remains returns what is on a machine of a bundle's packages that was not there
// before the bundle, in the versions that it has now: after a roll-back, what
// still differs (G9).
func Remains(b patching.Bundle, after patching.PackageSet) []patching.Package {
	has := versionsOf(after)
	var out []patching.Package
	for _, p := range b.Patches() {
		if now := has[key{p.Name, p.Arch}]; now != "" && now != p.From {
			out = append(out, patching.Package{Name: p.Name, Arch: p.Arch, Version: now})
		}
	}
	return out
}

// StillThere adds to what a machine said of its roll-back what else it still has
// of a bundle, by a fresh inventory (G9).
func StillThere(said string, b patching.Bundle, after patching.PackageSet) string {
	var more []string
	for _, p := range Remains(b, after) {
		if !Names(said, p.Name) {
			more = append(more, p.Name+" "+p.Version)
		}
	}
	if len(more) == 0 {
		return said
	}
	return strings.TrimSpace(said + " Still there: " + strings.Join(more, ", ") + ".")
}

// Names reports whether words name a package: by its whole name, for names begin
// with other names (linux-image-6.1, linux-image-6.1.0-41-amd64).
func Names(words, name string) bool {
	return slices.Contains(strings.FieldsFunc(words, func(r rune) bool { return strings.ContainsRune(" ,;:()", r) }), name)
}

// Outside returns what changed between two inventories of a machine and is none of
// what orders did: somebody or something else works with its packages (G18).
func Outside(before, after patching.PackageSet, done []patching.Change) []patching.Change {
	var out []patching.Change
	for _, c := range changes(before, after) {
		if !slices.ContainsFunc(done, func(d patching.Change) bool { return d.Name == c.Name && d.To == c.To }) {
			out = append(out, c)
		}
	}
	return out
}

// DoneSince returns what orders changed on a machine since a time by its clock, which
// may be an hour wrong. An order may tell it after the inventory that shows it.
func DoneSince(receipts []patching.Receipt, since time.Time) (done []patching.Change) {
	for _, r := range receipts {
		if r.At.After(since.Add(-time.Hour)) {
			done = append(done, r.Changes...)
		}
	}
	return done
}

// changes compares two sets. A package that is there in several versions, as a
// kernel may be, comes and goes version by version.
func changes(before, after patching.PackageSet) []patching.Change {
	type named struct{ name, arch string }
	type versions struct{ gone, come []string }
	moved := map[named]*versions{}
	at := func(p patching.Package) *versions {
		k := named{p.Name, p.Arch}
		if moved[k] == nil {
			moved[k] = &versions{}
		}
		return moved[k]
	}
	had := map[patching.Package]bool{}
	key := func(p patching.Package) patching.Package {
		return patching.Package{Name: p.Name, Arch: p.Arch, Version: p.Version}
	}
	for _, p := range before.Packages {
		had[key(p)] = true
	}
	for _, p := range after.Packages {
		if k := key(p); had[k] {
			delete(had, k)
		} else {
			at(p).come = append(at(p).come, p.Version)
		}
	}
	for p := range had {
		at(p).gone = append(at(p).gone, p.Version)
	}
	var out []patching.Change
	for k, v := range moved {
		if len(v.gone) == 1 && len(v.come) == 1 {
			out = append(out, patching.Change{Name: k.name, Arch: k.arch, From: v.gone[0], To: v.come[0]})
			continue
		}
		for _, version := range v.gone {
			out = append(out, patching.Change{Name: k.name, Arch: k.arch, From: version})
		}
		for _, version := range v.come {
			out = append(out, patching.Change{Name: k.name, Arch: k.arch, To: version})
		}
	}
	slices.SortFunc(out, func(a, b patching.Change) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch), strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return out
}

func taken(manager string, p patching.Patch, has string) bool {
	switch p.Action {
	case patching.Remove:
		return has == ""
	case patching.Downgrade:
		return has == p.To
	default:
		return has != "" && reached(manager, has, p.To)
	}
}

func lack(p patching.Patch, has string) string {
	want := p.Name + " " + p.To
	if p.Action == patching.Remove {
		want = p.Name + " removed"
	}
	if has == "" {
		return want + " (not installed)"
	}
	return want + " (has " + has + ")"
}
