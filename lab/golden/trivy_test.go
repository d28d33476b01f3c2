package golden

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// trivyPackage is a package as trivy found it in an image.
type trivyPackage struct {
	Name, Version, Release, Arch, SrcName, SrcVersion, SrcRelease string
	Epoch, SrcEpoch                                               int
}

func (p trivyPackage) document() inventories.DocumentPackage {
	at := func(epoch int, v, release string) string {
		if v = joined(v, release); epoch > 0 {
			v = fmt.Sprintf("%d:%s", epoch, v)
		}
		return v
	}
	return inventories.DocumentPackage{
		Name: p.Name, Version: at(p.Epoch, p.Version, p.Release), Arch: p.Arch,
		Source: p.SrcName, SourceVersion: at(p.SrcEpoch, p.SrcVersion, p.SrcRelease),
	}
}

// bucket is a part of trivy's database, as its own tests write it: of a distribution the
// packages, of a package the advisories.
type bucket struct {
	Bucket string
	Pairs  []struct {
		Bucket string
		Pairs  []struct {
			Key   string
			Value trivyAdvisory
		}
	}
}

type trivyAdvisory struct {
	FixedVersion string   `yaml:"FixedVersion"`
	VendorIDs    []string `yaml:"VendorIDs"`
	// Red Hat's.
	Entries []struct {
		Affected     []int  `yaml:"Affected"`
		FixedVersion string `yaml:"FixedVersion"`
		CVEs         []struct {
			ID string `yaml:"ID"`
		} `yaml:"Cves"`
	} `yaml:"Entries"`
}

// asOSV writes the database as a feed of OSV records, the form in which these
// distributions publish, so that it goes the way that a feed goes.
func asOSV(buckets []bucket) map[string][]byte {
	records := map[string][]byte{}
	add := func(ecosystem, pack, id, fixed string, cves []string) {
		event := map[string]string{"introduced": "0"}
		events := []map[string]string{event}
		if fixed != "" {
			events = append(events, map[string]string{"fixed": fixed})
		}
		text, _ := json.Marshal(map[string]any{ //nolint:errchkjson // of texts alone
			"id": id, "modified": "2024-01-01T00:00:00Z", "published": "2024-01-01T00:00:00Z", "upstream": cves,
			"affected": []any{map[string]any{
				"package": map[string]string{"ecosystem": ecosystem, "name": pack},
				"ranges":  []any{map[string]any{"type": "ECOSYSTEM", "events": events}},
			}},
		})
		records[fmt.Sprintf("%s-%d.json", strings.ReplaceAll(id, ":", "-"), len(records))] = text
	}
	for _, b := range buckets {
		releases := redHatReleases(b)
		for _, p := range b.Pairs {
			for _, a := range p.Pairs {
				if len(a.Value.Entries) == 0 {
					add(ecosystemOf(b.Bucket), p.Bucket, cmp.Or(slices.Concat(a.Value.VendorIDs, []string{a.Key})...), a.Value.FixedVersion, []string{a.Key})
				}
				for _, e := range a.Value.Entries {
					var cves []string
					for _, c := range e.CVEs {
						cves = append(cves, cmp.Or(c.ID, a.Key))
					}
					said := map[string]bool{}
					for _, n := range e.Affected {
						if r := releases[n]; r != "" && !said[r] {
							said[r] = true
							add("Red Hat:enterprise_linux:"+r+"::baseos", p.Bucket, a.Key, e.FixedVersion, cves)
						}
					}
				}
			}
		}
	}
	return records
}

var elRelease = regexp.MustCompile(`\.el([0-9]+)`)

// redHatReleases are the major releases behind the numbers of products, which the database
// does not explain: those of a fix that was built for one.
func redHatReleases(b bucket) map[int]string {
	of := map[int]string{}
	for _, p := range b.Pairs {
		for _, a := range p.Pairs {
			for _, e := range a.Value.Entries {
				if m := elRelease.FindStringSubmatch(e.FixedVersion); m != nil {
					for _, n := range e.Affected {
						of[n] = m[1]
					}
				}
			}
		}
	}
	return of
}

// ecosystemOf is OSV's name of a distribution.
func ecosystemOf(bucket string) string {
	name, release, _ := strings.Cut(bucket, " ")
	switch name {
	case "debian":
		return "Debian:" + release
	case "ubuntu":
		return "Ubuntu:" + release + ":LTS"
	}
	return "openSUSE:" + strings.TrimPrefix(bucket, "openSUSE ")
}

// Serves G1, L9.
func TestFlawsOfAnImageAreThoseThatTrivyFinds(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(inplace.Path(t, "feeds/golden/trivy"), "*"))
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		name := filepath.Base(folder)
		t.Run(name, func(t *testing.T) {
			databases, err := filepath.Glob(filepath.Join(folder, "db-*.yaml"))
			require.NoError(t, err)
			require.Len(t, databases, 1)
			text, err := os.ReadFile(databases[0])
			require.NoError(t, err)
			var buckets []bucket
			require.NoError(t, yaml.Unmarshal(text, &buckets))
			x := assess.NewIndex(asFeed(t, asOSV(buckets)))

			report := decode[struct {
				Metadata struct{ OS struct{ Family, Name string } }
				Results  []struct {
					Vulnerabilities []struct{ VulnerabilityID, PkgName, FixedVersion string }
				}
			}](t, "feeds/golden/trivy/"+name+"/report.json.golden")
			var doc inventories.Document
			doc.OS.ID, doc.OS.Version = report.Metadata.OS.Family, report.Metadata.OS.Name
			if doc.OS.ID == "redhat" {
				doc.OS.ID = "rhel"
			}
			for _, p := range decode[[]trivyPackage](t, "feeds/golden/trivy/"+name+"/packages.json.golden") {
				doc.Packages = append(doc.Packages, p.document())
			}
			written, err := json.Marshal(doc)
			require.NoError(t, err)
			host, err := inventories.Read(strings.NewReader(string(written)))
			require.NoError(t, err)
			// The fix is part of the answer: none, or the version.
			type fix struct{ flaw, fixed string }
			they, we := map[fix]bool{}, map[fix]bool{}
			for _, r := range report.Results {
				for _, v := range r.Vulnerabilities {
					they[fix{v.PkgName + " " + v.VulnerabilityID, v.FixedVersion}] = true
				}
			}
			for _, f := range x.Match(assess.Machine{Platform: host.OS, Packages: host.Packages}, forever) {
				require.Empty(t, f.Aside)
				id := string(f.Advisory.ID)
				if len(f.CVEs) > 0 {
					id = string(f.CVEs[0])
				}
				we[fix{f.Package.Name + " " + id, f.Fixed}] = true
			}
			require.NotEmpty(t, they)
			none := func(fix) string { return "" }
			compare(they, we, none, none).publish(t)
		})
	}
}
