package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// Reason is why only one of two reports a flaw, or why their fixes differ.
type Reason string

// The reasons for what only they report.
const (
	NotInstalled  Reason = "not installed"
	OtherVersion  Reason = "they saw another version"
	SetAside      Reason = "set aside"
	FixedAlready  Reason = "fixed in what is installed"
	NotAffected   Reason = "installed version not affected"
	OtherPackage  Reason = "about other packages"
	OtherRelease  Reason = "not for this release"
	NoFeed        Reason = "no feed for this system"
	WithoutFix    Reason = "no fix exists"
	NoAdvisory    Reason = "no advisory in our feeds"
	OtherFix      Reason = "another fix"
	EarlierReport Reason = "published after their report"
	NoData        Reason = "they report nothing for the package"
	PartOfOne     Reason = "they name the advisory, not the flaw"
	Entitled      Reason = "the fix takes an entitlement"
	Untold        Reason = "not told"
)

// onlyThey says why we do not report it: what says most comes first.
func (c *comparison) onlyThey(f *Finding, one Claim, of []patching.Package) {
	say := func(r Reason, format string, args ...any) { f.Reason, f.Why = r, fmt.Sprintf(format, args...) }
	if len(of) == 0 {
		say(NotInstalled, "The inventory has no package %s, and none that was built from it.", one.Package)
		return
	}
	for _, p := range of {
		if all := c.asides[pair{p.Name, f.Flaw}]; len(all) > 0 {
			f.answer(all)
			f.OurFixed = ""
			say(SetAside, "%s %s", f.Advisories[0], all[0].Aside)
			return
		}
	}
	if one.Version != "" && c.Machine.ID != "windows" && !slices.ContainsFunc(of, func(p patching.Package) bool { return saw(one.Version, p) }) {
		say(OtherVersion, "They saw %s, and %s is installed: the two looked at different times, or at different machines.", one.Version, of[0].Version)
		return
	}
	standing, by, what := c.Advisories.Stands(c.Machine, of, f.Flaw)
	if by != nil {
		f.Advisories = []patching.AdvisoryID{by.ID}
	}
	system := strings.TrimSpace(c.Machine.ID + " " + c.Machine.Release)
	switch standing {
	case assess.PastFix:
		say(FixedAlready, "%s fixed it in %s.", by.ID, what)
	case assess.OtherVersions:
		say(NotAffected, "%s is about other versions than %s.", by.ID, what)
	case assess.OtherPackage:
		say(OtherPackage, "%s is about %.200s on this release.", by.ID, what)
	case assess.OtherRelease:
		say(OtherRelease, "%s is about it on %s, and no advisory says that %s has it.", by.ID, what, system)
	case assess.Unnamed:
		switch {
		case !c.Advisories.Covers(c.Machine.Platform):
			say(NoFeed, "No feed that was read is about %s.", system)
		case one.Unfixed:
			say(WithoutFix, "They say that no fix exists. No advisory of ours names the flaw, and most publishers write one when they have a fix.")
		default:
			say(NoAdvisory, "No feed that was read names it: one may be missing, or too old.")
		}
	}
}

// saw reports whether the version that a scanner names is the installed one, with or
// without its epoch, or that of its source.
func saw(version string, p patching.Package) bool {
	bare := func(v string) string {
		if epoch, rest, ok := strings.Cut(v, ":"); ok && strings.Trim(epoch, "0123456789") == "" {
			return rest
		}
		return v
	}
	return bare(version) == bare(p.Version) || p.SourceVersion != "" && bare(version) == bare(p.SourceVersion)
}

// agreeOnFix notes where both report a flaw and the fixes differ.
func (c *comparison) agreeOnFix(f *Finding, one Claim) {
	switch {
	case one.Fixed != "" && f.OurFixed == "":
		f.Reason, f.Why = OtherFix, fmt.Sprintf("They know a fix, %s, and %s has none.", one.Fixed, f.Advisories[0])
	case one.Unfixed && f.OurFixed != "":
		f.Reason, f.Why = OtherFix, fmt.Sprintf("They know no fix, and %s has one: %s.", f.Advisories[0], f.OurFixed)
	}
}

// onlyWe says why they do not report it.
func (c *comparison) onlyWe(k pair, matches []assess.Match) Finding {
	f := Finding{Package: k.name, Flaw: k.flaw, Party: WeOnly}
	f.answer(matches)
	m := matches[0]
	say := func(r Reason, format string, args ...any) { f.Reason, f.Why = r, fmt.Sprintf(format, args...) }
	switch {
	case !c.made.IsZero() && m.Advisory.Published.After(c.made):
		say(EarlierReport, "%s was published on %s, and their report is of %s.", m.Advisory.ID, m.Advisory.Published.Format(time.DateOnly), c.made.Format(time.DateOnly))
	case c.named[string(m.Advisory.ID)] && c.claimed[k.name]:
		say(PartOfOne, "They name %s for the package, and not this flaw of it.", m.Advisory.ID)
	case f.OurFixed == "" && !c.tellsUnfixed:
		say(WithoutFix, "No fix exists yet, and their report has none of that kind.")
	case m.Entitlement != "":
		say(Entitled, "The fix takes %s; they may count it as fixed elsewhere, or leave it out.", m.Entitlement)
	case !c.claimed[k.name]:
		say(NoData, "They report nothing at all for the package: they may have no data for it, or not have seen it.")
	default:
		say(Untold, "They report other flaws of the package. Nothing tells why not this one.")
	}
	return f
}
