package advisories

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// msrc is a month of Microsoft's Security Update Guide, as CVRF 1.1 XML of its API in
// version 3: https://api.msrc.microsoft.com/cvrf/v3.0/swagger/v3/swagger.json. The same
// document is written anew with each correction, hundreds of times.
//
// It is ordered by flaw; what a machine installs are its updates (KB), so those become
// the advisories. Only what Windows itself gets is read: a machine's build number tells
// what it has of it. Office, Edge, Azure Linux and the like in the same document have
// versions of their own kinds.
//
// A month may name updates of earlier months again, with the few flaws that it adds to
// them. So an advisory's CVEs are those that this document names, and its date is the
// document's.
var msrc = Feed{
	Name: "msrc", Title: "Microsoft Security Update Guide",
	// Red Hat and SUSE write CVRF too.
	Mine: func(h Head) bool {
		return h.Root() == "cvrfdoc" && bytes.Contains(h.Start, []byte("secure@microsoft.com"))
	},
	Read: readMSRC,
}

// hotpatch is the entitlement of machines that are enrolled for updates without a
// restart. These have build numbers of their own, below the month's full update: they
// are no answer for anyone else.
const hotpatch = "windows-hotpatch"

func readMSRC(doc Document, into *Content) error {
	r := msrcReader{products: map[string]string{}, byKB: map[string]*msrcUpdate{}, issues: map[string][]string{}, hot: map[msrcBuild]bool{}}
	if err := walkXML(doc, map[string]func(*xml.Decoder, xml.StartElement) error{
		"DocumentTitle":    func(d *xml.Decoder, e xml.StartElement) error { return d.DecodeElement(&r.title, &e) },
		"DocumentTracking": func(d *xml.Decoder, e xml.StartElement) error { return d.DecodeElement(&r.tracking, &e) },
		"FullProductName":  r.product,
		"Vulnerability":    r.vulnerability,
	}); err != nil {
		return err
	}
	return r.finish(into)
}

type msrcReader struct {
	title    string
	tracking struct {
		ID        string   `xml:"Identification>ID"`
		Revisions []string `xml:"RevisionHistory>Revision>Number"`
		Initial   string   `xml:"InitialReleaseDate"`
		Current   string   `xml:"CurrentReleaseDate"`
	}
	products map[string]string // full names by their IDs
	updates  []*msrcUpdate     // in the order in which they are named first
	byKB     map[string]*msrcUpdate
	issues   map[string][]string // by KB
	// hot are the builds that hotpatches bring a product to. Two updates of December
	// 2025, KB5074204 and KB5074353, have such builds, and are not called hotpatches.
	hot   map[msrcBuild]bool
	risks []patching.Risk
}

// msrcUpdate is a KB, collected from the flaws that it fixes.
type msrcUpdate struct {
	kb, subType string
	severity    int
	supersedes  []patching.AdvisoryID
	reboot      bool
	builds      []msrcBuild // each once, in the order in which they are named first
	cves        map[msrcBuild][]string
}

// msrcBuild is what an update brings a product to.
type msrcBuild struct{ product, build string }

type msrcVulnerability struct {
	CVE     string `xml:"CVE"`
	Threats []struct {
		Type        string   `xml:"Type,attr"`
		Description string   `xml:"Description"`
		Products    []string `xml:"ProductID"`
	} `xml:"Threats>Threat"`
	Scores []struct {
		Base   string `xml:"BaseScore"`
		Vector string `xml:"Vector"`
	} `xml:"CVSSScoreSets>ScoreSet"`
	Remediations []msrcRemediation `xml:"Remediations>Remediation"`
}

type msrcRemediation struct {
	Type        string   `xml:"Type,attr"`
	Description string   `xml:"Description"`
	URL         string   `xml:"URL"`
	Supersedes  string   `xml:"Supercedence"`
	Products    []string `xml:"ProductID"`
	Restart     string   `xml:"RestartRequired"`
	SubType     string   `xml:"SubType"`
	FixedBuild  string   `xml:"FixedBuild"`
}

func (r *msrcReader) product(d *xml.Decoder, e xml.StartElement) error {
	var p struct {
		ID   string `xml:"ProductID,attr"`
		Name string `xml:",chardata"`
	}
	if err := d.DecodeElement(&p, &e); err != nil {
		return err
	}
	r.products[p.ID] = words(p.Name)
	return nil
}

// words are what remains of a text that was broken into lines.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

var (
	// windowsName are the systems themselves, in all their editions, and not what runs
	// on them: "Windows Admin Center", "Windows ADK for Windows Server 2022".
	windowsName = regexp.MustCompile(`^Windows (Server|Vista|RT|7|8|8\.1|10|11)\b`)
	// windowsBuild is a build number of theirs. "1.000" stands for an update of
	// Internet Explorer, which no build number shows.
	windowsBuild = regexp.MustCompile(`^((?:10\.0|6\.[0-3])\.[0-9]{4,6})\.[0-9]{1,6}$`)
	// kbNumber tells updates from "Release Notes", "Click to Run", "CBL-Mariner Releases".
	kbNumber = regexp.MustCompile(`^(?:KB)?([0-9]{6,8})$`)
)

// msrcSeverities in Microsoft's order:
// https://www.microsoft.com/en-us/msrc/security-update-severity-rating-system
var msrcSeverities = []string{"", "Low", "Moderate", "Important", "Critical"}

func (r *msrcReader) vulnerability(d *xml.Decoder, e xml.StartElement) error {
	var v msrcVulnerability
	if err := d.DecodeElement(&v, &e); err != nil {
		return err
	}
	v.CVE = words(v.CVE)
	if !patching.CVE(v.CVE).Valid() {
		return nil // advice such as ADV990001 has a number of Microsoft's own
	}
	if err := r.risk(v); err != nil {
		return fmt.Errorf("%s: %w", v.CVE, err)
	}
	for _, f := range v.Remediations {
		kb := kbNumber.FindStringSubmatch(words(f.Description))
		if kb == nil {
			continue
		}
		switch f.Type {
		case "Vendor Fix":
			if err := r.fix(kb[1], v, f); err != nil {
				return fmt.Errorf("%s: KB%s: %w", v.CVE, kb[1], err)
			}
		case "Known Issue":
			r.issue(kb[1], words(f.URL))
		}
	}
	return nil
}

func (r *msrcReader) fix(kb string, v msrcVulnerability, f msrcRemediation) error {
	build := words(f.FixedBuild)
	if !windowsBuild.MatchString(build) {
		return nil
	}
	var builds []msrcBuild
	for _, id := range f.Products {
		name, known := r.products[id]
		if !known {
			return fmt.Errorf("the product %.40q is not in the ProductTree before it", id)
		}
		if windowsName.MatchString(name) {
			builds = append(builds, msrcBuild{name, build})
		}
	}
	if len(builds) == 0 {
		return nil
	}
	u := r.byKB[kb]
	if u == nil {
		u = &msrcUpdate{kb: kb, subType: words(f.SubType), cves: map[msrcBuild][]string{}}
		r.byKB[kb], r.updates = u, append(r.updates, u)
	}
	// "Maybe" is no: whoever restarts for it would do so in vain, and the machine itself
	// asks for a restart when it needs one.
	u.reboot = u.reboot || words(f.Restart) == "Yes"
	for _, old := range strings.FieldsFunc(f.Supersedes, func(c rune) bool { return strings.ContainsRune(",; \t\r\n", c) }) {
		if m := kbNumber.FindStringSubmatch(old); m != nil {
			u.supersedes = append(u.supersedes, patching.AdvisoryID("KB"+m[1]))
		}
	}
	for _, b := range builds {
		if strings.Contains(f.SubType, "Hotpatch") {
			r.hot[b] = true
		}
		if u.cves[b] == nil {
			u.builds = append(u.builds, b)
		}
		u.cves[b] = append(u.cves[b], v.CVE)
	}
	for _, t := range v.Threats {
		if t.Type == "Severity" && (len(t.Products) == 0 || slices.ContainsFunc(t.Products, func(p string) bool { return slices.Contains(f.Products, p) })) {
			u.severity = max(u.severity, slices.Index(msrcSeverities, words(t.Description)))
		}
	}
	return nil
}

func (r *msrcReader) issue(kb, url string) {
	text := "Microsoft lists known issues of this update"
	if url != "" {
		text += ": " + url
	}
	if !slices.Contains(r.issues[kb], text) {
		r.issues[kb] = append(r.issues[kb], text)
	}
}

// risk takes what is said of the flaw itself. Scores stand there once a product; the same
// flaw may have several, and each is taken once.
func (r *msrcReader) risk(v msrcVulnerability) error {
	risk := patching.Risk{CVE: patching.CVE(v.CVE)}
	for _, s := range v.Scores {
		c := patching.CVSS{Feed: "msrc", Vector: words(s.Vector), By: "msrc"}
		c.Version, _, _ = strings.Cut(strings.TrimPrefix(c.Vector, "CVSS:"), "/")
		base := words(s.Base)
		if base == "" || !strings.HasPrefix(c.Vector, "CVSS:") {
			continue // an empty set stands for "not scored", with 0 in it
		}
		var err error
		if c.Score, err = strconv.ParseFloat(base, 64); err != nil || !(c.Score >= 0 && c.Score <= 10) {
			return fmt.Errorf("BaseScore %.20q is not within 0 and 10", base)
		}
		if !slices.Contains(risk.CVSS, c) {
			risk.CVSS = append(risk.CVSS, c)
		}
	}
	for _, t := range v.Threats {
		if t.Type == "Exploit Status" && slices.Contains(strings.Split(words(t.Description), ";"), "Exploited:Yes") {
			risk.SaidExploited = []string{"msrc"}
		}
	}
	if len(risk.CVSS)+len(risk.SaidExploited) > 0 {
		r.risks = append(r.risks, risk)
	}
	return nil
}

func (r *msrcReader) finish(into *Content) error {
	id := words(r.tracking.ID)
	if id == "" {
		return fmt.Errorf("DocumentTracking has no ID")
	}
	published, err := when(r.tracking.Initial)
	if err != nil {
		return fmt.Errorf("InitialReleaseDate: %w", err)
	}
	current, err := when(r.tracking.Current)
	if err != nil {
		return fmt.Errorf("CurrentReleaseDate: %w", err)
	}
	revision := id
	if n := len(r.tracking.Revisions); n > 0 {
		revision += " revision " + words(r.tracking.Revisions[n-1])
	}
	into.Edition(revision, current)
	into.Risks = append(into.Risks, r.risks...)
	for _, u := range r.updates {
		a := u.advisory(words(r.title), r.hot)
		a.Published, a.Modified, a.KnownIssues = published, current, r.issues[u.kb]
		into.Advisories = append(into.Advisories, a)
	}
	return nil
}

func (u *msrcUpdate) advisory(title string, hot map[msrcBuild]bool) patching.Advisory {
	if u.subType != "" && u.subType != "Security Update" {
		title += " (" + u.subType + ")"
	}
	a := patching.Advisory{
		ID: patching.AdvisoryID("KB" + u.kb), Feed: "msrc", Kind: "security", Title: title,
		Severity: strings.ToLower(msrcSeverities[u.severity]), NeedsReboot: u.reboot,
	}
	a.SetCVEs(slices.Concat(slices.Collect(maps.Values(u.cves))...)...)
	slices.Sort(u.supersedes)
	a.Supersedes = slices.Compact(u.supersedes)
	slices.SortStableFunc(u.builds, func(x, y msrcBuild) int { return cmp.Compare(x.product, y.product) })
	for _, b := range u.builds {
		affected := patching.Affected{
			Platform: patching.Platform{ID: "windows", Release: b.product}, Package: "windows",
			// Builds compare within one line, which the first three numbers name: what
			// is of another line was not made by this update.
			Ranges: []patching.VersionRange{{From: windowsBuild.FindStringSubmatch(b.build)[1], Fixed: b.build}},
		}
		if hot[b] {
			affected.Entitlement = hotpatch
		}
		// A client and a server get the same update, and not all flaws are in both.
		if its := patching.CVEs(u.cves[b]...); len(its) < len(a.CVEs) {
			affected.CVEs = its
		}
		a.Affected = append(a.Affected, affected)
	}
	return a
}
