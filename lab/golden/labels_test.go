package golden

import (
	"bufio"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// label is what a person said of a match that a scanner had found in an image.
type label struct {
	Label   string
	CVE     string `json:"effective_cve"`
	Package struct{ Name, Version string }
	// Timestamp is when the person said so; not all write a zone.
	Timestamp string
}

func labels(t *testing.T, name string) (all []label) {
	t.Helper()
	lines := bufio.NewScanner(inplace.Open(t, "feeds/golden/anchore-match-labels/"+name))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l label
		require.NoError(t, json.Unmarshal(lines.Bytes(), &l))
		all = append(all, l)
	}
	require.NoError(t, lines.Err())
	require.NotEmpty(t, all)
	return all
}

// image is what the labels tell of the machine: its packages, as far as somebody labelled
// them. A version without a release is no rpm: the scanner found files of a language's own
// package there.
func image(all []label, on patching.Platform) assess.Machine {
	m := assess.Machine{Platform: on, Packages: patching.PackageSet{Manager: "dnf"}}
	seen := map[string]bool{}
	for _, l := range all {
		if at := l.Package.Name + " " + l.Package.Version; !seen[at] && strings.Contains(l.Package.Version, "-") {
			m.Packages.Packages = append(m.Packages.Packages, patching.Package{Name: l.Package.Name, Version: l.Package.Version})
			seen[at] = true
		}
	}
	return m
}

// Serves G1, L9. The labels are of matches that scanners found, so they tell what of our
// matches is wrong, and which we miss; they do not tell of all that there is.
func TestMatchesAreThoseThatPeopleCalledTrue(t *testing.T) {
	alma := read(t, "feeds/osv/AlmaLinux-8-10").Advisories
	for name, c := range map[string]struct {
		on         patching.Platform
		advisories []patching.Advisory
		// found is how many of the matches that are called true we have at least.
		found int
	}{
		"docker_io_almalinux.jsonl": {alma8, alma, 111},
		// Red Hat's own feed is not here. AlmaLinux builds the same sources.
		"registry_access_redhat_com_ubi8.jsonl": {alma8, alma, 68},
		"registry_suse_com_suse_sle15.jsonl":    {patching.Platform{ID: "sles", Release: "15"}, read(t, "feeds/osv/suse").Advisories, 0},
	} {
		t.Run(name, func(t *testing.T) {
			all := labels(t, name)
			found, published := map[flaw]bool{}, map[flaw]time.Time{}
			for _, f := range assess.NewIndex(c.advisories).Match(image(all, c.on), forever) {
				for _, cve := range f.CVEs {
					at := flaw{f.Package.Name, string(cve)}
					found[at] = found[at] || f.Aside == ""
					if p := published[at]; p.IsZero() || f.Advisory.Published.Before(p) {
						published[at] = f.Advisory.Published
					}
				}
			}
			is, language, newest := map[string]map[flaw]bool{}, 0, ""
			for _, l := range all {
				newest = max(newest, l.Timestamp)
				if !strings.Contains(l.Package.Version, "-") {
					language++
					continue
				}
				if is[l.Label] == nil {
					is[l.Label] = map[flaw]bool{}
				}
				is[l.Label][flaw{l.Package.Name, l.CVE}] = true
			}
			ours := map[flaw]bool{}
			for f, counts := range found {
				if counts {
					ours[f] = true
				}
				require.False(t, counts && is["FP"][f], "a person called this match wrong: %v", f)
			}
			d := compare(is["TP"], ours, func(f flaw) string { return silent(c.advisories, c.on, f) }, func(f flaw) string {
				if is["??"][f] {
					return "the people were not sure"
				}
				if published[f].Format(time.DateOnly) > newest {
					return "the advisory is newer than the newest label"
				}
				return "nobody labelled this match, true or not, as far as the labels show"
			})
			t.Logf("%d labels; %d of packages of languages, which are no part of the system; %d called wrong, of which we report none", len(all), language, len(is["FP"]))
			d.publish(t)
			require.GreaterOrEqual(t, d.both, c.found)
		})
	}
}

// silent is why nothing is said of a flaw of a package that people called true; empty: we
// should have said it.
func silent(all []patching.Advisory, on patching.Platform, f flaw) string {
	known := false
	for _, a := range all {
		for _, p := range a.Affected {
			if p.Platform != on || !slices.Contains(a.CVEs, patching.CVE(f.cve)) {
				continue
			}
			known = true
			if p.Package == f.name {
				return ""
			}
		}
	}
	if known {
		return "the publisher's advisory about the flaw does not name this package"
	}
	return "no advisory that is here names the flaw: the publisher fixed nothing, or its feed is not here"
}

var alma8 = patching.Platform{ID: "almalinux", Release: "8"}
