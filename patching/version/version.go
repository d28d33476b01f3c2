// Package version says which of two versions is newer, as the package manager says it
// that they come from. There is no order for all: 1.0~rc1 comes before 1.0 to dpkg and
// rpm, and after it to nearly everyone else.
package version

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Order is a kind of versions.
type Order string

// The orders.
const (
	Debian Order = "deb" // deb-version(7)
	RPM    Order = "rpm" // epoch:version-release, as rpmvercmp compares
	Dotted Order = "dotted"
	// Build is that of Windows builds: 10.0.20348.4893. Only those of one product,
	// with the same first three numbers, follow on each other; without a fourth it is
	// the first of them.
	Build Order = "build"
)

// orders by who manages packages, and by what advisories are published for.
var orders = map[string]Order{
	"apt": Debian, "debian": Debian, "ubuntu": Debian,
	"dnf": RPM, "zypper": RPM, "almalinux": RPM, "rocky": RPM, "rhel": RPM, "centos": RPM, "ol": RPM, "fedora": RPM, "amzn": RPM,
	"sles": RPM, "opensuse": RPM, "opensuse-leap": RPM, "opensuse-tumbleweed": RPM,
	"sle_hpc": RPM, "sles_sap": RPM, "sled": RPM, "sle-micro": RPM, "sl-micro": RPM,
	"windows": Build, "macos": Dotted, "winget": Dotted,
}

// OrderOf returns the order of a package manager or of a platform's packages, by the
// ID of its os-release(5).
func OrderOf(name string) (Order, bool) {
	o, ok := orders[name]
	return o, ok
}

// Compare returns -1, 0 or 1 as a is older than b, the same, or newer. It is not known
// where a version is none of its order.
func (o Order) Compare(a, b string) (c int, known bool) {
	switch o {
	case Debian:
		return compareDebian(a, b)
	case RPM:
		if a == "" || b == "" {
			return 0, false
		}
		return compareRPM(a, b), true
	case Build:
		return compareBuilds(a, b)
	case Dotted:
		return compareDotted(a, b)
	}
	return 0, false
}

// Older reports whether a is known to come before b.
func (o Order) Older(a, b string) bool {
	c, known := o.Compare(a, b)
	return known && c < 0
}

// Within reports whether a version is one of a range's. It is not known where it cannot be
// compared with the range's ends.
func (o Order) Within(r patching.VersionRange, v string) (in, known bool) {
	if r.From != "" {
		c, known := o.Compare(v, r.From)
		if !known || c < 0 {
			return false, known
		}
	}
	switch {
	case r.Fixed != "":
		c, known := o.Compare(v, r.Fixed)
		return known && c < 0, known
	case r.Last != "":
		c, known := o.Compare(v, r.Last)
		return known && c <= 0, known
	}
	return true, true
}

func compareBuilds(a, b string) (int, bool) {
	x, okX := numbers(a)
	y, okY := numbers(b)
	if !okX || !okY || min(len(x), len(y)) < 3 || max(len(x), len(y)) > 4 || x[0] != y[0] || x[1] != y[1] || x[2] != y[2] {
		return 0, false
	}
	return compareNumbers(x, y), true
}

// compareDotted takes numbers between dots, of which those that are missing are
// nought.
func compareDotted(a, b string) (int, bool) {
	x, okX := numbers(a)
	y, okY := numbers(b)
	if !okX || !okY {
		return 0, false
	}
	return compareNumbers(x, y), true
}

func numbers(v string) ([]uint64, bool) {
	parts := strings.Split(v, ".")
	all := make([]uint64, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 64)
		if err != nil {
			return nil, false
		}
		all[i] = n
	}
	return all, true
}

func compareNumbers(x, y []uint64) int {
	for i := range max(len(x), len(y)) {
		var a, b uint64
		if i < len(x) {
			a = x[i]
		}
		if i < len(y) {
			b = y[i]
		}
		if a != b {
			return cmp.Compare(a, b)
		}
	}
	return 0
}
