package advisories

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// changelog are the changelogs of Debian's packages, as deb-changelog(5) describes them:
// what maintainers say that each version of a source package changed, the newest first. An
// entry that says it fixes flaws is an advisory: versions before it have them. See
// docs/advisories.md for what that cannot tell.
//
// It counts for the release that the newest entry was uploaded to, for that is whose
// package the whole history led to; an entry of another release's in between counts for
// that one too. A changelog that was last uploaded to unstable is that of whichever
// release carries it, and counts for all.
var changelog = Feed{
	Name: "changelog", Title: "Debian changelogs",
	Mine: func(h Head) bool {
		line := h.Line()
		return changelogHead.MatchString(line) && strings.Contains(line, "urgency=")
	},
	Read: func(doc Document, into *Content) error { return readChangelog(doc, into, "") },
}

// ReadChangelog reads one of a package that a release of Debian carries ("12"; empty: not
// known). It counts for that release, whatever it says itself: packages come into a release
// as they are, and maintainers write down the wrong suite. What does not look like a
// changelog is [ErrUnknown]. Name is for errors.
func ReadChangelog(name string, text []byte, release string) ([]patching.Advisory, error) {
	head := Head{Name: name, Start: text[:min(len(text), headBytes)]}
	if !changelog.Mine(head) {
		return nil, fmt.Errorf("%s: %w", name, ErrUnknown)
	}
	var c Content
	if err := readChangelog(Document{head, bytes.NewReader(text)}, &c, release); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c.Advisories, nil
}

// Bounds of a changelog: one entry of Linux has had 200 kB, and the oldest packages have
// some 500 entries.
const (
	maxChange  = 8 << 20
	maxChanges = 20_000
)

var (
	changelogHead = regexp.MustCompile(`^([0-9A-Za-z][-+.0-9A-Za-z]*) \(([^() \t]+)\)((?:[ \t]+[-+.0-9A-Za-z]+)+);(.*)$`)
	// Maintainers forget one of the two spaces before the date.
	changelogEnd = regexp.MustCompile(`^ -- .*<.*>[ \t]*(.*)$`)
	// What may stand between entries, and what was written before there was this format:
	// dpkg passes over the first, and does not read on after the second.
	changelogAside = regexp.MustCompile(`^(?:#|/\*.*\*/$|vim:|\$[A-Za-z]+:.*\$$)`)
	changelogOld   = regexp.MustCompile(`(?i)^(?:(?:;;\s*)?Local variables:|Old Changelog:$|Changes from version .* to |Changes for \S+:?$` +
		`|\w+\s+\w+\s+[0-9]{1,2},?\s+[0-9:]+.*(?:<.*>|\(.*\))$|[0-9A-Za-z][-+.0-9A-Za-z]* \([^() \t]+\);?$|[-+.\w]+[- ]\S+ Debian \S+|(?:[0-9]+:)?[0-9A-Za-z][-+.~0-9A-Za-z]*:?$)`)
	// A rebuild ("+b1") has the source of what was rebuilt.
	changelogRebuild = regexp.MustCompile(`\+b[0-9]+$`)
	changelogUpdate  = regexp.MustCompile(`[+~]deb([0-9]+)u[0-9]+$`)
)

// debianReleases are Debian's, by what their suites are called before the first dash.
var debianReleases = map[string]string{
	"squeeze": "6", "wheezy": "7", "jessie": "8", "stretch": "9", "buster": "10",
	"bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14", "duke": "15",
}

// otherSuites are those that say nothing of a release: what they mean moves.
var otherSuites = []string{"unstable", "sid", "experimental", "testing", "stable", "oldstable", "UNRELEASED"}

// DebianRelease is the release of Debian that a suite belongs to ("bookworm-security":
// "12"); empty if the suite's name does not tell. One of backports tells nothing: their
// versions go by those of the release after it.
func DebianRelease(suite string) string {
	name, rest, _ := strings.Cut(suite, "-")
	if strings.HasPrefix(rest, "backports") {
		return ""
	}
	return debianReleases[name]
}

// change is an entry.
type change struct {
	source, version string
	suites          []string
	at              time.Time // zero: the date is missing or wrong
	rebuild         bool
	said            sayings
}

// release is the one that the entry was uploaded to; empty: it does not tell.
func (c *change) release() string {
	for _, suite := range c.suites {
		if r := DebianRelease(suite); r != "" {
			return r
		}
	}
	if found := changelogUpdate.FindStringSubmatch(c.version); found != nil {
		return found[1]
	}
	return ""
}

func (c *change) backport() bool {
	return strings.Contains(c.version, "~bpo") || slices.ContainsFunc(c.suites, func(s string) bool { return strings.Contains(s, "-backports") })
}

func readChangelog(doc Document, into *Content, carrier string) error {
	var r changelogReader
	if err := eachLine(doc, r.line); err != nil {
		return err
	}
	if r.open {
		return fmt.Errorf("the entry of %s %s has no end: it was cut off", r.last().source, r.last().version)
	}
	newest := &r.changes[0]
	if err := newest.debian(); err != nil {
		return err
	}
	into.Edition(newest.version, newest.at)
	// Whoever has a release's own version has the fixes of its own updates: a
	// backport's history, which is another release's, says nothing of that.
	if carrier == "" && newest.backport() {
		return nil
	}
	fixed, first := fixedBy(r.changes), firstWith(r.changes)
	for i := range r.changes {
		if c := &r.changes[i]; len(fixed[i]) > 0 {
			a := c.advisory(fixed[i], first[i], cmp.Or(carrier, newest.release()))
			// No entry is younger than the one above all: such a date is a slip of the pen.
			if !newest.at.IsZero() && c.at.After(newest.at) {
				a.Published = time.Time{}
			}
			into.Advisories = append(into.Advisories, a)
		}
	}
	return nil
}

// firstWith is, by entry, the lowest version that has what the entry changed: its own, or
// one above it. What a release takes over from unstable is rebuilt there under a lower
// version: 2.9.14-1.3~deb12u1 stands above 2.9.14-1.3.
func firstWith(newestFirst []change) []string {
	lowest, first := map[string]string{}, make([]string, len(newestFirst))
	for i, c := range newestFirst {
		v, known := lowest[c.source]
		if !known || !c.rebuild && version.Debian.Older(c.version, v) {
			v = c.version
		}
		lowest[c.source], first[i] = v, v
	}
	return first
}

// debian refuses a package of another distribution: versions there go their own ways.
func (c *change) debian() error {
	for _, suite := range c.suites {
		name, _, _ := strings.Cut(suite, "-")
		if debianReleases[name] != "" || slices.Contains(otherSuites, name) {
			return nil
		}
	}
	return fmt.Errorf("its newest entry, %s %s, is for %.80q: want a suite of Debian's, such as bookworm-security or unstable", c.source, c.version, strings.Join(c.suites, " "))
}

// advisory is what an entry says that fixes flaws. It is named as Debian names the files
// of a version (openssl_3.0.17-1~deb12u2.dsc), with the epoch: neither part has a "_".
// First is the first version that has it, in the release that the changelog as a whole is
// of; empty: any.
func (c *change) advisory(cves []string, first, release string) patching.Advisory {
	a := patching.Advisory{
		ID: patching.AdvisoryID(c.source + "_" + c.version), Feed: "changelog", Kind: "security",
		Title: c.source + " " + c.version, Published: c.at,
	}
	a.SetCVEs(cves...)
	affects := func(release, fixed string) {
		a.Affected = append(a.Affected, patching.Affected{
			Platform: patching.Platform{ID: "debian", Release: release}, Package: c.source, Source: true,
			Ranges: []patching.VersionRange{{Fixed: fixed}},
		})
	}
	affects(release, first)
	if own := c.release(); release != "" && own != "" && own != release && !c.backport() {
		affects(own, c.version)
	}
	return a
}

// fixedBy lists, by entry, the flaws that it fixes. A later entry that names one again
// fixes it only if it says that the first fix was not all: new upstream versions list
// flaws that Debian had fixed before. A fix that was taken back counts where it comes
// again, and nowhere if it does not.
func fixedBy(newestFirst []change) [][]string {
	fixed := make([][]string, len(newestFirst))
	by := map[string][]int{}
	for i, c := range slices.Backward(newestFirst) {
		for _, cve := range c.said.takenBack {
			for _, at := range by[cve] {
				fixed[at] = slices.DeleteFunc(fixed[at], func(o string) bool { return o == cve })
			}
			delete(by, cve)
		}
		// The source of a rebuild is that of the version before it, and counts as that.
		if c.rebuild {
			continue
		}
		for _, cve := range c.said.fixed {
			if len(by[cve]) == 0 || slices.Contains(c.said.completed, cve) {
				fixed[i], by[cve] = append(fixed[i], cve), append(by[cve], i)
			}
		}
	}
	return fixed
}

type changelogReader struct {
	changes []change
	// open: the last one has had no trailer yet; its text so far is in items.
	open  bool
	items []changeItem
	size  int
	// over: what follows was written in the ways of the time before this format.
	over bool
}

func (r *changelogReader) last() *change { return &r.changes[len(r.changes)-1] }

func (r *changelogReader) line(_ int, line []byte) error {
	text := string(line)
	head := changelogHead.FindStringSubmatch(text)
	switch {
	case r.over:
		return nil
	case head != nil && r.open:
		return fmt.Errorf("%.80q begins where the entry before it has no end (\" -- name <address>  date\")", text)
	case head != nil:
		return r.begin(head)
	case r.open:
		return r.within(text)
	case changelogAside.MatchString(text):
		return nil
	case changelogOld.MatchString(text):
		r.over = true
		return nil
	}
	return fmt.Errorf("%.80q stands where an entry should begin: want \"source (version) suite; urgency=…\"", text)
}

func (r *changelogReader) begin(head []string) error {
	if len(r.changes) == maxChanges {
		return fmt.Errorf("it has more than %d entries", maxChanges)
	}
	c := change{
		source: head[1], version: head[2], suites: strings.Fields(head[3]),
		rebuild: changelogRebuild.MatchString(head[2]) || strings.Contains(head[4], "binary-only=yes"),
	}
	if err := patching.ValidatePackage(c.source, "all", c.version); err != nil {
		return err
	}
	r.changes, r.open, r.items, r.size = append(r.changes, c), true, nil, 0
	return nil
}

func (r *changelogReader) within(text string) error {
	if end := changelogEnd.FindStringSubmatch(text); end != nil {
		c := r.last()
		// A date that cannot be read is not known: many are older than any tool.
		if at, err := mail.ParseDate(end[1]); err == nil {
			c.at = at.UTC()
		}
		c.said = sayingsOf(r.items)
		r.open, r.items = false, nil
		return nil
	}
	if r.size += len(text); r.size > maxChange {
		return errors.New("the entry is too long for one")
	}
	r.items = addChange(r.items, text)
	return nil
}
