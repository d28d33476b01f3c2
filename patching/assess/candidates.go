package assess

import (
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// codenames are the suites of Debian's and Ubuntu's releases.
var codenames = map[patching.Platform]string{
	{ID: "debian", Release: "9"}: "stretch", {ID: "debian", Release: "10"}: "buster", {ID: "debian", Release: "11"}: "bullseye",
	{ID: "debian", Release: "12"}: "bookworm", {ID: "debian", Release: "13"}: "trixie", {ID: "debian", Release: "14"}: "forky",
	{ID: "ubuntu", Release: "14.04"}: "trusty", {ID: "ubuntu", Release: "16.04"}: "xenial", {ID: "ubuntu", Release: "18.04"}: "bionic",
	{ID: "ubuntu", Release: "20.04"}: "focal", {ID: "ubuntu", Release: "22.04"}: "jammy", {ID: "ubuntu", Release: "24.04"}: "noble",
	{ID: "ubuntu", Release: "25.04"}: "plucky", {ID: "ubuntu", Release: "25.10"}: "questing", {ID: "ubuntu", Release: "26.04"}: "resolute",
}

// Candidates are the newest versions that indexes offer a system, of the packages that
// are installed: what apt would take where nothing is pinned. An index of another
// release's suite offers nothing, and none with a suite does to a release that we cannot
// name; one that does not tell its suite counts. They are nil if no index is for the system.
func Candidates(offers []patching.Offer, on patching.Platform, set patching.PackageSet) map[Installed]string {
	if order, _ := version.OrderOf(on.ID); order != version.Debian {
		return nil
	}
	release := codenameOf(on)
	by := map[string][]patching.Offer{}
	for _, o := range offers {
		if o.Suite == "" || release != "" && (o.Suite == release || strings.HasPrefix(o.Suite, release+"-")) {
			by[o.Name] = append(by[o.Name], o)
		}
	}
	if len(by) == 0 {
		return nil
	}
	newest := map[Installed]string{}
	for _, p := range set.Packages {
		for _, o := range by[p.Name] {
			at := Installed{p.Name, p.Arch}
			if (o.Arch == p.Arch || everywhere(o.Arch) || everywhere(p.Arch)) && (newest[at] == "" || version.Debian.Older(newest[at], o.Version)) {
				newest[at] = o.Version
			}
		}
	}
	return newest
}

// ForeignBy are the installed packages that indexes offer in exactly that version, none of them
// the distribution's. An index may be a part of one: what none offers may be anybody's.
func ForeignBy(offers []patching.Offer, on patching.Platform, set patching.PackageSet) (all []patching.Foreign) {
	by := map[string][]patching.Offer{}
	for _, o := range offers {
		by[o.Name] = append(by[o.Name], o)
	}
	for _, p := range set.Packages {
		origin, unsure := "", false
		for _, o := range by[p.Name] {
			if o.Arch != p.Arch && !everywhere(o.Arch) {
				continue
			}
			unsure = unsure || o.Origin == "" || patching.OfDistribution(on.ID, o.Origin)
			if o.Version == p.Version && (origin == "" || o.Origin < origin) {
				origin = o.Origin
			}
		}
		if origin != "" && !unsure {
			all = append(all, patching.Foreign{Name: p.Name, Origin: origin})
		}
	}
	return all
}

// codenameOf is empty for a release that we cannot name. Debian's point releases (12.5) are
// of the suite of their release.
func codenameOf(on patching.Platform) string {
	for _, release := range releases(on.Release) {
		if name := codenames[patching.Platform{ID: on.ID, Release: release}]; name != "" {
			return name
		}
	}
	return ""
}
