package assess

import (
	"maps"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// doubts are packages that advisories may be about, by why that cannot be told.
type doubts struct{ streams, orders []string }

func (d *doubts) add(f Match) {
	note := func(all *[]string) {
		if !slices.Contains(*all, f.Package.Name) {
			*all = append(*all, f.Package.Name)
		}
	}
	switch {
	case f.Aside == OtherOrder:
		note(&d.orders)
	case f.Aside == OtherStream && !f.known && (f.Package.Module != "" || modular(f.Package.Version)):
		note(&d.streams)
	}
}

// blindSpots are what cannot be said of a machine, with its reason. It is blind if no
// advisory can be matched with it at all.
func blindSpots(k Knowledge, m Machine, unsure doubts) (blind bool, all []BlindSpot) {
	all = []BlindSpot{}
	spot := func(what, why string) { all = append(all, BlindSpot{What: what, Why: why}) }
	_, ordered := version.OrderOf(m.ID)
	name := strings.TrimSpace(m.ID + " " + m.Release)
	switch {
	case m.ID == "":
		spot("the system", "The inventory does not tell which it is, so no advisory can be matched.")
	case !ordered:
		spot(name, "Nobody has taught us how its versions follow on each other.")
	case !k.Advisories.Covers(m.Platform):
		spot(name, "No feed publishes advisories for it.")
	}
	blind = len(all) > 0
	if len(unsure.streams) > 0 {
		spot("packages of module streams: "+strings.Join(unsure.streams, ", "), "Advisories speak of them, and either their own stream is not in the inventory, or no feed says of which streams the advisories are: updateinfo.xml does.")
	}
	if len(unsure.orders) > 0 {
		spot("packages whose versions cannot be compared: "+strings.Join(unsure.orders, ", "), "Advisories speak of them.")
	}
	if m.Offers == nil && m.ID != "windows" {
		spot("candidates", "No list of packages for its system is among the feeds: what the machine can be given is not known.")
	}
	if m.ID == "windows" {
		spot("what runs on Windows, and .NET Framework", "The build tells of Windows itself: updates of other products of Microsoft's are not looked for.")
	}
	sourced := func(p patching.Package) bool { return p.Source != "" }
	if order, _ := version.OrderOf(m.ID); order == version.Debian && !slices.ContainsFunc(m.Packages.Packages, sourced) {
		spot("source packages", "The inventory does not name them, and advisories are about them: what is built from a source of another name is not matched. A dpkg status file has them.")
	}
	return blind, append(all, foreignSpots(k.Advisories, m)...)
}

// foreignSpots are the packages that are not the distribution's and that nobody publishes
// advisories about, by where they come from. Advisories of the distribution about a package of
// the same name are about another build of it. What no repository offers any more may have
// been the distribution's, whose advisories count then; old kernels make way for newer ones.
func foreignSpots(x *Index, m Machine) (all []BlindSpot) {
	by := map[string][]string{}
	for _, f := range m.Foreign {
		i := slices.IndexFunc(m.Packages.Packages, func(p patching.Package) bool { return p.Name == f.Name })
		if i < 0 || f.Origin == "" && patching.IsKernel(f.Name) {
			continue
		}
		told := func(feed string) bool { return f.Origin == "" || feed == patching.ByHand }
		if !x.tellsOf(m.Packages.Packages[i], m.Platform, told) {
			by[f.Origin] = append(by[f.Origin], f.Name)
		}
	}
	for _, origin := range slices.Sorted(maps.Keys(by)) {
		s := BlindSpot{What: "packages from " + origin, Why: "No feed publishes advisories for them.", Packages: by[origin]}
		if origin == "" {
			s.What, s.Why = "packages that no repository offers", "Nobody publishes newer versions where the machine looks, and no feed publishes advisories for them."
		}
		slices.Sort(s.Packages)
		s.Packages = slices.Compact(s.Packages)
		all = append(all, s)
	}
	return all
}
