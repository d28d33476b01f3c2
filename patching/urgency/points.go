package urgency

import (
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// point is a question that a decision table may ask, with its answers from mild to
// grave.
type point struct {
	name   string
	values []string
	// ask says from which to which value facts leave possible; nil: no table asks it.
	ask func(Facts) span
}

// span are the possible values of a point, as indexes of the mildest and the gravest.
type span struct{ from, to int }

// SSVC's points in its own words, https://certcc.github.io/SSVC/reference/decision_points/
// and BOD 26-04's, which takes two of them.
var (
	exploitation    = point{name: "exploitation", values: []string{"none", "public poc", "active"}}
	automatable     = point{name: "automatable", values: []string{"no", "yes"}}
	technicalImpact = point{name: "technical-impact", values: []string{"partial", "total"}}
	systemExposure  = point{name: "system-exposure", values: []string{"small", "controlled", "open"}}
	humanImpact     = point{name: "human-impact", values: []string{"low", "medium", "high", "very high"}}
	vendorSeverity  = point{name: "vendor-severity", values: []string{"low", "medium", "not stated", "high", "critical"}}
)

var yesNo = []string{"no", "yes"}

// points are all that tables may ask. What each means is written in docs/urgency.md
// in the same order.
func points() []point {
	with := func(p point, ask func(Facts) span) point { p.ask = ask; return p }
	return []point{
		{"in-kev", yesNo, func(f Facts) span { return yes(f.KEV, f.KEV.Value) }},
		{"publicly-exposed", yesNo, func(f Facts) span { return yes(f.Exposure, f.Exposure.Value == patching.Internet) }},
		with(automatable, func(f Facts) span { return automatable.of(f.Automatable) }),
		with(technicalImpact, func(f Facts) span { return technicalImpact.of(f.TechnicalImpact) }),
		with(exploitation, exploited),
		with(systemExposure, func(f Facts) span { return systemExposure.of(known(f.Exposure, systemExposures)) }),
		with(humanImpact, impact),
		with(vendorSeverity, severity),
		{"vendor-critical", yesNo, vendorCritical},
		{"ranked-critical", yesNo, rankedCritical},
		{"cvss-7", yesNo, func(f Facts) span { return yes(f.CVSSv3, f.CVSSv3.Value.Base >= 7) }},
		{"working-exploit", yesNo, func(f Facts) span {
			e := exploited(f)
			return span{min(e.from, 1), min(e.to, 1)}
		}},
	}
}

var systemExposures = map[patching.Exposure]string{
	patching.Internet: "open", patching.Internal: "controlled", patching.Isolated: "small",
}

var humanImpacts = map[patching.Criticality]string{
	patching.Low: "low", patching.Medium: "medium", patching.High: "high", patching.MissionCritical: "very high",
}

// dataImpacts are the least human impact of losing data of a class. Other words say
// nothing.
var dataImpacts = map[string]string{
	"confidential": "medium", "personal": "medium",
	"restricted": "high", "secret": "high", "sensitive": "high", "health": "high", "cardholder": "high", "payment": "high",
}

// severities are vendors' words: Microsoft's and Red Hat's (critical, important,
// moderate, low), Ubuntu's and SUSE's (with high, medium, negligible), Debian's.
var severities = map[string]string{
	"critical": "critical", "emergency": "critical",
	"important": "high", "high": "high", "high risk": "high",
	"moderate": "medium", "medium": "medium",
	"low": "low", "minor": "low", "negligible": "low", "unimportant": "low",
	"none": "not stated", "unspecified": "not stated", "unknown": "not stated",
	"not yet assigned": "not stated", "untriaged": "not stated",
}

// exploited: KEV is proof of it. A word of SSVC is the least: as long as nobody knows
// whether it is in KEV, it may be exploited.
func exploited(f Facts) span {
	s := exploitation.of(f.Exploitation)
	switch active := len(exploitation.values) - 1; {
	case f.KEV.Known && f.KEV.Value:
		return span{active, active}
	case !f.KEV.Known || f.KEV.Open:
		return span{s.from, active}
	default:
		return s
	}
}

// impact is SSVC's human impact. What the loss of an asset costs is its criticality,
// stated by its owner; a class of data can raise it, never lower it.
func impact(f Facts) span {
	s := humanImpact.of(known(f.Criticality, humanImpacts))
	least := max(0, humanImpact.rank(dataImpacts[strings.ToLower(f.DataClass.Value)]))
	return span{max(s.from, least), max(s.to, least)}
}

// severity: a vendor who gives no word has not stated it. A word that we do not know
// can be any.
func severity(f Facts) span {
	word, ok := severities[strings.ToLower(f.Severity.Value)]
	if !f.Severity.Known {
		word, ok = "not stated", true
	}
	return vendorSeverity.of(Fact[string]{Value: word, Known: ok})
}

// vendorCritical: where the vendor states nothing, a CVSS base score of 9.0, the bound
// of "critical" in CVSS 3 and 4, stands in.
func vendorCritical(f Facts) span {
	s, critical := severity(f), len(vendorSeverity.values)-1
	if s.from == s.to && vendorSeverity.values[s.from] == "not stated" {
		return yes(f.CVSS, f.CVSS.Value.Base >= 9)
	}
	return span{max(0, s.from-critical+1), max(0, s.to-critical+1)}
}

// rankedCritical is a risk ranking of our own: any of the vendor's word, a CVSS base
// score of 9.0 and known exploitation.
func rankedCritical(f Facts) span {
	s, critical := severity(f), len(vendorSeverity.values)-1
	ranked := span{max(0, s.from-critical+1), max(0, s.to-critical+1)}
	for _, by := range []span{yes(f.CVSS, f.CVSS.Value.Base >= 9), yes(f.KEV, f.KEV.Value)} {
		ranked = span{max(ranked.from, by.from), max(ranked.to, by.to)}
	}
	return ranked
}

// yes is the answer of a fact that is or is not so.
func yes[T any](f Fact[T], so bool) span {
	switch {
	case !f.Known:
		return span{0, 1}
	case so:
		return span{1, 1}
	case f.Open:
		return span{0, 1}
	default:
		return span{0, 0}
	}
}

// known translates a fact into a point's word; what has none is not known.
func known[T ~string](f Fact[T], words map[T]string) Fact[string] {
	word, ok := words[f.Value]
	return Fact[string]{Value: word, Known: f.Known && ok, Open: f.Open}
}

func (p point) of(f Fact[string]) span {
	grave := len(p.values) - 1
	switch at := p.rank(f.Value); {
	case !f.Known || at < 0:
		return span{0, grave}
	case f.Open:
		return span{at, grave}
	default:
		return span{at, at}
	}
}

// rank is how grave a word is; -1: it is none of the point's.
func (p point) rank(word string) int { return slices.Index(p.values, word) }

func (p point) compare(a, b string) int { return p.rank(a) - p.rank(b) }

func (p point) worst(word string) bool { return p.rank(word) == len(p.values)-1 }
