package golden

import (
	"archive/zip"
	"encoding/csv"
	"errors"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// bulletin is what wesng's definitions tell of an update.
type bulletin struct {
	days       map[string]int  // rows by the day, as 20260310: a flaw may be added later
	products   map[string]bool // that it is for
	dotNet     bool            // of .NET alone
	supersedes []string
}

// definitions reads wesng's table: a row for each flaw, update and product. Two that it
// calls superseded may be one update for two products.
func definitions(t *testing.T) map[string]*bulletin {
	t.Helper()
	z, err := zip.OpenReader(inplace.Path(t, "feeds/microsoft/wesng/definitions.zip"))
	require.NoError(t, err)
	defer z.Close()
	i := slices.IndexFunc(z.File, func(f *zip.File) bool { return strings.HasPrefix(f.Name, "CVEs_") })
	f, err := z.File[i].Open()
	require.NoError(t, err)
	defer f.Close()
	rows := csv.NewReader(f)
	rows.ReuseRecord = true
	head, err := rows.Read()
	require.NoError(t, err)
	require.Equal(t, []string{"DatePosted", "CVE", "BulletinKB", "Title", "AffectedProduct", "AffectedComponent", "Severity", "Impact", "Supersedes", "Exploits"}, head)
	all := map[string]*bulletin{}
	for {
		r, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		b := all[r[2]]
		if b == nil {
			b = &bulletin{days: map[string]int{}, products: map[string]bool{}, dotNet: true}
			all[strings.Clone(r[2])] = b
		}
		b.days[strings.Clone(r[0])]++
		if !b.products[r[4]] {
			b.products[strings.Clone(r[4])] = true
		}
		b.dotNet = b.dotNet && strings.HasPrefix(r[4], "Microsoft .NET Framework")
		for _, kb := range strings.FieldsFunc(r[8], func(c rune) bool { return c == ';' || c == ',' || c == ' ' }) {
			if !slices.Contains(b.supersedes, kb) {
				b.supersedes = append(b.supersedes, strings.Clone(kb))
			}
		}
	}
}

// replaced are all that an update makes needless, by what the definitions tell.
func replaced(all map[string]*bulletin, kb string, into map[string]bool) {
	b := all[kb]
	if b == nil || into[kb] {
		return
	}
	into[kb] = true
	for _, old := range b.supersedes {
		replaced(all, old, into)
	}
}

// posted is the day that most of its rows have.
func (b *bulletin) posted() (day string) {
	for d, n := range b.days {
		if n > b.days[day] || n == b.days[day] && d < day {
			day = d
		}
	}
	return day
}

// firstDay is that of the first whole month of Microsoft's guide that is here.
const firstDay = "20251201"

var isKB = regexp.MustCompile(`^[0-9]{6,8}$`)

// Serves G1. wesng goes by what supersedes what, we by the build of the machine.
func TestMissingUpdatesOfWindowsAreWesngsOrOneSideSaysWhy(t *testing.T) {
	known := definitions(t)
	guide := read(t, "feeds/microsoft/cvrf").Advisories
	x := assess.NewIndex(guide)
	files, err := filepath.Glob(filepath.Join(inplace.Path(t, "feeds/golden/wesng"), "*.json.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(withoutDot(filepath.Base(file)), func(t *testing.T) {
			golden := decode[struct {
				SystemInfo string
				Missing    map[string][]string
			}](t, "feeds/golden/wesng/"+filepath.Base(file))
			host, err := inventories.Read(inplace.Open(t, "feeds/inventories/windows-systeminfo/"+golden.SystemInfo))
			require.NoError(t, err)
			m := assess.Machine{Platform: host.OS}
			m.Packages.Packages = []patching.Package{{Name: "windows", Version: x.BuildOf(host.OS, host.Build, host.KBs)}}
			ours, hot := map[string]bool{}, map[string]bool{}
			for _, f := range x.Match(m, forever) {
				kb := strings.TrimPrefix(string(f.Advisory.ID), "KB")
				if f.Aside == "" && f.Entitlement == "" {
					ours[kb] = true
				}
				hot[kb] = hot[kb] || f.Entitlement != ""
			}
			theirs, older := map[string]bool{}, map[string]bool{}
			for kb := range golden.Missing {
				if isKB.MatchString(kb) {
					theirs[kb] = true
					for _, old := range known[kb].supersedes {
						replaced(known, old, older)
					}
				}
			}
			d := compare(theirs, ours, func(kb string) string {
				switch b := known[kb]; {
				case b.dotNet:
					return "an update of .NET Framework, which has no build number of Windows"
				case hot[kb]:
					return "a hotpatch, which only enrolled machines are offered"
				case !b.products[host.OS.Release] && !b.products[host.OS.Release+" (Server Core installation)"]:
					return "the definitions do not name the machine's product for it"
				case named(guide, "KB"+kb, host.OS):
					return ""
				case b.posted() < firstDay:
					return "published before the first month that is here; a newer one brings it"
				}
				return "published after the last month that is here"
			}, func(kb string) string {
				if older[kb] {
					return "superseded by one that wesng lists"
				}
				return ""
			})
			t.Logf("%d of wesng's, and %d rows without the number of an update", len(theirs), len(golden.Missing)-len(theirs))
			d.publish(t)
		})
	}
}

// named reports whether the guide has an update for a product.
func named(guide []patching.Advisory, id string, on patching.Platform) bool {
	return slices.ContainsFunc(guide, func(a patching.Advisory) bool {
		return string(a.ID) == id && slices.ContainsFunc(a.Affected, func(p patching.Affected) bool { return p.Platform == on })
	})
}
