package patching

import "time"

// Risk is what one feed says of a flaw, as far as it does: whatever is not known is
// nil, and never nought.
type Risk struct {
	CVE CVE
	// Exploited: it is in CISA's catalogue of known exploited vulnerabilities.
	Exploited *Exploited
	// SaidExploited names the feeds whose publisher says that its own product is attacked
	// with it, often days before it is in the catalogue. Publishers prove nothing and set
	// no date.
	SaidExploited []string
	EPSS          *EPSS
	CVSS          []CVSS
	SSVC          *SSVC
	// Rejected: the CVE's record was withdrawn by who keeps it.
	Rejected bool
}

// Exploited is an entry of the catalogue of known exploited vulnerabilities (KEV).
type Exploited struct {
	Feed string
	// Added is the day on which it came in; Due the day by which US agencies have to
	// act, which is their due date and not ours.
	Added, Due time.Time
	// Ransomware: it is known to be used by ransomware. False is "unknown".
	Ransomware bool
	Action     string
}

// EPSS is how probable it is that a flaw is exploited within 30 days. Scores of
// different models cannot be compared.
type EPSS struct {
	Feed  string
	Score float64 // 0 to 1
	// Percentile is nil in the scores of before September 2021.
	Percentile *float64
	Model      string    // empty: of before February 2022, when no model was named
	Date       time.Time // of the score
}

// CVSS is a severity score. Several may stand side by side.
type CVSS struct {
	Feed    string
	Version string // "2.0", "3.0", "3.1", "4.0"
	Vector  string
	Score   float64 // base score, 0 to 10
	By      string  // who scored, such as nvd@nist.gov
}

// SSVC is CISA's stakeholder-specific categorisation: the points that do not depend on
// who is affected. An empty word is unknown.
type SSVC struct {
	Feed            string
	At              time.Time
	Exploitation    string // "none", "public poc", "active"
	Automatable     string // "no", "yes"
	TechnicalImpact string // "partial", "total"
}
