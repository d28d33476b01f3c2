package assess

import (
	"slices"
	"strings"

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
