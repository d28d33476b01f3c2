package assess

import (
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// key names a package on a machine.
type key struct{ name, arch string }

// versions are what is installed.
type versions map[key]string

func versionsOf(s patching.PackageSet) versions {
	has := make(versions, len(s.Packages))
	for _, p := range s.Packages {
		has[key{p.Name, p.Arch}] = p.Version
		has[key{p.Name, ""}] = p.Version
	}
	return has
}

// replaced returns the version that a candidate would replace. A package may
// change its architecture with an update, from amd64 to all and back.
func (v versions) replaced(c patching.Candidate) string {
	if has, ok := v[key{c.Name, c.Arch}]; ok || c.From == "" {
		return has
	}
	return v[key{c.Name, ""}]
}

// older reports whether a is known to come before b in the manager's order.
// An order that we do not have, or a version that it cannot read, is unknown.
func older(manager, a, b string) bool {
	before, known := compare(manager, a, b)
	return known && before < 0
}

// reached reports whether a machine that has one version has all that another
// brings. Where the order is unknown only the same version will do.
func reached(manager, has, want string) bool {
	if has == want {
		return true
	}
	c, known := compare(manager, has, want)
	return known && c >= 0
}

func compare(manager, a, b string) (c int, known bool) {
	order, ok := version.OrderOf(manager)
	if !ok {
		return 0, false
	}
	return order.Compare(a, b)
}
