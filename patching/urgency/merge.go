package urgency

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Weigh is [Merge] for each CVE of an advisory, and [Join] of what comes out. Other
// CVEs among the risks are not looked at.
func Weigh(a patching.Advisory, risks []patching.Risk, catalogue time.Time) Flaw {
	by := map[patching.CVE][]patching.Risk{}
	for _, r := range risks {
		by[r.CVE] = append(by[r.CVE], r)
	}
	flaws := make([]Flaw, 0, len(a.CVEs))
	for _, c := range a.CVEs {
		flaws = append(flaws, Merge(c, by[c], catalogue))
	}
	return Join(flaws)
}

// Merge makes one of what several feeds say of a CVE. The order of the risks does
// not matter. Where feeds differ:
//
//   - KEV: the catalogue itself (feed "kev") before those that repeat it, else the
//     earliest day. With a catalogue that was read (at the time given, zero: never)
//     a CVE that nobody lists is known not to be in it.
//   - EPSS: the newest score. With the same date, the higher.
//   - CVSS: version 4.0 before 3.1, 3.0 and 2.0; within a version the highest base
//     score, whoever gave it: of two opinions, vendor's and NVD's, the milder one
//     must not hide the other.
//   - SSVC: point by point the newest that says anything, and of equally new ones
//     the graver.
//   - Exploitation is active where a publisher says that the flaw is being used,
//     whatever SSVC says.
func Merge(cve patching.CVE, risks []patching.Risk, catalogue time.Time) Flaw {
	f := Flaw{CVE: cve}
	if !catalogue.IsZero() {
		f.KEV = Fact[bool]{Known: true, Origin: Origin{Feed: "kev", At: catalogue, CVE: cve}}
	}
	var listed []patching.Exploited
	var scores []patching.CVSS
	for _, r := range risks {
		f.Rejected = f.Rejected || r.Rejected
		scores = append(scores, r.CVSS...)
		if r.Exploited != nil {
			listed = append(listed, *r.Exploited)
		}
		if r.EPSS != nil {
			f.score(*r.EPSS)
		}
		if s := r.SSVC; s != nil {
			from := Origin{Feed: s.Feed, At: s.At, CVE: cve}
			newer(&f.Exploitation, exploitation, s.Exploitation, from)
			newer(&f.Automatable, automatable, s.Automatable, from)
			newer(&f.TechnicalImpact, technicalImpact, s.TechnicalImpact, from)
		}
	}
	f.saidExploited(cve, risks)
	f.list(listed, catalogue)
	f.CVSS = best(cve, scores, "4.0", "3.1", "3.0", "2.0")
	f.CVSSv3 = best(cve, scores, "3.1", "3.0")
	if !f.CVSSv3.Known {
		f.CVSSv3 = f.CVSS
	}
	f.Rejected = f.Rejected && !f.KEV.Value
	return f
}

// saidExploited takes the word of publishers who say that a flaw is being used. Nobody
// knows better that it is not: an older or newer "none" of SSVC does not count against it.
func (f *Flaw) saidExploited(cve patching.CVE, risks []patching.Risk) {
	const active = "active"
	var by []string
	for _, r := range risks {
		by = append(by, r.SaidExploited...)
	}
	if len(by) > 0 && f.Exploitation.Value != active {
		f.Exploitation = Fact[string]{Value: active, Known: true, Origin: Origin{Feed: slices.Min(by), CVE: cve}}
	}
}

func (f *Flaw) score(e patching.EPSS) {
	if f.EPSS.Known && cmp.Or(e.Date.Compare(f.EPSS.At), cmp.Compare(e.Score, f.EPSS.Value),
		strings.Compare(f.EPSS.Feed, e.Feed), strings.Compare(f.Model, e.Model)) <= 0 {
		return
	}
	f.EPSS = Fact[float64]{Value: e.Score, Known: true, Origin: Origin{Feed: e.Feed, At: e.Date, CVE: f.CVE}}
	f.Model = e.Model
}

// list takes the entry of KEV that counts.
func (f *Flaw) list(entries []patching.Exploited, catalogue time.Time) {
	if len(entries) == 0 {
		return
	}
	e := slices.MinFunc(entries, func(a, b patching.Exploited) int {
		return cmp.Or(later(a.Feed != "kev", b.Feed != "kev"), later(a.Added.IsZero(), b.Added.IsZero()),
			a.Added.Compare(b.Added), strings.Compare(a.Feed, b.Feed))
	})
	from := Origin{Feed: e.Feed, At: catalogue, CVE: f.CVE}
	f.KEV = Fact[bool]{Value: true, Known: true, Origin: from}
	if !e.Added.IsZero() {
		f.KEVAdded = Fact[time.Time]{Value: e.Added, Known: true, Origin: from}
	}
}

func later(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}

// newer takes a word of SSVC if it is newer than the one that f has. Words that the
// point does not have are no answer.
func newer(f *Fact[string], p point, word string, from Origin) {
	if p.rank(word) < 0 {
		return
	}
	if !f.Known || cmp.Or(from.At.Compare(f.At), cmp.Compare(p.rank(word), p.rank(f.Value)),
		strings.Compare(f.Feed, from.Feed)) > 0 {
		*f = Fact[string]{Value: word, Known: true, Origin: from}
	}
}

// best returns the highest base score in the first version that has one.
func best(cve patching.CVE, scores []patching.CVSS, versions ...string) Fact[Score] {
	for _, v := range versions {
		var top Fact[Score]
		for _, s := range scores {
			if s.Version != v || top.Known && cmp.Or(cmp.Compare(s.Score, top.Value.Base),
				strings.Compare(top.Value.By, s.By), strings.Compare(top.Feed, s.Feed)) <= 0 {
				continue
			}
			top = Fact[Score]{
				Value: Score{Base: s.Score, Version: v, By: s.By}, Known: true,
				Origin: Origin{Feed: s.Feed, CVE: cve},
			}
		}
		if top.Known {
			return top
		}
	}
	return Fact[Score]{}
}

// Join makes one view of an advisory's flaws: of each fact the worst, which may be
// of different flaws. That errs on the safe side: the exploited flaw need not be the
// one that gives total control. A fact that is not known of one of them is open,
// unless it is already the worst there is. Of several entries in KEV the earliest
// day counts.
func Join(flaws []Flaw) Flaw {
	flaws = slices.DeleteFunc(slices.Clone(flaws), func(f Flaw) bool { return f.Rejected })
	var j Flaw
	byBase := func(a, b Score) int { return cmp.Compare(a.Base, b.Base) }
	j.KEV = worst(flaws, func(f Flaw) Fact[bool] { return f.KEV }, later, func(listed bool) bool { return listed })
	j.EPSS = worst(flaws, func(f Flaw) Fact[float64] { return f.EPSS }, cmp.Compare, func(float64) bool { return false })
	j.CVSS = worst(flaws, func(f Flaw) Fact[Score] { return f.CVSS }, byBase, func(s Score) bool { return s.Base >= 10 })
	j.CVSSv3 = worst(flaws, func(f Flaw) Fact[Score] { return f.CVSSv3 }, byBase, func(s Score) bool { return s.Base >= 10 })
	j.Exploitation = worst(flaws, func(f Flaw) Fact[string] { return f.Exploitation }, exploitation.compare, exploitation.worst)
	j.Automatable = worst(flaws, func(f Flaw) Fact[string] { return f.Automatable }, automatable.compare, automatable.worst)
	j.TechnicalImpact = worst(flaws, func(f Flaw) Fact[string] { return f.TechnicalImpact }, technicalImpact.compare, technicalImpact.worst)
	for _, f := range flaws {
		if f.KEVAdded.Known && (!j.KEVAdded.Known || f.KEVAdded.Value.Before(j.KEVAdded.Value)) {
			j.KEVAdded = f.KEVAdded
		}
		if j.EPSS.Known && f.CVE == j.EPSS.CVE {
			j.Model = f.Model
		}
	}
	return j
}

// worst picks the gravest known fact; of equals the first flaw's. top says that a
// value cannot be exceeded.
func worst[T any](flaws []Flaw, of func(Flaw) Fact[T], compare func(a, b T) int, top func(T) bool) Fact[T] {
	var w Fact[T]
	open := false
	for _, f := range flaws {
		g := of(f)
		open = open || g.Open || !g.Known
		if g.Known && (!w.Known || compare(g.Value, w.Value) > 0) {
			w = g
		}
	}
	w.Open = w.Known && open && !top(w.Value)
	return w
}
