package assess

import (
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// olderKernels are the packages of kernels that neither run nor are the newest: what is
// wrong with them can harm nobody until somebody boots them. A new kernel comes beside
// the old ones, by another name (Debian) or by the same (RHEL).
//
// Which one runs has to be known: otherwise any may, and all count.
func olderKernels(m Machine, order version.Order) map[int]bool {
	if m.Kernel == "" {
		return nil
	}
	newest := map[string]string{}
	for _, p := range m.Packages.Packages {
		if k, ok := kernelFamily(p.Name); ok && (newest[k] == "" || order.Older(newest[k], p.Version)) {
			newest[k] = p.Version
		}
	}
	older := map[int]bool{}
	for i, p := range m.Packages.Packages {
		k, ok := kernelFamily(p.Name)
		if ok && order.Older(p.Version, newest[k]) && !runsFrom(p, m.Kernel) {
			older[i] = true
		}
	}
	return older
}

// runsFrom reports whether a kernel's package is of the one that runs: its name ends with
// the release (Debian), or its version and architecture are the release (RHEL).
func runsFrom(p patching.Package, release string) bool {
	_, v, _ := strings.Cut(p.Version, ":")
	if v == "" {
		v = p.Version
	}
	return patching.RunsFrom(p.Name, release) || release != "" && release == v+"."+p.Arch
}

// rpmKernels are installed beside each other (installonlypkgs of dnf.conf(5)).
var rpmKernels = []string{"kernel", "kernel-core", "kernel-modules", "kernel-modules-core", "kernel-modules-extra", "kernel-uek", "kernel-uek-core", "kernel-uek-modules", "kernel-default"}

// kernelFamily is the same for the packages that follow on each other.
func kernelFamily(name string) (family string, ok bool) {
	if slices.Contains(rpmKernels, name) {
		return name, true
	}
	if !patching.IsKernel(name) {
		return "", false
	}
	// linux-image-6.1.0-29-amd64: what is left without its numbers.
	family = strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r == '.' {
			return -1
		}
		return r
	}, name)
	return family, family != name
}
