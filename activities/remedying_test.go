package activities_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// said is what feeds said, and how they stand.
type said struct {
	knowledge assess.Knowledge
	states    []patching.FeedState
	syncs     []patching.FeedSync
	err       error
}

func (s said) Sync(context.Context, ...patching.FeedName) ([]patching.FeedSync, error) {
	return s.syncs, s.err
}

func (s said) Knowledge(context.Context) (assess.Knowledge, []patching.FeedState, error) {
	return s.knowledge, s.states, s.err
}

// tell lets feeds say that all versions of these packages up to what the archive offers
// now are affected.
func (h *house) tell(about map[string]patching.AdvisoryID) {
	h.t.Helper()
	var all []patching.Advisory
	for _, role := range []string{"web", "db"} {
		_, offered := sets(h.t, role)
		for _, c := range offered.Candidates {
			if id, ok := about[c.Name]; ok {
				all = append(all, patching.Advisory{
					ID: id, Feed: "osv", Kind: "security", CVEs: []patching.CVE{"CVE-2026-1000"}, Published: h.now.AddDate(0, 0, -1),
					Affected: []patching.Affected{{
						Platform: patching.Platform{ID: "debian", Release: "12"}, Package: c.Name, Ranges: []patching.VersionRange{{Fixed: c.To}},
					}},
				})
				delete(about, c.Name)
			}
		}
	}
	require.Empty(h.t, about, "packages that no machine is offered")
	tables, err := urgency.Shipped()
	require.NoError(h.t, err)
	h.remedying.Tables = tables
	h.remedying.Feeds = said{
		knowledge: assess.Knowledge{Advisories: assess.NewIndex(all)},
		states: []patching.FeedState{{
			FeedSource: patching.FeedSource{Name: "osv", StaleAfter: time.Hour}, Asked: h.now.AddDate(0, 0, -2),
			Edition: patching.FeedEdition{Digest: "e1", Records: map[string]int{"advisories": len(all)}},
		}},
	}
}

// Serves G1, G2, G4.
func TestAPlanNamesTheAdvisoriesThatItsOwnPatchesClear(t *testing.T) {
	h := newHouse(t)
	h.kernel = "6.1.0-18-amd64"
	h.enrol(12)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1", "postgresql-15": "DSA-2"})
	s := h.begin(monthly, patching.Monthly)
	out := h.plan(&s)
	require.Contains(t, out.Remediation, "2 advisories about 1 flaw: the plan clears 2 everywhere.")
	require.Contains(t, out.Remediation, "The feed osv is stale: about 2 days old.")
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(t, err)
	r := looks[out.Hash].Remediation
	require.Equal(t, out.Remediation, r.Words(), "what people read is what is kept")
	require.Equal(t, 12, r.Machines)
	require.Len(t, r.Remedies, 2)
	for _, row := range r.Remedies {
		want := map[patching.AdvisoryID]int{"DSA-1": 12, "DSA-2": 4}[row.Advisory]
		require.Equal(t, want, row.Clears, row.Advisory)
		require.Len(t, row.By, 1)
		require.Equal(t, want, row.By[0].Machines)
		require.NotNil(t, row.Deadline)
		require.Equal(t, "ssvc-deployer", row.Deadline.Regime, "what policies judge by that say nothing")
	}
}

// Serves G2: machines that the test ring has patched no longer have it.
func TestAPlanThatIsMadeAgainCountsAsMachinesStandThen(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	s := h.begin(monthly, patching.Monthly)
	require.Contains(t, h.plan(&s).Remediation, "clears 1 everywhere")
	h.release(s, "test")
	for _, n := range h.ring(s.ID, "test") {
		role := "web"
		if n%3 == 0 {
			role = "db"
		}
		has, offered := sets(t, role)
		fresh := patching.PackageSet{Manager: has.Manager}
		to := map[string]string{}
		for _, c := range offered.Candidates {
			to[c.Name] = c.To
		}
		for _, p := range has.Packages {
			if v, ok := to[p.Name]; ok {
				p.Version = v
			}
			fresh.Packages = append(fresh.Packages, p)
		}
		h.inventory(n, fresh, patching.CandidateSet{Manager: offered.Manager})
		h.ended(s.ID, n, patching.Patched, patching.ReasonVerified, "")
	}
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	out := h.plan(&s)
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, 10, looks[out.Hash].Remediation.Remedies[0].Clears)
}

func TestWhereTheServerHasNoFeedsThePlanSaysSo(t *testing.T) {
	h := newHouse(t)
	h.enrol(3)
	s := h.begin(monthly, patching.Monthly)
	require.Contains(t, h.plan(&s).Remediation, "The server has no feeds: what is urgent is not known.")
}

func TestAMachineThatNeverSaidWhatItHasIsABlindSpot(t *testing.T) {
	h := newHouse(t)
	h.enrol(3)
	require.NoError(t, h.PutAsset(h.ctx, patching.Asset{ID: "printer", Hostname: "printer", Site: "berlin", Owner: "office"}))
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	s := h.begin(monthly, patching.Monthly)
	out := h.plan(&s)
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(t, err)
	require.Contains(t, looks[out.Hash].Remediation.Blind, plan.Blindness{
		BlindSpot: assess.BlindSpot{What: "what is installed", Why: "The machine never said it."}, Machines: 1, Owners: []string{"office"},
	})
}

// Serves G1: software that no feed covers is a blind spot with an owner.
func TestWhatComesFromElsewhereIsABlindSpotOfThePlanWithItsOwners(t *testing.T) {
	h := newHouse(t)
	h.enrol(4)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	has, offered := sets(t, "web")
	has.Packages = append(has.Packages, patching.Package{Name: "docker-ce", Arch: "amd64", Version: "5:24.0.7-1"})
	has.Sort()
	offered.Foreign = []patching.Foreign{{Name: "docker-ce", Origin: "Docker"}}
	h.inventory(1, has, offered)
	h.inventory(2, has, offered)
	s := h.begin(monthly, patching.Monthly)
	out := h.plan(&s)
	require.Contains(t, out.Remediation, "Not known of 2 machines: packages from Docker: docker-ce.")
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(t, err)
	require.Contains(t, looks[out.Hash].Remediation.Blind, plan.Blindness{
		BlindSpot: assess.BlindSpot{What: "packages from Docker", Why: "No feed publishes advisories for them.", Packages: []string{"docker-ce"}},
		Machines:  2, Owners: []string{"team 0", "team 1"},
	})
}

// Serves G1, Q6: a publisher that is down holds no cycle up.
func TestFeedsThatDoNotComeHoldNoCycleUp(t *testing.T) {
	h := newHouse(t)
	h.remedying.Feeds = said{
		syncs: []patching.FeedSync{
			{Feed: "kev", Result: patching.FeedNew},
			{Feed: "epss", Result: patching.FeedUnchanged},
			{Feed: "osv", Result: patching.FeedRefused, Why: "it has 3 of 9 records"},
			{Feed: "msrc", Result: patching.FeedFailed, Why: "no answer"},
		},
		err: errors.New("the disk is full"),
	}
	out, err := h.remedying.SyncFeeds(h.ctx, contract.SyncFeedsIn{Cycle: monthly})
	require.NoError(t, err)
	require.Equal(t, contract.SyncFeedsOut{
		New: 1, Unchanged: 1, Refused: 1, Failed: 1, Words: []string{"the disk is full", "osv: it has 3 of 9 records", "msrc: no answer"},
	}, out)
	over, cancel := context.WithCancel(h.ctx)
	cancel()
	_, err = h.remedying.SyncFeeds(over, contract.SyncFeedsIn{Cycle: monthly})
	require.ErrorIs(t, err, context.Canceled)
	h.remedying.Feeds = nil
	out, err = h.remedying.SyncFeeds(h.ctx, contract.SyncFeedsIn{Cycle: monthly})
	require.NoError(t, err)
	require.Zero(t, out)
}

// packagesSay is what the packages of a cycle's snapshots say, and how many were not read.
type packagesSay struct {
	fixes  []patching.Advisory
	unread int
	within []time.Duration
}

func (p *packagesSay) Fixes(_ context.Context, _ patching.CycleID, within time.Duration) ([]patching.Advisory, int, error) {
	p.within = append(p.within, within)
	return p.fixes, p.unread, nil
}

// Serves G1, G2: without any feed, packages and people say something.
func TestAPlanKnowsWhatPackagesSayAndWhatPeopleEnteredByHand(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	_, offered := sets(t, "web")
	i := slices.IndexFunc(offered.Candidates, func(c patching.Candidate) bool { return c.Name == "openssl" })
	require.GreaterOrEqual(t, i, 0)
	openssl := offered.Candidates[i]
	about := func(id patching.AdvisoryID) patching.Advisory {
		return patching.Advisory{
			ID: id, Kind: "security", CVEs: []patching.CVE{"CVE-2026-7000"}, Published: h.now.AddDate(0, 0, -3),
			Affected: []patching.Affected{{
				Platform: patching.Platform{ID: "debian", Release: "12"}, Package: "openssl", Source: true, Ranges: []patching.VersionRange{{Fixed: openssl.To}},
			}},
		}
	}
	h.remedying.Changelogs, h.remedying.Patience = &packagesSay{fixes: []patching.Advisory{about("openssl_" + patching.AdvisoryID(openssl.To))}, unread: 2}, time.Minute
	s := h.begin(monthly, patching.Monthly)
	out := h.plan(&s)
	require.Contains(t, out.Remediation, "1 advisory about 1 flaw: the plan clears 1 everywhere.")
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(t, err)
	feeds := looks[out.Hash].Remediation.Feeds
	require.Len(t, feeds, 1)
	require.Equal(t, patching.FeedName("changelogs"), feeds[0].Name)
	require.Equal(t, "2 packages are not read yet: the next plan knows more", feeds[0].Trouble)
	require.False(t, feeds[0].Stale)
	require.Equal(t, []time.Duration{time.Minute}, h.remedying.Changelogs.(*packagesSay).within)

	a, err := h.Asset(h.ctx, asset(1))
	require.NoError(t, err)
	sheet, _, err := h.urgent().Findings(h.ctx, a)
	require.NoError(t, err)
	require.NotEmpty(t, sheet.Findings)
	require.Equal(t, time.Duration(0), h.remedying.Changelogs.(*packagesSay).within[1], "who asks does not wait for packages to be read")
}

// Serves Q2, Q4: a machine was cut off after it had named what it has.
func TestAMachineWhoseListNeverCameHoldsNeitherPlanNorReportUp(t *testing.T) {
	h := newHouse(t)
	h.enrol(6)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	has, offered := sets(t, "web")
	never := patching.DigestOf([]byte("never sent"))
	cutOff := func(n int) {
		h.report(n, func(r *patching.Report) {
			r.Facts = &patching.Asset{
				Hostname: "cut-off", OS: patching.OS{Family: "debian", Name: "Debian GNU/Linux", Release: "12"}, Manager: "apt",
				Allowed: h.allowed, Packages: never, Candidates: offered.Digest(),
			}
		})
	}
	cutOff(2)
	s := h.begin(monthly, patching.Monthly)
	out := h.plan(&s)
	require.Equal(t, 5, out.Assets)
	require.Contains(t, out.Remediation, "Not known of 1 machine: what is installed.")
	a, err := h.Asset(h.ctx, asset(2))
	require.NoError(t, err)
	sheet, _, err := h.urgent().Findings(h.ctx, a)
	require.NoError(t, err)
	require.Empty(t, sheet.Findings)

	h.inventory(4, has, offered)
	cutOff(4)
	reports := &activities.Reports{Store: h.Store, Render: printer{"r.html"}, Remedying: h.remedying}
	made, err := reports.Make(h.ctx, contract.MakeReportIn{State: s})
	require.NoError(t, err)
	require.Equal(t, "r.html", made.File)
	st, err := h.Standing(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, 4, st.Has["DSA-1"], "of the two that were cut off nothing is known")
}

func TestAReportIsMadeWhereNobodyCouldLook(t *testing.T) {
	h := newHouse(t)
	h.enrol(3)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.remedying.Feeds = said{err: errors.New("a feed is damaged")}
	reports := &activities.Reports{Store: h.Store, Render: printer{"r.html"}, Remedying: h.remedying}
	_, err := reports.Make(h.ctx, contract.MakeReportIn{State: s})
	require.NoError(t, err)
	_, err = h.Standing(h.ctx, s.ID)
	require.ErrorIs(t, err, store.ErrNotFound, "not known is not none")
	all, err := h.Audit(h.ctx, 0, 100)
	require.NoError(t, err)
	require.Contains(t, all[len(all)-1].Body, "a feed is damaged")
}

// Serves Q2: a feed that is gone when the report is made tells nothing of who is patched.
func TestAnAdvisoryThatNoSourceHasAtTheEndIsNotKnownToBeGone(t *testing.T) {
	h := newHouse(t)
	h.enrol(3)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	s := h.begin(monthly, patching.Monthly)
	require.Contains(t, h.plan(&s).Remediation, "1 advisory about 1 flaw")
	h.tell(map[string]patching.AdvisoryID{"libssl3": "DSA-2"})
	reports := &activities.Reports{Store: h.Store, Render: printer{"r.html"}, Remedying: h.remedying}
	_, err := reports.Make(h.ctx, contract.MakeReportIn{State: s})
	require.NoError(t, err)
	st, err := h.Standing(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, []patching.AdvisoryID{"DSA-1"}, st.Unknown)
	require.Equal(t, 3, st.Has["DSA-2"])

	// Where nothing can look, nothing is claimed either.
	other := h.begin("cycle/servers/2026-11.2", patching.Monthly)
	_, err = (&activities.Reports{Store: h.Store, Render: printer{"r.html"}}).Make(h.ctx, contract.MakeReportIn{State: other})
	require.NoError(t, err)
	_, err = h.Standing(h.ctx, other.ID)
	require.ErrorIs(t, err, store.ErrNotFound)
}
