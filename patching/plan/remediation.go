package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Remediation says which advisories a plan deals with, how urgent they are, and what
// stays: why the plan is made, for those who decide about it (G2, G4). It rests on
// feeds, and says how old they are.
type Remediation struct {
	AsOf time.Time
	// Regimes are the decision tables by which it was judged, Unknown what counted
	// where a fact was not known. Missing are tables that the policy names and the server
	// does not have.
	Regimes, Missing []string
	Unknown          urgency.Unknown
	Feeds            []FeedLine
	// Remedies are the advisories that machines have, the most urgent first, at most
	// [MostRemedies]; More is how many are not listed, which are the least urgent.
	Remedies []Remedy
	More     int
	// Cleared, Staying and Late count advisories: those that the plan clears on all
	// machines that have them, those that stay on some, and those that the plan
	// certainly clears too late on some.
	Cleared, Staying, Late int
	CVEs, Exploited        int // distinct flaws, and those of them in KEV
	// Machines were assessed. Lanes counts them by the most urgent thing that they
	// have; those that have nothing are in none. Unexposed are those of unknown exposure.
	Machines, Unexposed int
	Lanes               map[urgency.Lane]int
	Blind               []Blindness
	Ends                []Ending
	// Review are the decisions about these machines that have to be looked at again, what
	// was first in front, at most [MostReviewed]; MoreReview is how many are not listed.
	Review     []patching.AgendaItem
	MoreReview int
	// Unbacked are decisions to work around what nobody has a work-around for. Unread are
	// decisions that cannot be read, in words: they count for nothing.
	Unbacked []Unbacked
	Unread   []string
}

// MostRemedies is how many advisories are listed.
const MostRemedies = 200

// Remedy is an advisory that machines have, and what the plan does about it.
type Remedy struct {
	Advisory patching.AdvisoryID
	Feed     string
	Title    string
	Severity string
	CVEs     []patching.CVE
	// KEV, EPSS and CVSS are the worst that is known of its flaws; nil: not known.
	KEV        *bool
	EPSS, CVSS *float64
	// Deadline is the one that binds on the machines where it is the most urgent; nil:
	// no regime says anything.
	Deadline *urgency.Deadline
	// Holds is the same with the lane and the due date that hold where people have had
	// their say, on the machines where those are the most urgent; nil: nobody decided
	// anything about it. Decided are their decisions, those on most machines first, at most
	// [MostDecided]; MoreDecided is how many are not listed.
	Holds       *urgency.Deadline
	Decided     []DecidedOn
	MoreDecided int
	// By are the patches that clear it.
	By []OnMachines
	// Clears are machines that the plan rids of it, Late those of them that it reaches
	// after the due date. Stays are machines that keep it, by why.
	Clears, Late int
	Stays        map[Staying]int
}

// Staying is why a machine keeps what an advisory is about. Its words are for people.
type Staying string

// Why it stays. What the plan leaves a machine out for stands in the plan. What stays since
// a person decided so has that decision in a few words, see [urgency.Ruling.Short].
const (
	NoFix      Staying = "there is no fix yet"
	Entitled   Staying = "the fix is for those who pay for it"
	NotOffered Staying = "its package manager does not offer the fix, or the policy does not take it"
	LeftOut    Staying = "the plan leaves the machine out"
	// OtherDecisions are those beyond the first [MostDecided].
	OtherDecisions Staying = "other decisions of people"
)

// FeedLine is how a feed stood that a plan rests on.
type FeedLine struct {
	Name     patching.FeedName
	Owner    string
	Revision string
	Made     time.Time // by the publisher; zero: not known
	Age      time.Duration
	Records  int
	Stale    bool
	// Trouble is why it was refused or did not come the last time; empty: it came.
	Trouble string
}

// Blindness is what is not known of machines, and whose they are.
type Blindness struct {
	assess.BlindSpot // of its packages the first hundred
	Machines         int
	Owners           []string
}

// mostUnseen is how many packages a blind spot of a plan names.
const mostUnseen = 100

// Ending is the end of support of what runs on machines.
type Ending struct {
	assess.EndOfLife
	Machines int
	Owners   []string
}

// Likes are machines that are alike: of one kind and class, with the same in the plan.
type Likes struct {
	Machines int
	Owners   []string
	Class    assess.Class
	// Sample is one of them, On are the decisions that take them: the same decisions take
	// all, and the same work-arounds are in place on all. Held is what people hold there.
	Sample patching.AssetID
	On     patching.Decisions
	Held   assess.Held
	// Out is why the plan leaves them out; empty: it does not. Begins is when it reaches
	// them at the earliest.
	Out    patching.Reason
	Begins time.Time
	// Has are the matches that count now, Left those that count once the plan's patches
	// are in, and By is those patches.
	Has, Left []assess.Match
	By        []patching.Patch
	Blind     []assess.BlindSpot
	Ends      []assess.EndOfLife
}

// Grounds are what a remediation is made from beside the machines.
type Grounds struct {
	Kind patching.Kind
	assess.Judgement
	Missing []string // tables
	Feeds   []patching.FeedState
	// Assessor goes by the same judgement.
	Assessor *assess.Assessor
	// Next is when decisions are looked at the next time, with the next cycle; zero: in a
	// month. Unread are decisions that cannot be read, in words.
	Next   time.Time
	Unread []string
}

// Remedy makes the remediation of a plan from all machines that its policy selects.
func (g Grounds) Remedy(all []Likes) Remediation {
	r := Remediation{AsOf: g.AsOf, Unknown: g.Unknown, Missing: g.Missing, Lanes: map[urgency.Lane]int{}}
	for _, t := range g.Regimes {
		r.Regimes = append(r.Regimes, t.ID+" "+t.Version)
	}
	r.Feeds = g.Lines()
	rows, open := map[patching.AdvisoryID]*Remedy{}, map[Unbacked]int{}
	blind, ends := map[string]*Blindness{}, map[string]*Ending{}
	for i := range all {
		l := &all[i]
		r.Machines += l.Machines
		if l.Class.Exposure == "" || l.Class.Exposure == patching.ExposureUnknown {
			r.Unexposed += l.Machines
		}
		if lane, ok := g.add(rows, open, l); ok {
			r.Lanes[lane] += l.Machines
		}
		l.note(blind, ends)
	}
	r.count(rows)
	r.list(rows)
	r.review(g, all)
	r.Unbacked, r.Unread = sortUnbacked(open), g.Unread
	for _, b := range blind {
		b.Packages = b.Packages[:min(len(b.Packages), mostUnseen)]
		r.Blind = append(r.Blind, *b)
	}
	slices.SortFunc(r.Blind, func(a, b Blindness) int {
		return cmp.Or(cmp.Compare(b.Machines, a.Machines), strings.Compare(a.What, b.What), strings.Compare(a.Why, b.Why))
	})
	for _, e := range ends {
		r.Ends = append(r.Ends, *e)
	}
	slices.SortFunc(r.Ends, func(a, b Ending) int {
		return cmp.Or(cmp.Compare(b.Machines, a.Machines), strings.Compare(a.Product, b.Product),
			strings.Compare(a.Release, b.Release), strings.Compare(a.Feed, b.Feed))
	})
	return r
}

// Lines are the feeds, as they stood.
func (g Grounds) Lines() []FeedLine {
	lines := make([]FeedLine, 0, len(g.Feeds))
	for _, f := range g.Feeds {
		lines = append(lines, feedLine(f, g.AsOf))
	}
	return lines
}

func feedLine(f patching.FeedState, now time.Time) FeedLine {
	line := FeedLine{
		Name: f.Name, Owner: f.Owner, Revision: f.Edition.Revision, Made: f.Edition.Made,
		Stale: f.Stale(now), Trouble: f.Trouble,
	}
	if f.Edition.Digest != "" {
		line.Age = f.Age(now)
	}
	for _, n := range f.Edition.Records {
		line.Records += n
	}
	return line
}

// add counts what machines have and keep, and returns the most urgent lane of it.
func (g Grounds) add(rows map[patching.AdvisoryID]*Remedy, open map[Unbacked]int, l *Likes) (most urgency.Lane, ok bool) {
	left := assess.ByAdvisory(l.Left)
	for id, matches := range assess.ByAdvisory(l.Has) {
		row := rows[id]
		if row == nil {
			a := matches[0].Advisory
			row = &Remedy{Advisory: id, Feed: a.Feed, Title: a.Title, Severity: a.Severity, Stays: map[Staying]int{}}
			rows[id] = row
		}
		deadlines := g.know(row, matches, l.Class)
		decided := g.decide(l, matches, deadlines)
		binding, bound := urgency.Binding(deadlines)
		if bound && (row.Deadline == nil || urgency.Compare(binding, *row.Deadline) < 0) {
			row.Deadline = &binding
		}
		if (bound || decided.By != nil) && (!ok || most.Before(decided.Lane)) {
			most, ok = decided.Lane, true
		}
		g.rule(row, l, decided)
		if r, found := unbacked(l, matches, g.AsOf); found {
			open[Unbacked{ID: r.ID, By: r.By, Advisory: id}] += l.Machines
		}
		if stays := left[id]; len(stays) > 0 || l.Out != "" {
			row.Stays[l.why(stays, decided)] += l.Machines
			continue
		}
		row.Clears += l.Machines
		if g.misses(decided, deadlines, l.Begins) {
			row.Late += l.Machines
		}
		for _, p := range l.By {
			if slices.ContainsFunc(matches, func(f assess.Match) bool { return clears(p, f) }) {
				row.By = counted(row.By, p, l.Machines)
			}
		}
	}
	return most, ok
}

// know raises what is known of an advisory to what these matches say, and returns their
// deadlines.
func (g Grounds) know(row *Remedy, matches []assess.Match, on assess.Class) (all []urgency.Deadline) {
	for _, f := range matches {
		flaw, deadlines := g.Assessor.Urgency(f, on)
		all = append(all, deadlines...)
		for _, c := range f.CVEs {
			if at, found := slices.BinarySearch(row.CVEs, c); !found {
				row.CVEs = slices.Insert(row.CVEs, at, c)
			}
		}
		if k := flaw.KEV; k.Known && (row.KEV == nil || k.Value) {
			row.KEV = &k.Value
		}
		if e := flaw.EPSS; e.Known && (row.EPSS == nil || e.Value > *row.EPSS) {
			row.EPSS = &e.Value
		}
		if c := flaw.CVSS; c.Known && (row.CVSS == nil || c.Value.Base > *row.CVSS) {
			row.CVSS = &c.Value.Base
		}
	}
	return all
}

// clears reports whether a patch is one of those that clear a match: of the package
// itself, or of the kernel that comes beside it.
func clears(p patching.Patch, f assess.Match) bool {
	return p.Name == f.Package.Name && p.Arch == f.Package.Arch ||
		p.Action == patching.Install && patching.IsKernel(p.Name) && patching.IsKernel(f.Package.Name)
}

// why is why machines keep what matches are about.
func (l *Likes) why(stays []assess.Match, d urgency.Decided) Staying {
	switch {
	case d.Hold:
		return Staying(d.By.Short())
	case l.Out != "":
		return LeftOut
	case slices.ContainsFunc(stays, func(f assess.Match) bool { return f.Fixed == "" }):
		return NoFix
	case slices.ContainsFunc(stays, func(f assess.Match) bool { return f.Entitlement != "" }):
		return Entitled
	}
	for _, f := range stays {
		if by, held := l.Held.Of(f.Package.Name); held {
			return Staying(by.Short() + ", which holds the package for another reason")
		}
	}
	return NotOffered
}

// note adds what is not known of machines, and what support of theirs ends.
func (l *Likes) note(blind map[string]*Blindness, ends map[string]*Ending) {
	for _, s := range l.Blind {
		key := s.What + "\x00" + s.Why
		b := blind[key]
		if b == nil {
			b = &Blindness{BlindSpot: assess.BlindSpot{What: s.What, Why: s.Why}}
			blind[key] = b
		}
		b.Machines, b.Owners = b.Machines+l.Machines, union(b.Owners, l.Owners)
		b.Packages = union(b.Packages, s.Packages)
	}
	for _, s := range l.Ends {
		key := s.Feed + "\x00" + s.Product + "\x00" + s.Release
		e := ends[key]
		if e == nil {
			e = &Ending{EndOfLife: s}
			ends[key] = e
		}
		e.Machines, e.Owners = e.Machines+l.Machines, union(e.Owners, l.Owners)
	}
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

func (r *Remediation) count(rows map[patching.AdvisoryID]*Remedy) {
	flaws := map[patching.CVE]bool{}
	for _, row := range rows {
		for _, c := range row.CVEs {
			flaws[c] = true
		}
		if len(row.Stays) > 0 {
			r.Staying++
		} else {
			r.Cleared++
		}
		if row.Late > 0 {
			r.Late++
		}
		if row.KEV != nil && *row.KEV {
			r.Exploited++
		}
	}
	r.CVEs = len(flaws)
}

func (r *Remediation) list(rows map[patching.AdvisoryID]*Remedy) {
	for _, row := range rows {
		row.settle()
		row.fold()
		r.Remedies = append(r.Remedies, *row)
	}
	slices.SortFunc(r.Remedies, func(a, b Remedy) int {
		return cmp.Or(urgent(a.Binds(), b.Binds()), strings.Compare(string(a.Advisory), string(b.Advisory)))
	})
	if n := len(r.Remedies); n > MostRemedies {
		r.Remedies, r.More = slices.Clip(r.Remedies[:MostRemedies]), n-MostRemedies
	}
}

// urgent orders what is bound by a deadline before what is not.
func urgent(a, b *urgency.Deadline) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return urgency.Compare(*a, *b)
}

// Stay counts the machines that keep it.
func (r *Remedy) Stay() int {
	n := 0
	for _, machines := range r.Stays {
		n += machines
	}
	return n
}

// Reasons are why it stays, in a fixed order.
func (r *Remedy) Reasons() []Staying { return slices.Sorted(maps.Keys(r.Stays)) }
