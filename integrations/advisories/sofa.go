package advisories

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// sofa is the feed of macOS releases that macadmins keeps from what Apple publishes, in
// its version 2: https://sofa.macadmins.io. Apple itself has web pages only.
//
// Each release is an advisory; whoever has a later one of the same system has it too. The
// feed also says which release supersedes which, and has that wrong for old ones (12.7.5
// by 12.6.3), and a day for 12.0, which nobody got: versions tell the one, and when a
// system came out is left to feeds of that. Background Security Improvements are left out, as a
// machine's version does not show them.
var sofa = Feed{
	Name: "sofa", Title: "SOFA macOS releases",
	Mine: func(h Head) bool { return h.Has("OSVersions", "UpdateHash") },
	Read: readSOFA,
}

type sofaRelease struct {
	Name      string                     `json:"UpdateName"`
	Product   string                     `json:"ProductName"`
	Version   string                     `json:"ProductVersion"`
	Build     string                     `json:"Build"` // empty in most old ones
	Released  string                     `json:"ReleaseDate"`
	CVEs      map[string]json.RawMessage `json:"CVEs"`
	Exploited []patching.CVE             `json:"ActivelyExploitedCVEs"`
	Count     int                        `json:"UniqueCVEsCount"`
}

func readSOFA(doc Document, into *Content) error {
	var feed struct {
		Hash      string `json:"UpdateHash"`
		LastCheck string `json:"LastCheck"`
		Systems   []struct {
			Name     string        `json:"OSVersion"` // "Tahoe 26"
			Latest   sofaRelease   `json:"Latest"`
			Releases []sofaRelease `json:"SecurityReleases"`
		} `json:"OSVersions"`
	}
	if err := decodeJSON(doc, &feed); err != nil {
		return err
	}
	checked, err := when(feed.LastCheck)
	if err != nil {
		return fmt.Errorf("LastCheck: %w", err)
	}
	into.Edition(feed.Hash, checked)
	attacked := map[patching.CVE]bool{}
	for _, s := range feed.Systems {
		if s.Latest.Product != "macOS" {
			continue // the same feed is made for iPhones
		}
		codename, major, ok := strings.Cut(s.Name, " ")
		if !ok || codename == "" || major == "" {
			return fmt.Errorf("OSVersion %.40q is not a name and a number", s.Name)
		}
		cycle := patching.Lifecycle{Feed: "sofa", Product: "macos", Release: major, Codename: codename, Latest: s.Latest.Version}
		for _, r := range s.Releases {
			a, err := r.advisory(major)
			if err != nil {
				return fmt.Errorf("%.60q: %w", r.Name, err)
			}
			into.Advisories = append(into.Advisories, a)
			for _, c := range r.Exploited {
				if !c.Valid() {
					return fmt.Errorf("%.60q: ActivelyExploitedCVEs: %.40q is not one", r.Name, c)
				}
				if !attacked[c] {
					attacked[c] = true
					into.Risks = append(into.Risks, patching.Risk{CVE: c, SaidExploited: []string{"sofa"}})
				}
			}
		}
		into.Lifecycles = append(into.Lifecycles, cycle)
	}
	return nil
}

func (r *sofaRelease) advisory(major string) (patching.Advisory, error) {
	a := patching.Advisory{ID: patching.AdvisoryID(r.Name), Feed: "sofa", Title: r.Name}
	if r.Name == "" || r.Version != major && !strings.HasPrefix(r.Version, major+".") {
		return a, fmt.Errorf("the version %.40q is none of macOS %s", r.Version, major)
	}
	if len(r.CVEs) != r.Count {
		return a, fmt.Errorf("it says that it fixes %d flaws, and names %d: it was cut or changed", r.Count, len(r.CVEs))
	}
	var names []string
	for name := range r.CVEs {
		names = append(names, name)
	}
	a.SetCVEs(names...)
	if len(a.CVEs) > 0 { // of others Apple says that they fix none
		a.Kind = "security"
	}
	if r.Build != "" {
		a.Title += " (" + r.Build + ")"
	}
	var err error
	if a.Published, err = when(r.Released); err != nil {
		return a, fmt.Errorf("ReleaseDate: %w", err)
	}
	a.Affected = []patching.Affected{{
		Platform: patching.Platform{ID: "macos", Release: major}, Package: "macos",
		Ranges: []patching.VersionRange{{Fixed: r.Version}},
	}}
	return a, nil
}
