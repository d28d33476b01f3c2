package assess

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Held are packages that stay as they are since people decided so, by name, each with the
// decision that holds it.
type Held map[string]urgency.Ruling

// HeldOn says what people hold on a kind of machine, all of which the same decisions take;
// asset is one of them.
//
// An exception holds every package that it, or an advisory that it covers, is about: also
// where another advisory wants it newer. Whoever made it relies on that, and an
// installation cannot be taken back as an exception can. An accepted risk gives way: there
// the patch may come for another reason.
func HeldOn(asset patching.AssetID, set patching.PackageSet, matches []Match, on patching.Decisions, now time.Time) Held {
	held := Held{}
	if len(on.Exceptions)+len(on.Reviews) == 0 {
		return held
	}
	for _, e := range on.Exceptions {
		if e.Package != "" && e.Advisory == "" && e.CVE == "" && e.InForce(now) {
			ruling := urgency.OfException(e)
			held.put(e.Package, ruling) // it may be about to come as a new package
			for _, p := range set.Packages {
				if p.Name == e.Package || p.Source == e.Package {
					held.put(p.Name, ruling)
				}
			}
		}
	}
	accepted, wanted := Held{}, map[string]bool{}
	for _, of := range ByAdvisory(matches) {
		decided := urgency.Decide(MatterOf(asset, of), nil, on, now)
		for _, f := range of {
			switch name := f.Package.Name; {
			case f.Fixed == "": // what is offered is not for it
			case !decided.Hold:
				wanted[name] = true
			case decided.By.Answer == "":
				held.put(name, *decided.By)
			default:
				accepted.put(name, *decided.By)
			}
		}
	}
	for name, ruling := range accepted {
		if _, already := held[name]; !already && !wanted[name] {
			held[name] = ruling
		}
	}
	return held
}

// put keeps the decision that holds longest.
func (h Held) put(name string, r urgency.Ruling) {
	is, already := h[name]
	if !already || r.Until.After(is.Until) || r.Until.Equal(is.Until) && r.ID < is.ID {
		h[name] = r
	}
}

// Of is the decision that holds a package. Kernels have their version in their name, and
// other packages of theirs ask for the newest: where one is held, all are.
func (h Held) Of(name string) (urgency.Ruling, bool) {
	if r, ok := h[name]; ok || !patching.IsKernel(name) {
		return r, ok
	}
	for _, other := range slices.Sorted(maps.Keys(h)) {
		if patching.IsKernel(other) {
			return h[other], true
		}
	}
	return urgency.Ruling{}, false
}

// Digest tells apart what is held; empty: nothing is.
func (h Held) Digest() patching.Digest {
	if len(h) == 0 {
		return ""
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		text.WriteString(name + "\t" + string(h[name].ID) + "\n")
	}
	return patching.DigestOf([]byte(text.String()))
}

// Exempts is the exception that lets machines go unpatched altogether, the one that holds
// longest of those that take them.
func Exempts(on patching.Decisions, now time.Time) (longest urgency.Ruling, exempt bool) {
	for _, e := range on.Exceptions {
		if e.Advisory == "" && e.CVE == "" && e.Package == "" && e.InForce(now) {
			if !exempt || e.Until.After(longest.Until) || e.Until.Equal(longest.Until) && e.ID < longest.ID {
				longest, exempt = urgency.OfException(e), true
			}
		}
	}
	return longest, exempt
}

// Hold gives what would be deployed and people hold the verdict that it has by them.
func (a Assessment) Hold(h Held) Assessment {
	if len(h) == 0 {
		return a
	}
	a.Findings = slices.Clone(a.Findings)
	for i := range a.Findings {
		f := &a.Findings[i]
		if r, held := h.Of(f.Name); held && f.Verdict == patching.VerdictDeploy {
			f.Verdict, f.Owner, f.Until = patching.VerdictHold, cmp.Or(r.Owner, string(r.By)), r.Until
			f.Why, f.By = r.Words(), &r
		}
	}
	return a
}

// HeldBy says which packages people hold that the policy would install, and by what; empty:
// none.
func (a Assessment) HeldBy() string {
	by := map[string][]string{}
	for _, f := range a.Findings {
		if f.By != nil {
			why := f.By.Short() + " (" + string(f.By.ID) + ")"
			by[why] = append(by[why], f.Name)
		}
	}
	var words []string
	for _, why := range slices.Sorted(maps.Keys(by)) {
		words = append(words, phrase.Few(by[why], 5)+": "+why)
	}
	return strings.Join(words, "; ")
}

// ByAdvisory puts matches together that are about the same advisory.
func ByAdvisory(matches []Match) map[patching.AdvisoryID][]Match {
	by := map[patching.AdvisoryID][]Match{}
	for _, f := range matches {
		by[f.Advisory.ID] = append(by[f.Advisory.ID], f)
	}
	return by
}

// MatterOf is what matches with one advisory on a machine are about, for people to have
// decided about.
func MatterOf(asset patching.AssetID, matches []Match) patching.Matter {
	m := patching.Matter{Asset: asset, Advisory: matches[0].Advisory.ID}
	for _, f := range matches {
		m.Packages = append(m.Packages, f.Package)
		m.CVEs = append(m.CVEs, f.CVEs...)
	}
	slices.Sort(m.CVEs)
	m.CVEs = slices.Compact(m.CVEs)
	return m
}
