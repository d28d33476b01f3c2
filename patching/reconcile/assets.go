package reconcile

import (
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Row is a machine as a list describes it. What the list does not say is empty, and says
// nothing: it never clears what we know.
type Row struct {
	// Line is where it stands in the file.
	Line int
	patching.Asset
}

// Verdict is what became of a row.
type Verdict string

// The verdicts.
const (
	Same      Verdict = "same"
	Differs   Verdict = "differs"
	OnlyThey  Verdict = "only they"
	Ambiguous Verdict = "ambiguous"
	Duplicate Verdict = "duplicate"
)

// Difference is a field of which a list says something else than we do.
type Difference struct {
	Field        Field
	Theirs, Ours []string
	// Taken: theirs will count. What a machine reports itself stays, see [Field].
	Taken bool
}

// Judged is a row with what it means.
type Judged struct {
	Row
	Verdict Verdict
	// Key is by what the machine was recognised, Match the asset that it is; of a row that
	// nobody has, the asset that it would become. Empty where that cannot be told.
	Key   Key
	Match patching.AssetID
	// Unmanaged: no agent is on it, as far as we know.
	Unmanaged   bool
	Differences []Difference
	// Candidates are those among which nobody can choose; of a duplicate the lines
	// before it that are the same machine.
	Candidates []patching.AssetID
	Earlier    int
	// Why says what else is to know, in sentences.
	Why []string
}

// Assets is how a list of assets and ours compare.
type Assets struct {
	Rows []Judged
	// OnlyWe are known to us and not in the list.
	OnlyWe []patching.Asset
	// Changes are the assets as they will be if the list is taken: those that change, and
	// those that become known.
	Changes []patching.Asset
}

// Count counts rows by verdict.
func (a Assets) Count(v Verdict) (n int) {
	for _, r := range a.Rows {
		if r.Verdict == v {
			n++
		}
	}
	return n
}

// CompareAssets holds the rows of a list against the assets that we know, in the order of
// the rows.
func CompareAssets(rows []Row, known []patching.Asset) Assets {
	ours, theirs := newIndex(), newIndex()
	ids := map[patching.AssetID]bool{}
	for i := range known {
		ours.add(&known[i])
		ids[known[i].ID] = true
	}
	out := Assets{Rows: make([]Judged, 0, len(rows))}
	taken := map[int]int{}  // places of our assets, with the line that is one of them
	named := map[int]bool{} // those that a line is or may be about
	lines := make([]int, 0, len(rows))
	for i := range rows {
		j := Judged{Row: rows[i]}
		row := &rows[i].Asset
		if f := theirs.find(row); len(f.at) > 0 {
			j.Verdict, j.Key, j.Earlier = Duplicate, f.key, lines[f.at[0]]
			out.Rows = append(out.Rows, j)
			continue
		}
		theirs.add(row)
		lines = append(lines, rows[i].Line)
		f := ours.enrolledFirst(ours.find(row), &j)
		j.Key = f.key
		for _, s := range f.spared {
			j.Why = append(j.Why, s+": taken for another machine.")
		}
		switch {
		case len(f.at) > 1:
			j.Verdict = Ambiguous
			for _, at := range f.at {
				j.Candidates = append(j.Candidates, ours.all[at].ID)
				named[at] = true
			}
		case len(f.at) == 1:
			at := f.at[0]
			if line, twice := taken[at]; twice {
				j.Verdict, j.Earlier, j.Match = Duplicate, line, ours.all[at].ID
				break
			}
			taken[at], named[at] = j.Line, true
			out.matched(&j, ours.all[f.at[0]])
		default:
			out.unknown(&j, ids)
		}
		out.Rows = append(out.Rows, j)
	}
	for i := range known {
		if !named[i] {
			out.OnlyWe = append(out.OnlyWe, known[i])
		}
	}
	return out
}

// enrolledFirst chooses the only one that has an agent among several of which nothing
// else tells which: the others are what an earlier list made of the machine.
func (x *index) enrolledFirst(f found, j *Judged) found {
	if len(f.at) < 2 {
		return f
	}
	var with []int
	var without []string
	for _, at := range f.at {
		if a := x.all[at]; a.Device != "" {
			with = append(with, at)
		} else {
			without = append(without, string(a.ID))
		}
	}
	if len(with) != 1 {
		return f
	}
	j.Why = append(j.Why, fmt.Sprintf("%s has the same %s and no agent: an earlier list has put it there.", strings.Join(without, ", "), f.key))
	f.at = with
	return f
}

func (a *Assets) matched(j *Judged, known *patching.Asset) {
	j.Match, j.Unmanaged, j.Verdict = known.ID, known.Device == "", Same
	changed := *known
	taken := false
	for _, f := range fields {
		d, differs := f.compare(&j.Asset, known)
		if !differs {
			continue
		}
		j.Verdict = Differs
		j.Differences = append(j.Differences, d)
		if d.Taken {
			f.set(&changed, d.Theirs)
			taken = true
		}
	}
	if taken {
		a.Changes = append(a.Changes, changed)
	}
}

// compare says whether a list says something else of a field. Of a machine that reports
// itself the system's name is left out: lists write it in a hundred ways.
func (f field) compare(row, a *patching.Asset) (Difference, bool) {
	theirs, ours := f.get(row), f.get(a)
	reports := f.reported && !a.Inventoried.IsZero()
	switch {
	case len(theirs) == 0, f.name == OS && reports:
		return Difference{}, false
	case f.within(theirs, ours) && (reports || f.within(ours, theirs)):
		return Difference{}, false
	}
	return Difference{Field: f.name, Theirs: theirs, Ours: ours, Taken: !reports}, true
}

func (a *Assets) unknown(j *Judged, ids map[patching.AssetID]bool) {
	j.Match = idOf(&j.Asset)
	if j.Match == "" { // a serial such as "N/A", and nothing else
		j.Verdict = Ambiguous
		j.Why = append(j.Why, "Nothing that it says tells machines apart.")
		return
	}
	j.Verdict, j.Unmanaged = OnlyThey, true
	if ids[j.Match] { // the id is taken by what a stronger key speaks against
		for n := 2; ids[j.Match]; n++ {
			j.Match = patching.AssetID(fmt.Sprintf("%s-%d", idOf(&j.Asset), n))
		}
	}
	ids[j.Match] = true
	becomes := j.Asset
	becomes.ID = j.Match
	if becomes.Site == "" {
		becomes.Site = patching.Roaming
	}
	if becomes.Exposure == "" {
		becomes.Exposure = patching.ExposureUnknown
	}
	if becomes.Criticality == "" {
		becomes.Criticality = patching.CriticalityUnknown
	}
	if becomes.Owner == "" {
		j.Why = append(j.Why, "No owner is named.")
	}
	a.Changes = append(a.Changes, becomes)
}

// Digest addresses what taking the list would change: it is the same as long as that is.
func (a Assets) Digest() patching.Digest {
	var b strings.Builder
	b.WriteString("assets v1\n")
	for _, r := range a.Rows {
		switch r.Verdict {
		case OnlyThey:
			fmt.Fprintf(&b, "new\t%s\t%q\n", r.Match, said(&r.Asset))
		case Differs:
			for _, d := range r.Differences {
				if d.Taken {
					fmt.Fprintf(&b, "set\t%s\t%s\t%q\t%q\n", r.Match, d.Field, d.Ours, d.Theirs)
				}
			}
		case Same, Ambiguous, Duplicate: // change nothing
		}
	}
	return patching.DigestOf([]byte(b.String()))
}

// said is all that a row says.
func said(a *patching.Asset) (all []string) {
	for _, f := range fields {
		if v := f.get(a); len(v) > 0 {
			all = append(all, string(f.name)+"="+strings.Join(v, ","))
		}
	}
	return all
}
