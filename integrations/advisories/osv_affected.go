package advisories

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// appendTo says it for each platform that the ecosystem stands for.
func (p *osvAffected) appendTo(all, on []patching.Affected) ([]patching.Affected, error) {
	if p.Package.Name == "" {
		return nil, errors.New("the package has no name")
	}
	order, _ := version.OrderOf(on[0].ID) // the platforms of an ecosystem have the same
	ranges, err := p.ranges(order)
	if err != nil {
		return nil, err
	}
	versions := outside(p.Versions, ranges, order)
	if len(ranges)+len(versions) == 0 {
		return all, nil
	}
	for _, a := range on {
		a.Package, a.Ranges, a.Versions = p.Package.Name, ranges, versions
		p.qualify(&a)
		all = append(all, a)
	}
	return all, nil
}

// outside are the versions that no range has. A version is affected if it is listed or in a
// range, and distributions list with a range what was in it when the record was made, up to
// thousands of versions a package: to keep those too would say the same twice.
func outside(versions []string, ranges []patching.VersionRange, order version.Order) (all []string) {
	for _, v := range versions {
		if !slices.ContainsFunc(ranges, func(r patching.VersionRange) bool {
			in, _ := order.Within(r, v)
			return in
		}) {
			all = append(all, v)
		}
	}
	return all
}

// qualify takes from the package's URL what the ecosystem does not say.
// https://github.com/package-url/purl-spec has the qualifiers. Rocky's distro may end in
// an architecture, but that is one of those that a source package was built for: it
// says nothing.
func (p *osvAffected) qualify(a *patching.Affected) {
	// LSN records are about live patches: the kernel that they name is the first that
	// needs none. Another advisory tells whoever updates kernels.
	if strings.Contains(p.Specific.V.Availability, "Livepatch") {
		a.Entitlement = "ubuntu-livepatch"
	}
	if !strings.Contains(p.Package.PURL, "?") {
		return
	}
	switch arch := qualifier(p.Package.PURL, "arch"); arch {
	case "source", "src":
		a.Source = true
	case "all", "noarch":
	default:
		a.Arch = arch
	}
	distro := qualifier(p.Package.PURL, "distro")
	switch {
	case a.Entitlement != "":
	case a.ID == "ubuntu" && strings.Contains(distro, "esm"):
		a.Entitlement = "ubuntu-pro"
	case a.ID == "rocky":
		// Special interest groups build packages of the same names: the cloud kernel
		// 4.18.0-425.10.1.el8_7.cloud is newer than the kernel that everybody has.
		if _, group, ok := strings.Cut(distro, "-sig-"); ok {
			a.Entitlement = "rocky-sig-" + group
		}
	}
	if name, rest, ok := strings.Cut(qualifier(p.Package.PURL, "rpmmod"), ":"); ok {
		stream, _, _ := strings.Cut(rest, ":") // version and context may follow
		a.Module = name + ":" + stream
	}
}

func qualifier(purl, key string) string {
	_, list, _ := strings.Cut(purl, "?")
	list, _, _ = strings.Cut(list, "#")
	for pair := range strings.SplitSeq(list, "&") {
		if k, v, _ := strings.Cut(pair, "="); k == key {
			if plain, err := url.PathUnescape(v); err == nil {
				return plain
			}
			return v
		}
	}
	return ""
}

// ranges reads the events from the oldest version, in whatever order they stand: the schema
// recommends to sort them, and asks those who read them to. SEMVER and GIT ranges are of
// upstream's versions, which no package manager has. "limit" is for GIT.
func (p *osvAffected) ranges(order version.Order) ([]patching.VersionRange, error) {
	var all []patching.VersionRange
	for _, r := range p.Ranges {
		if r.Type != "ECOSYSTEM" {
			continue
		}
		slices.SortStableFunc(r.Events, func(a, b osvEvent) int { return a.compare(b, order) })
		begun, open := false, false
		for _, e := range r.Events {
			if e.Introduced != "" && !open {
				begun, open = true, true
				v := patching.VersionRange{From: e.Introduced}
				if v.From == "0" { // sorts before any version
					v.From = ""
				}
				all = append(all, v)
			}
			if e.Fixed == "" && e.Last == "" {
				continue
			}
			if !begun {
				return nil, fmt.Errorf("%.80q ends what did not begin", e.Fixed+e.Last)
			}
			if open {
				all[len(all)-1].Fixed, all[len(all)-1].Last = e.Fixed, e.Last
				open = false
			}
		}
	}
	return all, nil
}

// compare leaves those as they stand of which it is not known which comes first.
func (e osvEvent) compare(o osvEvent, order version.Order) int {
	switch before := "0"; { // any version
	case e.Introduced == before && o.Introduced == before:
		return 0
	case e.Introduced == before:
		return -1
	case o.Introduced == before:
		return 1
	}
	c, _ := order.Compare(cmp.Or(e.Introduced, e.Fixed, e.Last), cmp.Or(o.Introduced, o.Fixed, o.Last))
	return c
}
