package advisories

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/patchcycle/patchcycle/patching"
)

// osv is the Open Source Vulnerability format, in which distributions publish what they
// fixed, one record a document: https://ossf.github.io/osv-schema/. It comes as an
// archive for each ecosystem. What is about no operating system (npm, PyPI, Go) is
// passed over.
var osv = Feed{
	Name: "osv", Title: "OSV records",
	Mine: isOSV,
	Read: readOSV,
}

// isOSV recognises a record by its fields, of which the schema wants only two. Where
// they stand is free: SUSE puts the packages first, and those of a kernel fill the head.
func isOSV(h Head) bool {
	keys := h.Keys()
	has := func(k string) bool { return slices.Contains(keys, k) }
	switch {
	case has("affected") && bytes.Contains(h.Start, []byte(`"ecosystem"`)):
		return true
	case has("id") && has("details"): // a text that fills the head may stand before the rest
		return true
	default:
		return has("id") && has("modified") && (has("affected") || has("schema_version") || has("withdrawn"))
	}
}

type osvRecord struct {
	ID         string        `json:"id"`
	Summary    string        `json:"summary"`
	Published  string        `json:"published"`
	Modified   string        `json:"modified"`
	Withdrawn  string        `json:"withdrawn"`
	Aliases    []string      `json:"aliases"`
	Related    []string      `json:"related"`
	Upstream   []string      `json:"upstream"`
	Severity   []osvSeverity `json:"severity"`
	Affected   []osvAffected `json:"affected"`
	References []struct {
		URL string `json:"url"`
	} `json:"references"`
}

type osvAffected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
		PURL      string `json:"purl"`
	} `json:"package"`
	Severity []osvSeverity `json:"severity"`
	Ranges   []struct {
		Type   string     `json:"type"`
		Events []osvEvent `json:"events"`
	} `json:"ranges"`
	Versions []string `json:"versions"`
	// Ubuntu's.
	Specific own[struct {
		Priority     string `json:"ubuntu_priority"`
		Availability string `json:"availability"`
	}] `json:"ecosystem_specific"`
	Database own[struct {
		Map struct {
			CVEs []osvScored `json:"cves"`
		} `json:"cves_map"`
	}] `json:"database_specific"`
}

type osvEvent struct {
	Introduced string `json:"introduced"`
	Fixed      string `json:"fixed"`
	Last       string `json:"last_affected"`
}

type osvSeverity struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type osvScored struct {
	ID       string        `json:"id"`
	Severity []osvSeverity `json:"severity"`
}

// own is what each publisher defines for itself: whoever means something else by a name
// is not wrong, and just not understood.
type own[T any] struct{ V T }

func (o *own[T]) UnmarshalJSON(text []byte) error {
	var v T
	if json.Unmarshal(text, &v) == nil {
		o.V = v
	}
	return nil
}

func readOSV(doc Document, into *Content) error {
	var r osvRecord
	if err := decodeJSON(doc, &r); err != nil {
		return err
	}
	if r.ID == "" {
		return errors.New("it has no id")
	}
	a, ours, err := r.advisory()
	if err != nil {
		return fmt.Errorf("%.80s: %w", r.ID, err)
	}
	into.Edition("", a.Modified)
	if !ours {
		return nil
	}
	into.Advisories = append(into.Advisories, a)
	// What was withdrawn may have been withdrawn for its score.
	if a.Withdrawn.IsZero() {
		into.Risks = append(into.Risks, r.risks(a.CVEs)...)
	}
	return nil
}

// advisory says what the record says. It is not ours if it is about packages, and none
// of them is an operating system's.
func (r *osvRecord) advisory() (a patching.Advisory, ours bool, err error) {
	a = patching.Advisory{
		ID: patching.AdvisoryID(r.ID), Feed: "osv", Kind: kindByID(r.ID), Severity: r.word(), Title: r.Summary,
	}
	if a.Published, err = when(r.Published); err != nil {
		return a, false, fmt.Errorf("published: %w", err)
	}
	if a.Modified, err = when(r.Modified); err != nil {
		return a, false, fmt.Errorf("modified: %w", err)
	}
	if a.Withdrawn, err = when(r.Withdrawn); err != nil {
		return a, false, fmt.Errorf("withdrawn: %w", err)
	}
	a.SetCVEs(r.names()...)
	ours = len(r.Affected) == 0
	for _, p := range r.Affected {
		on, known := osvPlatforms(p.Package.Ecosystem)
		ours = ours || known
		if len(on) == 0 {
			continue
		}
		if a.Affected, err = p.appendTo(a.Affected, on); err != nil {
			return a, false, fmt.Errorf("%.80s of %.80s: %w", p.Package.Name, p.Package.Ecosystem, err)
		}
	}
	a.Affected = onceEach(ofStreams(a.Affected, a.Title))
	return a, ours, nil
}

// titleStream finds "idm:DL1" in "Moderate: idm:DL1 security update". A word before a
// colon and a space is a severity.
var titleStream = regexp.MustCompile(`(?:^|\s)([a-z0-9][A-Za-z0-9_.+-]*:[A-Za-z0-9][A-Za-z0-9_.+-]*)`)

// ofStreams takes the module's stream from the title, where AlmaLinux's records have it: in
// 97 of 100 that fix something of a module. Some name several, and do not say which package
// belongs to which: then it is said for each.
func ofStreams(all []patching.Affected, title string) []patching.Affected {
	streams := titleStream.FindAllStringSubmatch(title, -1)
	if len(streams) == 0 || !slices.ContainsFunc(all, unnamedStream) {
		return all
	}
	told := make([]patching.Affected, 0, len(all))
	for _, a := range all {
		if !unnamedStream(a) {
			told = append(told, a)
			continue
		}
		for _, m := range streams {
			a.Module = m[1]
			told = append(told, a)
		}
	}
	return told
}

// unnamedStream reports whether a fix was built in a module (the build system of the RHEL
// family writes that into the release) whose stream the record does not tell.
func unnamedStream(a patching.Affected) bool {
	return a.Module == "" && slices.ContainsFunc(a.Ranges, func(r patching.VersionRange) bool {
		return strings.Contains(r.Fixed, ".module_") || strings.Contains(r.Fixed, ".module+")
	})
}

// onceEach leaves out what was said before: the same machines have several products,
// each of which lists a package.
func onceEach(all []patching.Affected) []patching.Affected {
	type key struct {
		patching.Platform
		pkg, arch, module, entitlement string
		source                         bool
		affected                       patching.VersionRange
	}
	said := make(map[key]bool, len(all))
	return slices.DeleteFunc(all, func(a patching.Affected) bool {
		if len(a.Ranges) != 1 || len(a.Versions) > 0 {
			return false
		}
		k := key{a.Platform, a.Package, a.Arch, a.Module, a.Entitlement, a.Source, a.Ranges[0]}
		again := said[k]
		said[k] = true
		return again
	})
}

// osvCVE finds the flaw in names such as UBUNTU-CVE-2021-3782 and DEBIAN-CVE-2021-3782.
var osvCVE = regexp.MustCompile(`(?:^|-)(CVE-[0-9]{4}-[0-9]+)$`)

func cveIn(name string) (cve string) {
	if m := osvCVE.FindStringSubmatch(name); m != nil {
		cve = m[1]
	}
	return cve
}

// names are the flaws that the record is about. Distributions name them as "related"
// up to schema 1.6, since an advisory is no alias of a flaw, and as "upstream" since.
func (r *osvRecord) names() []string {
	all := []string{cveIn(r.ID)}
	for _, list := range [][]string{r.Aliases, r.Related, r.Upstream} {
		for _, n := range list {
			all = append(all, cveIn(n))
		}
	}
	for _, p := range r.Affected {
		for _, c := range p.Database.V.Map.CVEs {
			all = append(all, c.ID)
		}
	}
	return all
}

var advisoryKind = regexp.MustCompile(`^(?:(?:AL|RH|RL|RX)([SBE])A|(?:open)?SUSE-([SRFO])U)-`)

// kindByID reads the letter by which distributors of the Red Hat family and SUSE tell
// advisories apart: security, bug fix and enhancement; recommended, feature, optional.
// OSV is a format for vulnerabilities: whatever else is in it is one.
func kindByID(id string) string {
	m := advisoryKind.FindStringSubmatch(id)
	if m == nil {
		return "security"
	}
	switch m[1] + m[2] {
	case "B", "R":
		return "bugfix"
	case "E", "F", "O":
		return "enhancement"
	default:
		return "security"
	}
}

// ubuntuWords are Ubuntu's priorities, upwards: https://ubuntu.com/security/cves/about.
var ubuntuWords = []string{"negligible", "low", "medium", "high", "critical"}

// word is the publisher's own: Ubuntu's priority, the worst where a notice is about
// many; what stands before the title of AlmaLinux and Rocky; Red Hat's link to its
// explanation of the word.
func (r *osvRecord) word() string {
	worst := -1
	rank := func(all []osvSeverity) {
		for _, s := range all {
			if s.Type == "Ubuntu" {
				worst = max(worst, slices.Index(ubuntuWords, s.Score))
			}
		}
	}
	rank(r.Severity)
	for _, p := range r.Affected {
		rank(append([]osvSeverity{{"Ubuntu", p.Specific.V.Priority}}, p.Severity...))
		for _, c := range p.Database.V.Map.CVEs {
			rank(c.Severity)
		}
	}
	if worst >= 0 {
		return ubuntuWords[worst]
	}
	before, _, _ := strings.Cut(r.Summary, ": ")
	words := []string{before}
	for _, link := range r.References {
		if _, word, ok := strings.Cut(link.URL, "//access.redhat.com/security/updates/classification/#"); ok {
			words = append(words, word)
		}
	}
	for _, w := range words {
		switch w = strings.ToLower(w); w {
		case "critical", "important", "moderate", "low":
			return w
		}
	}
	return ""
}

// risks are the scores of flaws: those of the record, if it is about one flaw alone, and
// those that Ubuntu gives for each. The same may stand there once a release.
func (r *osvRecord) risks(cves []patching.CVE) []patching.Risk {
	scored := map[patching.CVE][]patching.CVSS{}
	note := func(c patching.CVE, all []osvSeverity) {
		for _, s := range all {
			if score, ok := s.cvss(); ok && c.Valid() && !slices.Contains(scored[c], score) {
				scored[c] = append(scored[c], score)
			}
		}
	}
	only := patching.CVE(cveIn(r.ID))
	if only == "" && len(cves) == 1 {
		only = cves[0]
	}
	note(only, r.Severity)
	for _, p := range r.Affected {
		note(only, p.Severity)
		for _, c := range p.Database.V.Map.CVEs {
			note(patching.CVE(c.ID), c.Severity)
		}
	}
	var all []patching.Risk
	for _, c := range slices.Sorted(maps.Keys(scored)) {
		all = append(all, patching.Risk{CVE: c, CVSS: scored[c]})
	}
	return all
}

// cvss computes the base score of a vector. One that cannot be scored is left out: the
// flaw is known all the same, and a feed is not given up for a slip in an opinion.
func (s osvSeverity) cvss() (c patching.CVSS, ok bool) {
	if !strings.HasPrefix(s.Type, "CVSS_") {
		return c, false
	}
	c = patching.CVSS{Feed: "osv", Vector: s.Score}
	var err error
	score := func(by interface{ BaseScore() float64 }, e error) {
		if err = e; e == nil {
			c.Score = by.BaseScore()
		}
	}
	if rest, is := strings.CutPrefix(s.Score, "CVSS:"); is {
		c.Version, _, _ = strings.Cut(rest, "/")
	}
	switch c.Version {
	case "":
		c.Version = "2.0" // its vectors have no heading
		score(gocvss20.ParseVector(s.Score))
	case "3.0":
		score(gocvss30.ParseVector(s.Score))
	case "3.1":
		score(gocvss31.ParseVector(s.Score))
	case "4.0":
		var v *gocvss40.CVSS40
		if v, err = gocvss40.ParseVector(s.Score); err == nil {
			c.Score = v.Score()
		}
	default:
		return c, false
	}
	return c, err == nil
}
