package inventories

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching/reconcile"
)

// Findings are what a scanner reports.
type Findings struct {
	// Format is how it was written, Tool who wrote it as far as that is told.
	Format, Tool string
	// Made is when; zero: not told.
	Made   time.Time
	Claims []reconcile.Claim
	// Others counts flaws in what no package manager of the system installed, by kind.
	Others map[string]int
	// Bad are rows and results that cannot be used.
	Bad []Bad
}

func (f *Findings) other(kind string) {
	if f.Others == nil {
		f.Others = map[string]int{}
	}
	f.Others[kind]++
}

// report is one way in which scanners write their findings.
type report struct {
	name string
	// mine tells by the names at the top of a JSON document.
	mine func(top map[string]json.RawMessage) bool
	read func(text []byte, f *Findings) error
}

var reports = []report{
	{"SARIF", has("runs"), readSARIF},
	{"trivy JSON", has("SchemaVersion"), readTrivy},
	{"osv-scanner JSON", has("results"), readOSVScanner},
}

func has(name string) func(map[string]json.RawMessage) bool {
	return func(top map[string]json.RawMessage) bool { _, ok := top[name]; return ok }
}

// ReadFindings reads a scanner's report, packed or not: SARIF 2.1.0, trivy's and
// osv-scanner's JSON, or a table with headings. As with [ReadCMDB] the mapping is of a
// table's columns.
func ReadFindings(in io.Reader, o CMDBOptions) (Findings, error) {
	text, err := whole(in, 64)
	if err != nil {
		return Findings{}, err
	}
	body, err := plainText(text)
	if err != nil {
		return Findings{}, err
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return Findings{}, errors.New("it is empty")
	}
	if body[0] != '{' {
		return readFindingsTable(bytes.NewReader(text), o)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(body, &top); err != nil {
		return Findings{}, jsonError(body, err)
	}
	i := slices.IndexFunc(reports, func(r report) bool { return r.mine(top) })
	if i < 0 {
		return Findings{}, errors.New("it is no report that we can read: want SARIF, trivy's or osv-scanner's JSON, or a table with the headings package and cve")
	}
	f := Findings{Format: reports[i].name}
	if err := reports[i].read(body, &f); err != nil {
		return Findings{}, fmt.Errorf("as %s: %w", f.Format, err)
	}
	return f, nil
}

// readTrivy reads trivy's own format: https://trivy.dev/latest/docs/configuration/reporting.
func readTrivy(text []byte, f *Findings) error {
	var doc struct {
		CreatedAt time.Time
		Trivy     struct{ Version string }
		Results   []struct {
			Class, Type     string
			Vulnerabilities []struct {
				VulnerabilityID, PkgName, InstalledVersion, FixedVersion, Status string
				VendorIDs                                                        []string
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return jsonError(text, err)
	}
	f.Tool, f.Made = strings.TrimSpace("trivy "+doc.Trivy.Version), doc.CreatedAt
	for _, r := range doc.Results {
		for n, v := range r.Vulnerabilities {
			if r.Class != "os-pkgs" {
				f.other(r.Type)
				continue
			}
			if v.PkgName == "" || v.VulnerabilityID == "" {
				return fmt.Errorf("finding %d of %s names no package or no flaw", n+1, r.Type)
			}
			f.Claims = append(f.Claims, reconcile.Claim{
				Package: v.PkgName, Version: v.InstalledVersion, Names: append([]string{v.VulnerabilityID}, v.VendorIDs...),
				Fixed: v.FixedVersion, Unfixed: v.FixedVersion == "" && v.Status != "",
			})
		}
	}
	return nil
}

// linuxes are the beginnings of OSV's ecosystems whose packages a system's manager
// installs.
var linuxes = []string{"AlmaLinux", "Alpine", "Debian", "Mageia", "Red Hat", "Rocky Linux", "SUSE", "Ubuntu", "openEuler", "openSUSE", "Photon OS"}

func ofSystem(ecosystem string) bool {
	name, _, _ := strings.Cut(ecosystem, ":")
	return slices.Contains(linuxes, name)
}

// readOSVScanner reads https://google.github.io/osv-scanner/output/#json.
func readOSVScanner(text []byte, f *Findings) error {
	var doc struct {
		Results []struct {
			Packages []struct {
				Package         struct{ Name, Version, Ecosystem string }
				Vulnerabilities []struct {
					ID                         string
					Aliases, Upstream, Related []string
				}
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return jsonError(text, err)
	}
	f.Tool = "osv-scanner"
	for _, r := range doc.Results {
		for _, p := range r.Packages {
			for _, v := range p.Vulnerabilities {
				switch {
				case !ofSystem(p.Package.Ecosystem):
					f.other(p.Package.Ecosystem)
					continue
				case p.Package.Name == "" || v.ID == "":
					return errors.New("a finding names no package or no flaw")
				}
				f.Claims = append(f.Claims, reconcile.Claim{
					Package: p.Package.Name, Version: p.Package.Version, Names: slices.Concat([]string{v.ID}, v.Aliases, v.Upstream, v.Related),
				})
			}
		}
	}
	return nil
}

// sarif is https://docs.oasis-open.org/sarif/sarif/v2.1.0, as far as it is read.
type sarif struct {
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name, Version, SemanticVersion string
				Rules                          []sarifRule
			}
		}
		Invocations []struct{ EndTimeUTC time.Time }
		Results     []sarifResult
	}
}

type sarifRule struct {
	ID            string
	Name          string
	DeprecatedIDs []string
}

type sarifResult struct {
	RuleID    string
	RuleIndex *int
	Message   struct{ Text string }
}

func readSARIF(text []byte, f *Findings) error {
	var doc sarif
	if err := json.Unmarshal(text, &doc); err != nil {
		return jsonError(text, err)
	}
	if doc.Version != "2.1.0" {
		return fmt.Errorf("version %q: 2.1.0 is read", doc.Version)
	}
	for _, run := range doc.Runs {
		d := run.Tool.Driver
		f.Tool = strings.TrimSpace(d.Name + " " + cmp.Or(d.SemanticVersion, d.Version))
		for _, i := range run.Invocations {
			f.Made = i.EndTimeUTC
		}
		for n, r := range run.Results {
			var rule sarifRule
			if r.RuleIndex != nil && *r.RuleIndex >= 0 && *r.RuleIndex < len(d.Rules) {
				rule = d.Rules[*r.RuleIndex]
			}
			f.sarif(n+1, r, rule)
		}
	}
	if len(f.Claims) == 0 && len(f.Bad) > 0 {
		return fmt.Errorf("none of its %d results names a package in a way that is known: SARIF has no place for it; take the tool's own JSON. The first: %w", len(f.Bad), f.Bad[0])
	}
	return nil
}

// What tools write into a result's message, since SARIF has no place for a package.
var (
	trivyText   = regexp.MustCompile(`^Package: (\S+)\nInstalled Version: (\S*)\nVulnerability (\S+)\n(?:Severity: .*\n)?Fixed Version: ?(\S*)`)
	scannerText = regexp.MustCompile(`^Package '(\S+)@([^'@]*)' is vulnerable to '(\S+)'`)
	grypeText   = regexp.MustCompile(`vulnerability in (\S+) package: ([^\s,]+), version (\S+) was found`)
	cveInText   = regexp.MustCompile(`CVE-[0-9]{4}-[0-9]{4,19}|GHSA(?:-[0-9a-z]{4}){3}`)
)

func (f *Findings) sarif(n int, r sarifResult, rule sarifRule) {
	names := append([]string{}, rule.DeprecatedIDs...)
	own := cmp.Or(r.RuleID, rule.ID)
	switch {
	case trivyText.MatchString(r.Message.Text):
		m := trivyText.FindStringSubmatch(r.Message.Text)
		if rule.Name != "" && rule.Name != "OsPackageVulnerability" {
			f.other(rule.Name)
			return
		}
		f.Claims = append(f.Claims, reconcile.Claim{Package: m[1], Version: m[2], Names: append([]string{m[3]}, names...), Fixed: m[4], Unfixed: m[4] == ""})
	case scannerText.MatchString(r.Message.Text):
		m := scannerText.FindStringSubmatch(r.Message.Text)
		f.Claims = append(f.Claims, reconcile.Claim{Package: m[1], Version: m[2], Names: append([]string{m[3]}, names...)})
	case grypeText.MatchString(r.Message.Text):
		m := grypeText.FindStringSubmatch(r.Message.Text)
		if m[1] != "deb" && m[1] != "rpm" {
			f.other(m[1])
			return
		}
		f.Claims = append(f.Claims, reconcile.Claim{Package: m[2], Version: m[3], Names: append([]string{cmp.Or(cveInText.FindString(own), own)}, names...)})
	default:
		f.Bad = append(f.Bad, Bad{Line: n, Why: fmt.Sprintf("result %d (%.60s): %.80q names no package that is known", n, own, r.Message.Text)})
	}
}

// findingHeadings are what columns of a table of findings are called, by field.
var findingHeadings = map[string][]string{
	"host":     {"hostname", "host name", "asset", "asset name", "machine", "computer", "server", "dns name", "fqdn", "ip", "ip address"},
	"package":  {"package name", "pkg", "component", "software", "product", "affected package"},
	"version":  {"installed version", "installed", "current version", "package version"},
	"flaw":     {"cve", "cves", "cve id", "cve ids", "vulnerability", "vulnerability id", "id"},
	"advisory": {"advisory id", "advisories", "vendor advisory", "bulletin", "kb", "plugin advisory", "alias", "aliases"},
	"fixed":    {"fixed version", "fixed in", "fix version", "fix", "remediated version"},
}

func readFindingsTable(in io.Reader, o CMDBOptions) (Findings, error) {
	t, err := readTable(in, o.Encoding)
	if err != nil {
		return Findings{}, err
	}
	f := Findings{Format: "table", Bad: t.bad}
	several := func(field string) bool { return field == "flaw" || field == "advisory" }
	cols, err := columns(t.headings, o.Map, findingHeadings, several)
	if err != nil {
		return Findings{}, err
	}
	heading := func(field string) bool {
		return slices.ContainsFunc(cols, func(c Column) bool { return c.Field == field })
	}
	if !heading("package") || !heading("flaw") && !heading("advisory") {
		return Findings{}, fmt.Errorf("line 1: want a column for the package, and one for the flaw or the advisory; there are %s: say which they are, such as --map %q", strings.Join(t.headings, ", "), t.headings[0]+"=package")
	}
	for _, r := range t.rows {
		var c reconcile.Claim
		for i, col := range cols {
			switch v := r.cells[i]; col.Field {
			case "host":
				c.Host = v
			case "package":
				c.Package = v
			case "version":
				c.Version = v
			case "fixed":
				c.Fixed = v
			case "flaw", "advisory":
				c.Names = append(c.Names, strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(",;| \n\t", r) })...)
			}
		}
		if c.Package == "" || len(c.Names) == 0 {
			f.Bad = append(f.Bad, Bad{Line: r.line, Why: "it names no package, or no flaw"})
			continue
		}
		f.Claims = append(f.Claims, c)
	}
	return f, nil
}
