package advisories

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/patchcycle/patchcycle/internal/plainyaml"
	"github.com/patchcycle/patchcycle/patching"
)

// hand are advisories that people enter: what a vendor says by mail, what one's own
// packages need. docs/advisories.md describes the document.
var hand = Feed{
	Name: "hand", Title: "advisories entered by hand",
	Mine: func(h Head) bool { return handStart.Match(h.text()) },
	Read: readHand,
}

// handStart: others use the word further below.
var handStart = regexp.MustCompile(`^(?:\s*(?:#.*|---\s*)?\n)*advisories:`)

type handEntry struct {
	ID          plainyaml.Word   `yaml:"id"`
	Title       plainyaml.Word   `yaml:"title"`
	Kind        plainyaml.Word   `yaml:"kind"`
	Severity    plainyaml.Word   `yaml:"severity"`
	CVEs        []plainyaml.Word `yaml:"cves"`
	Published   plainyaml.Word   `yaml:"published"`
	Platform    plainyaml.Word   `yaml:"platform"`
	Package     plainyaml.Word   `yaml:"package"`
	Source      plainyaml.Word   `yaml:"source"`
	Fixed       plainyaml.Word   `yaml:"fixed"`
	KnownIssues []plainyaml.Word `yaml:"known_issues"`
	Reboot      plainyaml.Word   `yaml:"reboot"`
	URL         plainyaml.Word   `yaml:"url"`
}

var (
	handID       = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._+~-]{0,63}$`)
	handSeverity = regexp.MustCompile(`^[a-z][a-z-]{0,31}$`)
	handPlatform = regexp.MustCompile(`^([a-z][a-z0-9._-]{0,31})(?: +(\S.{0,99}))?$`)
	handURL      = regexp.MustCompile(`^https?://[^\s()]{1,1000}$`)
)

// ReadHand reads a document of advisories that people enter. Its error has a line for
// each thing that is wrong.
func ReadHand(text []byte) ([]patching.Advisory, error) {
	if !hand.Mine(Head{Start: text}) {
		return nil, errors.New("it is no list of advisories: begin with \"advisories:\" (docs/advisories.md has an example)")
	}
	if err := visible(string(text)); err != nil {
		return nil, err
	}
	var c Content
	if err := readHand(Document{Reader: bytes.NewReader(text)}, &c); err != nil {
		return nil, err
	}
	return c.Advisories, nil
}

// visible refuses letters that command a terminal or hide what stands there, in comments
// too: the document is shown to others as it was sent.
func visible(text string) error {
	n := 0
	for line := range strings.Lines(text) {
		n++
		for column, r := range []rune(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")) {
			if r != '\t' && patching.Unseen(r) {
				return fmt.Errorf("line %d, column %d: %U is not to be seen: leave it out", n, column+1, r)
			}
		}
	}
	return nil
}

func readHand(doc Document, into *Content) error {
	var listed struct {
		Advisories []handEntry `yaml:"advisories"`
	}
	if err := plainyaml.Decode(doc, &listed, yaml.Strict()); err != nil {
		return fmt.Errorf("%w (docs/advisories.md has an example)", err)
	}
	if len(listed.Advisories) == 0 {
		return errors.New("no advisories: write a list under \"advisories:\" (docs/advisories.md has an example)")
	}
	c := handChecker{lines: map[string]int{}}
	for n, e := range listed.Advisories {
		into.Advisories = append(into.Advisories, c.advisory(n, e))
	}
	return errors.Join(c.problems...)
}

// handChecker collects what is wrong: whoever typed it mends it all at once.
type handChecker struct {
	problems []error
	lines    map[string]int // on which an ID stands
}

func (c *handChecker) add(w plainyaml.Word, field, why string) {
	c.problems = append(c.problems, fmt.Errorf("line %d: %s %.100q: %s", w.Line, field, w.Text, why))
}

// want reports a value that is there and not right, or not there and needed.
func (c *handChecker) want(ok bool, n int, e handEntry, w plainyaml.Word, field, why string) {
	switch {
	case ok:
	case w.Line == 0:
		line := cmp.Or(e.ID.Line, e.Title.Line, e.Kind.Line, e.Platform.Line)
		c.problems = append(c.problems, fmt.Errorf("line %d: advisory %d (%.64s) has no %s: %s", line, n+1, e.ID.Text, field, why))
	default:
		c.add(w, field, why)
	}
}

func (c *handChecker) advisory(n int, e handEntry) patching.Advisory {
	a := patching.Advisory{ID: patching.AdvisoryID(e.ID.Text), Feed: patching.ByHand, Kind: e.Kind.Text, Severity: e.Severity.Text, Title: e.Title.Text}
	c.want(handID.MatchString(e.ID.Text), n, e, e.ID, "id", "want 1 to 64 letters, digits and :._+~-, such as LOCAL-2026-1")
	if line := c.lines[e.ID.Text]; line > 0 {
		c.add(e.ID, "id", fmt.Sprintf("it is there already, in line %d: choose another", line))
	}
	c.lines[e.ID.Text] = e.ID.Line
	c.want(shortText(a.Title), n, e, e.Title, "title", "want a sentence of at most 500 letters on one line")
	c.want(slices.Contains([]string{"", "security", "bugfix", "enhancement"}, a.Kind), n, e, e.Kind, "kind", "want security, bugfix or enhancement")
	c.want(a.Severity == "" || handSeverity.MatchString(a.Severity), n, e, e.Severity, "severity", "want a word in small letters, such as important")
	for _, cve := range e.CVEs {
		c.want(patching.CVE(cve.Text).Valid(), n, e, cve, "cves", "want a name such as CVE-2024-3094")
		a.CVEs = append(a.CVEs, patching.CVE(cve.Text))
	}
	slices.Sort(a.CVEs)
	a.CVEs = slices.Compact(a.CVEs)
	var err error
	a.Published, err = when(e.Published.Text)
	c.want(err == nil, n, e, e.Published, "published", "want a day or a time, such as 2026-11-20 or 2026-11-20T08:00:00Z")
	for _, issue := range e.KnownIssues {
		c.want(shortText(issue.Text), n, e, issue, "known_issues", "want a sentence of at most 500 letters on one line")
		a.KnownIssues = append(a.KnownIssues, issue.Text)
	}
	a.NeedsReboot = e.Reboot.Text == "true"
	c.want(slices.Contains([]string{"", "true", "false"}, e.Reboot.Text), n, e, e.Reboot, "reboot", "want true or false")
	if e.URL.Line > 0 {
		c.want(handURL.MatchString(e.URL.Text), n, e, e.URL, "url", "want an address that begins with https:// or http://")
		a.Title += " (" + e.URL.Text + ")"
	}
	a.Affected = []patching.Affected{c.affected(n, e)}
	return a
}

func (c *handChecker) affected(n int, e handEntry) patching.Affected {
	a := patching.Affected{Package: e.Package.Text, Ranges: []patching.VersionRange{{Fixed: e.Fixed.Text}}}
	p := handPlatform.FindStringSubmatch(e.Platform.Text)
	c.want(p != nil, n, e, e.Platform, "platform", "want the ID of os-release, windows, macos or winget, and the release behind it if it is not for all: debian 12, windows Windows Server 2022")
	if p != nil {
		a.Platform = patching.Platform{ID: p[1], Release: strings.TrimSpace(p[2])}
	}
	name := e.Package
	switch {
	case e.Source.Line > 0 && e.Package.Line > 0:
		c.add(e.Source, "source", "there is a package as well: write \"package\" for one package, or \"source\" for all that is built from a source package")
		return a
	case e.Source.Line > 0:
		name, a.Package, a.Source = e.Source, e.Source.Text, true
	}
	c.want(patching.ValidatePackage(name.Text, "all", "1") == nil, n, e, name, "package", "want the package's name as its manager writes it, or the source package's as \"source\"")
	if e.Fixed.Line > 0 {
		c.want(patching.ValidatePackage("a", "all", e.Fixed.Text) == nil, n, e, e.Fixed, "fixed", "want the first version that is not affected, or leave the line out where there is none yet")
	}
	return a
}

// shortText looks at what escapes in quotes stand for, too.
func shortText(s string) bool {
	return strings.TrimSpace(s) != "" && utf8.RuneCountInString(s) <= 500 && !strings.ContainsFunc(s, patching.Unseen) &&
		!strings.ContainsRune(s, utf8.RuneError)
}
