package urgency_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

const flaw = patching.CVE("CVE-2026-1000")

// Serves L9.
func TestFeedsThatDifferAreMergedByRule(t *testing.T) {
	read := day("2026-09-09")
	f := urgency.Merge(flaw, []patching.Risk{
		{CVE: flaw, Exploited: &patching.Exploited{Feed: "nvd", Added: day("2026-09-01")}},
		{CVE: flaw, Exploited: &patching.Exploited{Feed: "kev", Added: day("2026-09-02")}},
		{CVE: flaw, EPSS: &patching.EPSS{Feed: "epss", Score: 0.9, Model: "v3", Date: day("2025-01-01")}},
		{CVE: flaw, EPSS: &patching.EPSS{Feed: "epss", Score: 0.2, Model: "v4", Date: day("2026-09-08")}},
		{CVE: flaw, CVSS: []patching.CVSS{
			{Feed: "nvd", Version: "2.0", Score: 10, By: "nvd@nist.gov"},
			{Feed: "nvd", Version: "3.1", Score: 9.8, By: "nvd@nist.gov"},
			{Feed: "nvd", Version: "4.0", Score: 6.9, By: "nvd@nist.gov"},
		}},
		{CVE: flaw, CVSS: []patching.CVSS{{Feed: "cve", Version: "4.0", Score: 8.7, By: "vendor"}}},
		{CVE: flaw, SSVC: &patching.SSVC{Feed: "vulnrichment", At: day("2026-09-03"), Exploitation: "public poc", Automatable: "yes"}},
		{CVE: flaw, SSVC: &patching.SSVC{Feed: "nvd", At: day("2026-09-05"), Exploitation: "active"}},
	}, read)

	assert.True(t, f.KEV.Value)
	assert.Equal(t, day("2026-09-02"), f.KEVAdded.Value, "the catalogue before those that repeat it")
	assert.Equal(t, 0.2, f.EPSS.Value)
	assert.Equal(t, "v4", f.Model)
	assert.Equal(t, urgency.Score{Base: 8.7, Version: "4.0", By: "vendor"}, f.CVSS.Value)
	assert.Equal(t, urgency.Score{Base: 9.8, Version: "3.1", By: "nvd@nist.gov"}, f.CVSSv3.Value)
	assert.Equal(t, "active", f.Exploitation.Value)
	assert.Equal(t, "yes", f.Automatable.Value, "the newer one says nothing of it")
	assert.Equal(t, urgency.Origin{Feed: "vulnrichment", At: day("2026-09-03"), CVE: flaw}, f.Automatable.Origin)
	assert.False(t, f.TechnicalImpact.Known)
}

// Serves G14: unknown is shown as unknown.
func TestThatNobodyListsAFlawIsKnownOnlyOnceTheCatalogueWasRead(t *testing.T) {
	assert.False(t, urgency.Merge(flaw, nil, time.Time{}).KEV.Known)
	f := urgency.Merge(flaw, nil, today)
	assert.True(t, f.KEV.Known)
	assert.False(t, f.KEV.Value)
	assert.Equal(t, today, f.KEV.At)
	assert.False(t, f.EPSS.Known)
	assert.False(t, f.CVSS.Known)
}

func TestAnAdvisoryIsAsGraveAsItsGravestFlaw(t *testing.T) {
	a := patching.Advisory{}
	a.SetCVEs("CVE-2026-1000", "CVE-2026-1001", "CVE-2026-1002")
	risks := []patching.Risk{
		{CVE: "CVE-2026-1000", Exploited: &patching.Exploited{Feed: "kev", Added: day("2026-09-02")}},
		{CVE: "CVE-2026-1000", SSVC: &patching.SSVC{Automatable: "no", TechnicalImpact: "total"}},
		{CVE: "CVE-2026-1001", SSVC: &patching.SSVC{Automatable: "no", TechnicalImpact: "partial"}},
		{CVE: "CVE-2026-1001", CVSS: []patching.CVSS{{Version: "3.1", Score: 6}}},
		{CVE: "CVE-2026-1002", Rejected: true, CVSS: []patching.CVSS{{Version: "3.1", Score: 10}}},
		{CVE: "CVE-1999-9999", CVSS: []patching.CVSS{{Version: "3.1", Score: 10}}}, // another advisory's
	}
	worst := urgency.Weigh(a, risks, today)
	assert.Equal(t, patching.CVE("CVE-2026-1000"), worst.KEV.CVE)
	assert.Equal(t, "total", worst.TechnicalImpact.Value)
	assert.Equal(t, patching.CVE("CVE-2026-1000"), worst.TechnicalImpact.CVE)
	assert.Equal(t, 6.0, worst.CVSS.Value.Base)
	assert.True(t, worst.CVSS.Open, "the other flaw has no score, and may have a higher one")
	assert.Equal(t, "no", worst.Automatable.Value)
	assert.False(t, worst.Automatable.Open)
	assert.False(t, worst.KEV.Open, "it cannot be worse")
}

func TestAPublisherWhoSaysThatAFlawIsBeingUsedIsBelieved(t *testing.T) {
	const flaw = "CVE-2026-1000"
	for _, word := range []string{"", "none", "public poc", "active"} {
		f := urgency.Merge(flaw, []patching.Risk{
			{CVE: flaw, SSVC: &patching.SSVC{Feed: "nvd", At: today, Exploitation: word}},
			{CVE: flaw, SaidExploited: []string{"msrc"}},
		}, today)
		assert.Equal(t, "active", f.Exploitation.Value, word)
	}
}

func TestAnOpenFactCanBeWorseAndNotMilder(t *testing.T) {
	f := mild()
	f.Exploitation = urgency.Fact[string]{Value: "public poc", Known: true, Open: true}
	f.CVSSv3.Open = true
	worst, best := judge(t, f, urgency.AsWorst, "ssvc-deployer"), judge(t, f, urgency.AsBest, "ssvc-deployer")
	assert.Equal(t, "48", worst.Row)
	assert.Equal(t, "24", best.Row)
	assert.Equal(t, "14 days", judge(t, f, urgency.AsWorst, "cyber-essentials").Outcome)
}

// Serves G1, G2.
func TestHumanImpactIsTheOwnersWordAndDataCanRaiseIt(t *testing.T) {
	for name, c := range map[string]struct {
		criticality patching.Criticality
		data        string
		row         string // of active, small, no
		unknown     bool
	}{
		"low":                               {patching.Low, "", "48", false},
		"low, and nobody knows the word":    {patching.Low, "cat pictures", "48", false},
		"low with personal data":            {patching.Low, "Personal", "49", false},
		"low with cardholders' data":        {patching.Low, "cardholder", "50", false},
		"high with personal data":           {patching.High, "personal", "50", false},
		"mission critical":                  {patching.MissionCritical, "", "51", false},
		"nobody stated it":                  {patching.CriticalityUnknown, "", "51", true},
		"nobody stated it, and data secret": {"", "secret", "51", true},
	} {
		t.Run(name, func(t *testing.T) {
			on := patching.Asset{Criticality: c.criticality, DataClass: c.data, Exposure: patching.Isolated}
			f := urgency.NewFacts(on, patching.Advisory{}, mild().Flaw, urgency.Seen{})
			f.Exploitation = known("active")
			d := judge(t, f, urgency.AsWorst, "ssvc-deployer")
			assert.Equal(t, c.row, d.Row)
			assert.Equal(t, c.unknown, len(d.Unknown) > 0)
		})
	}
}

func TestFactsAreTakenAsTheyAreStated(t *testing.T) {
	on := patching.Asset{ID: "a", Exposure: patching.ExposureUnknown, Criticality: patching.CriticalityUnknown}
	none := urgency.NewFacts(on, patching.Advisory{ID: "DSA-1"}, urgency.Flaw{}, urgency.Seen{})
	require.Equal(t, urgency.Facts{Asset: "a", Advisory: "DSA-1"}, none)

	open := patching.Advisory{Affected: []patching.Affected{{Package: "curl", Ranges: []patching.VersionRange{{From: "8"}}}}}
	assert.True(t, urgency.NewFacts(on, open, urgency.Flaw{}, urgency.Seen{}).NoPatch)
	assert.False(t, urgency.NewFacts(on, open, urgency.Flaw{}, urgency.Seen{Patch: today}).NoPatch, "a machine was offered it")
	open.Affected[0].Ranges[0].Fixed = "8.1"
	assert.False(t, urgency.NewFacts(on, open, urgency.Flaw{}, urgency.Seen{}).NoPatch)
}
