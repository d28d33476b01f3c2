package urgency

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Fact is a value with where it is from. Its zero is "not known".
type Fact[T any] struct {
	Value T
	Known bool
	// Open: it may be worse, but not milder. Of an advisory's several flaws one is
	// not known in this.
	Open bool
	Origin
}

// Origin says who stated a fact.
type Origin struct {
	Feed string
	At   time.Time    // when they did; zero: not known
	CVE  patching.CVE // which flaw gave it; empty: the advisory or the asset
}

// Flaw is what is known of a CVE or, joined to the worst, of an advisory's CVEs.
type Flaw struct {
	CVE patching.CVE // empty: joined
	// KEV: it is in the catalogue of known exploited vulnerabilities, since KEVAdded.
	KEV      Fact[bool]
	KEVAdded Fact[time.Time]
	EPSS     Fact[float64]
	Model    string // of the EPSS score, as scores of different models do not compare
	// CVSS is the base score of the newest version of CVSS that anyone scored in, and
	// CVSSv3 the one of version 3: where there is none, CVSS.
	CVSS, CVSSv3 Fact[Score]
	// Exploitation, Automatable and TechnicalImpact are SSVC's points, in its words.
	// KEV is not looked at here.
	Exploitation, Automatable, TechnicalImpact Fact[string]
	// Rejected: the CVE's record was withdrawn, and it is not in KEV. Such a flaw is
	// left out of what is joined.
	Rejected bool
}

// Score is a CVSS base score.
type Score struct {
	Base    float64 // 0 to 10
	Version string
	By      string // who scored
}

// Facts are what is known of an advisory on an asset.
type Facts struct {
	Asset    patching.AssetID
	Advisory patching.AdvisoryID
	Flaw     // the worst of each of the advisory's CVEs

	Exposure    Fact[patching.Exposure]
	Criticality Fact[patching.Criticality]
	DataClass   Fact[string]
	// Severity is the publisher's own word. Not known: the publisher gives none,
	// which some regimes have a rule for.
	Severity  Fact[string]
	Published Fact[time.Time]
	// Patch is when the fix could be had. NoPatch: there is none yet, so that no clock
	// runs that counts from it.
	Patch   Fact[time.Time]
	NoPatch bool
	// FirstSeen is when the finding came up here; zero: now, for the first time.
	FirstSeen time.Time
	// Moot: there is nothing to judge. The advisory was withdrawn, or its publisher
	// calls it something else than security and it names no CVE.
	Moot bool
}

// Seen is what this house knows of a finding, beside what the feeds say.
type Seen struct {
	// Patch is when the fix was first offered to a machine of ours or published in an
	// archive; zero: not known.
	Patch time.Time
	// First is when the advisory was first found on a machine of ours, whichever that was.
	// Whoever judges twice has to keep it: without it the finding is as good as new each
	// time. It is the house's and not the machine's, as all other clocks are: what is known
	// here is known for a machine that joins later, and a machine that is repaired and comes
	// back with the old version, by a roll-back or from an old image, gets no new time.
	First time.Time
}

// NewFacts joins what is known of an advisory's flaws with its text and an asset.
func NewFacts(on patching.Asset, a patching.Advisory, worst Flaw, seen Seen) Facts {
	f := Facts{Asset: on.ID, Advisory: a.ID, Flaw: worst, FirstSeen: seen.First}
	f.Moot = !a.Withdrawn.IsZero() || a.Kind != "" && a.Kind != "security" && len(a.CVEs) == 0

	asset := Origin{Feed: "asset"}
	if on.Exposure != "" && on.Exposure != patching.ExposureUnknown {
		f.Exposure = Fact[patching.Exposure]{Value: on.Exposure, Known: true, Origin: asset}
	}
	if on.Criticality != "" && on.Criticality != patching.CriticalityUnknown {
		f.Criticality = Fact[patching.Criticality]{Value: on.Criticality, Known: true, Origin: asset}
	}
	if on.DataClass != "" {
		f.DataClass = Fact[string]{Value: on.DataClass, Known: true, Origin: asset}
	}

	publisher := Origin{Feed: a.Feed, At: a.Modified}
	if a.Severity != "" {
		f.Severity = Fact[string]{Value: a.Severity, Known: true, Origin: publisher}
	}
	if !a.Published.IsZero() {
		f.Published = Fact[time.Time]{Value: a.Published, Known: true, Origin: publisher}
	}
	if !seen.Patch.IsZero() {
		f.Patch = Fact[time.Time]{Value: seen.Patch, Known: true, Origin: Origin{Feed: "offers", At: seen.Patch}}
	}
	f.NoPatch = !f.Patch.Known && unfixed(a)
	return f
}

// unfixed reports whether an advisory says of all that it affects that everything
// newer is affected too.
func unfixed(a patching.Advisory) bool {
	for _, p := range a.Affected {
		if len(p.Ranges) == 0 {
			return false
		}
		for _, r := range p.Ranges {
			if r.Fixed != "" || r.Last != "" {
				return false
			}
		}
	}
	return len(a.Affected) > 0
}
