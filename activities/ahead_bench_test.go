package activities_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/postgres"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/store/storetest/pgtest"
)

// BenchmarkAhead looks ahead for a policy that takes a whole fleet of 500 kinds of machines
// on 50 sites of 200 owners, under 300 advisories.
func BenchmarkAhead(b *testing.B) {
	for _, size := range []struct {
		engine   string
		machines int
	}{{"sqlite", 10_000}, {"sqlite", 100_000}, {"sqlite", 1_000_000}, {"postgres", 100_000}} {
		b.Run(fmt.Sprintf("%s-%d", size.engine, size.machines), func(b *testing.B) {
			if testing.Short() && size.machines > 100_000 {
				b.Skip("takes minutes to fill: run it without -short")
			}
			var s *store.Store
			var err error
			if size.engine == "sqlite" {
				s, err = sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "store.db"))
			} else {
				s, err = postgres.Open(b.Context(), pgtest.Start(b))
			}
			require.NoError(b, err)
			b.Cleanup(func() { _ = s.Close() })
			u := &activities.Urgent{Store: s, Remedying: &activities.Remedying{Store: s, Now: func() time.Time { return noon }}}
			fill(b, s, u.Remedying, size.machines)
			cpu := spent(b)
			for b.Loop() {
				a, err := u.Ahead(b.Context(), "servers")
				require.NoError(b, err)
				require.NotEmpty(b, a.Remediation.Remedies)
				require.Equal(b, size.machines, a.Remediation.Machines)
			}
			b.ReportMetric((spent(b)-cpu)/float64(b.N), "cpu-s")
		})
	}
}

// fill makes the fleet, and the feeds that say what is wrong with it.
func fill(b *testing.B, s *store.Store, r *activities.Remedying, machines int) {
	b.Helper()
	const kinds, advisories = 500, 300
	require.NoError(b, s.ApplyPolicy(b.Context(), store.PolicyVersion{Name: "servers", Source: []byte(servers), Applied: noon, By: "ana"}))
	var has, offers []patching.Digest
	var texts, offered [][]byte
	for k := range kinds {
		set, offer := patching.PackageSet{Manager: "apt"}, patching.CandidateSet{Manager: "apt"}
		for p := range 400 {
			pkg := patching.Package{Name: fmt.Sprintf("package-%03d", p), Arch: "amd64", Version: fmt.Sprintf("1.%d-1", (k*p)%7)}
			set.Packages = append(set.Packages, pkg)
			if p%10 == k%10 {
				offer.Candidates = append(offer.Candidates, patching.Candidate{Name: pkg.Name, Arch: "amd64", From: pkg.Version, To: "1.9-1", Origin: "Debian-Security", Codename: "bookworm-security", Security: true})
			}
		}
		set.Sort()
		offer.Sort()
		texts, offered = append(texts, set.Canonical()), append(offered, offer.Canonical())
		has, offers = append(has, set.Digest()), append(offers, offer.Digest())
	}
	_, err := s.PutContents(b.Context(), "package set", texts)
	require.NoError(b, err)
	_, err = s.PutContents(b.Context(), "candidate set", offered)
	require.NoError(b, err)
	const page = 50_000
	for first := 0; first < machines; first += page {
		var all []patching.Asset
		for n := first; n < min(first+page, machines); n++ {
			all = append(all, patching.Asset{
				ID: patching.AssetID(fmt.Sprintf("m-%07d", n)), Hostname: fmt.Sprintf("host-%07d.example", n), Manager: "apt",
				Site: patching.SiteName(fmt.Sprintf("site-%02d", n%50)), Owner: fmt.Sprintf("team-%03d", n%200), Tags: []string{"linux", "web"},
				Exposure: []patching.Exposure{patching.Internet, patching.Internal}[n/7%2], Criticality: []patching.Criticality{patching.Low, patching.High}[n/3%2],
				OS: patching.OS{Family: "debian", Name: "Debian GNU/Linux", Release: "12", Kernel: "6.1.0-18-amd64", Arch: "amd64"}, Addresses: []string{"10.0.0.1"},
				Packages: has[n%kinds], Candidates: offers[n%kinds], Allowed: []string{"apply", "collect"}, Inventoried: noon.Add(-time.Hour),
			})
		}
		require.NoError(b, s.PutAssets(b.Context(), all))
	}
	var told []patching.Advisory
	for n := range advisories {
		told = append(told, patching.Advisory{
			ID: patching.AdvisoryID(fmt.Sprintf("DSA-%d", n)), Feed: "osv", Kind: "security", CVEs: []patching.CVE{patching.CVE(fmt.Sprintf("CVE-2026-%d", 1000+n))},
			Published: noon.AddDate(0, 0, -n%30), Affected: []patching.Affected{{
				Platform: patching.Platform{ID: "debian", Release: "12"}, Package: fmt.Sprintf("package-%03d", n), Ranges: []patching.VersionRange{{Fixed: fmt.Sprintf("1.%d-1", n%10)}},
			}},
		})
	}
	r.Tables, err = urgency.Shipped()
	require.NoError(b, err)
	r.Feeds = said{knowledge: assess.Knowledge{Advisories: assess.NewIndex(told)}, states: []patching.FeedState{{FeedSource: patching.FeedSource{Name: "osv"}, Asked: noon}}}
}

// spent are the seconds of CPU that this process took so far; a database's own are not
// among them.
func spent(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return (time.Duration(u.Utime.Nano()) + time.Duration(u.Stime.Nano())).Seconds()
}
