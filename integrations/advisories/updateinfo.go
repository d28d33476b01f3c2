package advisories

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// updateinfo is what an rpm repository says of its updates: the updateinfo.xml that its
// repomd.xml names. Nobody has specified it; createrepo_c writes and libsolv reads it
// (tools/updateinfoxml, ext/repo_updateinfoxml.c), and where they differ from each
// other stands below.
//
// Only packages that the repository has are listed: an update that touches more than one
// repository is in each of them, in parts.
var updateinfo = Feed{
	Name: "updateinfo", Title: "updateinfo.xml of an rpm repository",
	Mine: func(h Head) bool { return h.Root() == "updates" },
	Read: readUpdateinfo,
}

type rpmUpdate struct {
	From       string  `xml:"from,attr"`
	Status     string  `xml:"status,attr"`
	Type       string  `xml:"type,attr"`
	ID         string  `xml:"id"`
	Title      string  `xml:"title"`
	Release    string  `xml:"release"`
	Severity   string  `xml:"severity"`
	Issued     rpmDate `xml:"issued"`
	Updated    rpmDate `xml:"updated"`
	Reboot     *string `xml:"reboot_suggested"`
	References []struct {
		ID    string `xml:"id,attr"`
		Title string `xml:"title,attr"`
	} `xml:"references>reference"`
	Collections []rpmCollection `xml:"pkglist>collection"`
}

type rpmCollection struct {
	Short  string `xml:"short,attr"`
	Name   string `xml:"name"`
	Module *struct {
		Name   string `xml:"name,attr"`
		Stream string `xml:"stream,attr"`
	} `xml:"module"`
	Packages []rpmPackage `xml:"package"`
}

type rpmPackage struct {
	Name    string  `xml:"name,attr"`
	Epoch   string  `xml:"epoch,attr"`
	Version string  `xml:"version,attr"`
	Release string  `xml:"release,attr"`
	Arch    string  `xml:"arch,attr"`
	Reboot  *string `xml:"reboot_suggested"`
}

// rpmDate stands in an attribute, and in some repositories between the tags.
type rpmDate struct {
	Attr string `xml:"date,attr"`
	Text string `xml:",chardata"`
}

// when reads what the publishers write: "2023-11-28 00:00:00", the same with " UTC",
// seconds since 1970 (SUSE), minutes without seconds (Amazon, up to 2018).
func (d rpmDate) when() (time.Time, error) {
	text := strings.TrimSuffix(strings.TrimSpace(cmp.Or(d.Attr, d.Text)), " UTC")
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 && seconds < 1<<33 {
		return time.Unix(seconds, 0).UTC(), nil
	}
	if t, err := time.Parse("2006-01-02 15:04", text); err == nil {
		return t, nil
	}
	return when(text)
}

func readUpdateinfo(doc Document, into *Content) error {
	return eachXML(doc, "update", func(d *xml.Decoder, start xml.StartElement) error {
		var u rpmUpdate
		if err := d.DecodeElement(&u, &start); err != nil {
			return fmt.Errorf("XML: %w", err)
		}
		u.ID = strings.TrimSpace(u.ID)
		if u.ID == "" {
			return errors.New("an update has no id")
		}
		a, err := u.advisory()
		if err != nil {
			return fmt.Errorf("%.80s: %w", u.ID, err)
		}
		into.Edition("", a.Modified)
		into.Advisories = append(into.Advisories, a)
		return nil
	})
}

func (u *rpmUpdate) advisory() (a patching.Advisory, err error) {
	a = patching.Advisory{
		ID: patching.AdvisoryID(u.ID), Feed: "updateinfo", Title: strings.TrimSpace(u.Title),
		Kind: rpmKinds[strings.ToLower(u.Type)], Severity: strings.ToLower(strings.TrimSpace(u.Severity)),
		NeedsReboot: suggested(u.Reboot),
	}
	if a.Severity == "none" || a.Severity == "unspecified" {
		a.Severity = ""
	}
	if a.Published, err = u.Issued.when(); err != nil {
		return a, fmt.Errorf("issued: %w", err)
	}
	if a.Modified, err = u.Updated.when(); err != nil {
		return a, fmt.Errorf("updated: %w", err)
	}
	if a.Modified.IsZero() {
		a.Modified = a.Published
	}
	// SUSE's way to take an update back, which stays in the repository. It does not
	// say when.
	if u.Status == "retracted" {
		if a.Withdrawn = a.Modified; a.Withdrawn.IsZero() {
			return a, errors.New("it was retracted, and has no date")
		}
	}
	a.SetCVEs(u.cves()...)
	for _, c := range u.Collections {
		for _, p := range c.Packages {
			a.NeedsReboot = a.NeedsReboot || suggested(p.Reboot)
			if p.Arch == "src" || p.Arch == "nosrc" {
				continue
			}
			if a.Affected, err = u.appendTo(a.Affected, c, p); err != nil {
				return a, err
			}
		}
	}
	a.Affected = onceEach(a.Affected)
	return a, nil
}

// rpmKinds are the types: four by createrepo_c, three more by SUSE, and those of Red
// Hat before 2012.
var rpmKinds = map[string]string{
	"security": "security", "bugfix": "bugfix", "recommended": "bugfix",
	"enhancement": "enhancement", "optional": "enhancement", "feature": "enhancement", "newpackage": "enhancement",
	"enhancements": "enhancement",
}

// suggested reads a flag. To createrepo_c it is set where it stands, to libsolv where it
// says "True" or "1"; Pulp writes "False". An empty one is set.
func suggested(flag *string) bool {
	if flag == nil {
		return false
	}
	switch strings.ToLower(strings.TrimSpace(*flag)) {
	case "false", "0", "no":
		return false
	}
	return true
}

var cveAnywhere = regexp.MustCompile(`CVE-[0-9]{4}-[0-9]{4,19}`)

// cves are named in references of their own; by Fedora in the titles of bugs alone, and
// by some repositories in the update's title.
func (u *rpmUpdate) cves() []string {
	all := cveAnywhere.FindAllString(u.Title, -1)
	for _, r := range u.References {
		all = append(all, cveAnywhere.FindAllString(r.ID, -1)...)
		all = append(all, cveAnywhere.FindAllString(r.Title, -1)...)
	}
	return all
}

func (u *rpmUpdate) appendTo(all []patching.Affected, c rpmCollection, p rpmPackage) ([]patching.Affected, error) {
	if p.Name == "" || p.Version == "" {
		return nil, fmt.Errorf("package %.80q has no name or version", p.Name)
	}
	fixed := p.Version
	if p.Release != "" {
		fixed += "-" + p.Release
	}
	if p.Epoch != "" {
		fixed = p.Epoch + ":" + fixed // also 0, as it is written
	}
	for _, a := range u.platforms(c, p) {
		a.Package, a.Ranges = p.Name, []patching.VersionRange{{Fixed: fixed}}
		if p.Arch != "noarch" {
			a.Arch = p.Arch
		}
		if c.Module != nil && c.Module.Name != "" {
			a.Module = c.Module.Name + ":" + c.Module.Stream
		}
		all = append(all, a)
	}
	return all, nil
}

// platforms says which machines a repository is for. No field is made for that; asked
// are, in this order, for the first that tells:
//
//  1. the collection's short name and its name (AlmaLinux, Rocky, Fedora, Amazon, Red Hat),
//  2. the update's release (Fedora, Rocky, openSUSE),
//  3. the update's id (SUSE names its product there, and there only),
//  4. who it is from, with the release by the package's dist tag (Oracle, CentOS).
//
// A dist tag alone does not tell: .el9 is what all of the family have. If nothing tells,
// the platform stays empty, and no machine is found to be affected.
func (u *rpmUpdate) platforms(c rpmCollection, p rpmPackage) []patching.Affected {
	for _, text := range []string{c.Short, c.Name, u.Release} {
		if on := namedPlatform(text); on != nil {
			return on
		}
	}
	if m := susePatch.FindStringSubmatch(u.ID); m != nil {
		if on := suseProduct(m[1], m[2], m[3]+m[4], m[5]); on != nil {
			return on
		}
	}
	if m := leapPatch.FindStringSubmatch(u.ID); m != nil {
		return openSUSELeap(m[1])
	}
	if m := distTag.FindStringSubmatch(p.Release); m != nil {
		for _, from := range rpmSenders {
			if from.tag == m[1] && strings.Contains(u.From, from.domain) {
				return onEach(from.ids, m[2])
			}
		}
	}
	return []patching.Affected{{}}
}

func onEach(ids []string, release string) (on []patching.Affected) {
	for _, id := range ids {
		on = append(on, patching.Affected{Platform: patching.Platform{ID: id, Release: release}})
	}
	return on
}

var (
	// SUSE-SLE-Module-Basesystem-15-SP5-2023-2765, SUSE-SLE-SERVER-12-SP5-LTSS-2024-1.
	susePatch = regexp.MustCompile(`^SUSE-SLE-(?:Product-)?(.+?)-([0-9]+)(?:\.([0-9]+)|-SP([0-9]+))?(?:-([A-Z][A-Za-z-]*))?-20[0-9]{2}-[0-9]+$`)
	// openSUSE-SLE-15.5-2023-2765: Leap takes most of its packages from SLE.
	leapPatch = regexp.MustCompile(`^openSUSE-(?:SLE|Leap)-([0-9]+\.[0-9]+)-20[0-9]{2}-[0-9]+$`)
	// .el9_4, .fc43, .amzn2023; of modules .module+el8.10.0+1, .module_el8.10.0+1.
	distTag = regexp.MustCompile(`[.+_](el|fc|amzn)([0-9]+)`)
)

// enterprise are those whose machines use EPEL, Fedora's repository for all of the
// family.
var enterprise = []string{"rhel", "centos", "almalinux", "rocky", "ol"}

var rpmSenders = []struct {
	domain, tag string
	ids         []string
}{
	{"almalinux.org", "el", []string{"almalinux"}},
	{"rockylinux.org", "el", []string{"rocky"}},
	{"redhat.com", "el", []string{"rhel"}},
	{"centos.org", "el", []string{"centos"}},
	{"oracle.com", "el", []string{"ol"}},
	{"fedoraproject.org", "fc", []string{"fedora"}},
	{"fedoraproject.org", "el", enterprise},
	{"amazon.com", "amzn", []string{"amzn"}},
}

// rpmNames are how releases are written. EPEL stands before Fedora, since its name is
// "Fedora EPEL 9".
var rpmNames = []struct {
	pattern *regexp.Regexp
	ids     []string
}{
	{regexp.MustCompile(`(?i)\bepel[- ]([0-9]+)`), enterprise},
	{regexp.MustCompile(`(?i)^(?:fedora (?:linux )?|f)([0-9]+)\b`), []string{"fedora"}},
	{regexp.MustCompile(`(?i)^almalinux(?: os)?[- ]([0-9]+)`), []string{"almalinux"}},
	{regexp.MustCompile(`(?i)^rocky[- ]linux[- ]([0-9]+)`), []string{"rocky"}},
	{regexp.MustCompile(`(?i)^(?:red hat enterprise linux |rhel-)([0-9]+)\b`), []string{"rhel"}},
	{regexp.MustCompile(`(?i)^(?:oracle linux |ol)([0-9]+)(?:$|[^0-9])`), []string{"ol"}},
	{regexp.MustCompile(`(?i)^centos(?:[- ]linux|[- ]stream)?[- ]([0-9]+)`), []string{"centos"}},
	{regexp.MustCompile(`(?i)^amazon[- ]linux[- ]([0-9]+)`), []string{"amzn"}},
}

var (
	// rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2: minor releases that are prolonged.
	redHatStream   = regexp.MustCompile(`^rhel-([0-9]+)-for-.*-(eus|aus|tus|e4s)-[a-z-]+(?:__([0-9]+)_DOT_([0-9]+))?`)
	leapName       = regexp.MustCompile(`(?i)^openSUSE[- ]Leap[- ]([0-9]+\.[0-9]+)`)
	tumbleweedName = regexp.MustCompile(`(?i)^openSUSE[- ]Tumbleweed\b`)
)

func namedPlatform(text string) []patching.Affected {
	text = strings.TrimSpace(text)
	if m := redHatStream.FindStringSubmatch(text); m != nil {
		a := patching.Affected{Platform: patching.Platform{ID: "rhel", Release: m[1]}, Entitlement: "rhel-" + m[2]}
		if m[3] != "" {
			a.Release = m[3] + "." + m[4]
		}
		return []patching.Affected{a}
	}
	for _, n := range rpmNames {
		if m := n.pattern.FindStringSubmatch(text); m != nil {
			return onEach(n.ids, m[1])
		}
	}
	if m := leapName.FindStringSubmatch(text); m != nil {
		return openSUSELeap(m[1])
	}
	if tumbleweedName.MatchString(text) {
		return openSUSETumbleweed()
	}
	return nil
}
