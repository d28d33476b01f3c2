package assess

import "github.com/patchcycle/patchcycle/patching"

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
