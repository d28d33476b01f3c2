package assess

import (
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// codenames are the suites of Debian's and Ubuntu's releases.
var codenames = map[patching.Platform]string{
	{ID: "debian", Release: "10"}: "buster", {ID: "debian", Release: "11"}: "bullseye", {ID: "debian", Release: "12"}: "bookworm",
	{ID: "debian", Release: "13"}: "trixie", {ID: "ubuntu", Release: "18.04"}: "bionic", {ID: "ubuntu", Release: "20.04"}: "focal",
	{ID: "ubuntu", Release: "22.04"}: "jammy", {ID: "ubuntu", Release: "24.04"}: "noble",
}

// Candidates are the newest versions that indexes offer a system, of the packages that
// are installed: what apt would take where nothing is pinned. An index of another
// release's suite offers nothing; one that does not tell its suite counts. They are nil
// if no index is for the system.
func Candidates(offers []patching.Offer, on patching.Platform, set patching.PackageSet) map[Installed]string {
	if order, _ := version.OrderOf(on.ID); order != version.Debian {
		return nil
	}
	release := codenames[patching.Platform{ID: on.ID, Release: releases(on.Release)[0]}]
	by := map[string][]patching.Offer{}
	for _, o := range offers {
		if release == "" || o.Suite == "" || o.Suite == release || strings.HasPrefix(o.Suite, release+"-") {
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
