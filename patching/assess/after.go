package assess

import (
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// After is a machine as it is once a bundle was installed and, where that asks for it,
// the machine was restarted: what a plan can promise to clear.
//
// A bundle names no source packages. One that was built without changes has the version
// of its source, less what marks a rebuild ("+b1"); of the others the source's version is
// not known, and they count as they are now.
func After(m Machine, b patching.Bundle) Machine {
	m.Packages = patching.PackageSet{Manager: m.Packages.Manager, Packages: slices.Clone(m.Packages.Packages)}
	for _, p := range b.Patches() {
		at := slices.IndexFunc(m.Packages.Packages, func(has patching.Package) bool {
			return has.Name == p.Name && has.Arch == p.Arch && (p.From == "" || has.Version == p.From)
		})
		switch {
		case p.Action == patching.Install:
			m.Packages.Packages = append(m.Packages.Packages, installed(m.Packages, p))
		case at < 0: // it is there no more, or in another version: nothing is promised
		case p.Action == patching.Remove:
			m.Packages.Packages = slices.Delete(m.Packages.Packages, at, at+1)
		default:
			m.Packages.Packages[at] = upgraded(m.Packages.Packages[at], p.To)
		}
		if release, ok := kernelOf(p); ok && p.Action == patching.Install {
			m.Kernel = release
		}
	}
	m.Packages.Sort()
	return m
}

func upgraded(has patching.Package, to string) patching.Package {
	_, source := sourceOf(has)
	if source == has.Version || source == withoutRebuild(has.Version) {
		has.SourceVersion = ""
		if plain := withoutRebuild(to); plain != to {
			has.SourceVersion = plain
		}
	}
	has.Version = to
	return has
}

// installed is a package that comes along. A kernel's is of the same source as the
// kernels that are there.
func installed(set patching.PackageSet, p patching.Patch) patching.Package {
	comes := patching.Package{Name: p.Name, Arch: p.Arch, Version: p.To}
	family, kernel := kernelFamily(p.Name)
	for _, has := range set.Packages {
		if f, ok := kernelFamily(has.Name); kernel && ok && f == family {
			comes.Source = has.Source
		}
	}
	return comes
}

// withoutRebuild is a version without Debian's mark of a rebuild from the same source.
func withoutRebuild(v string) string {
	at := strings.LastIndex(v, "+b")
	if at < 0 || at+2 == len(v) || strings.Trim(v[at+2:], "0123456789") != "" {
		return v
	}
	return v[:at]
}

// kernelOf is the release of the kernel that a patch installs, as uname -r will give it.
func kernelOf(p patching.Patch) (release string, ok bool) {
	if slices.Contains(rpmKernels, p.Name) {
		_, v, epoch := strings.Cut(p.To, ":")
		if !epoch {
			v = p.To
		}
		return v + "." + p.Arch, true
	}
	release, ok = strings.CutPrefix(p.Name, "linux-image-")
	return release, ok && release != "" && release[0] >= '0' && release[0] <= '9'
}
