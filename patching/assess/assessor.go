package assess

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/patching/version"
)

// Assessor assesses machines by the same knowledge and the same rules. A fleet has few
// different packages in many different sets, so what was found out about one is kept. It
// may be used by many at a time, and remembers what it was asked until nobody holds it any
// more.
type Assessor struct {
	k Knowledge
	j Judgement

	mu     sync.RWMutex
	groups map[group]map[asked]*finding
	flaws  map[flawsOf]judged
	seen   map[patching.AdvisoryID]time.Time
}

// group is what a finding depends on of a machine beside the package.
type group struct {
	patching.Platform
	entitlements string
}

// asked is what it depends on of the package.
type asked struct {
	patching.Package
	offer       string
	olderKernel bool
}

// finding is what there is to say of a package, in whichever sets it is.
type finding struct {
	asked
	matches []Match
	aside   []Match
	offered bool

	mu sync.Mutex
	// kinds counts those that have it. What one alone has is not kept as rows: of such
	// versions there is no end, and rows are large.
	kinds int
	rows  map[Class][]SheetRow
}

// Class is what urgency depends on of an asset, see [urgency.NewFacts].
type Class struct {
	Exposure    patching.Exposure
	Criticality patching.Criticality
	DataClass   string
}

// ClassOf is the class of an asset.
func ClassOf(a *patching.Asset) Class { return Class{a.Exposure, a.Criticality, a.DataClass} }

// flawsOf is an advisory, as far as it concerns a package and an asset. Its CVEs are a part
// of a list that is kept with the advisory: where it begins says which.
type flawsOf struct {
	advisory *patching.Advisory
	from     *patching.CVE
	cves     int
	noPatch  bool
	class    Class
}

// judged is how urgent that is.
type judged struct {
	flaw      urgency.Flaw
	deadlines []urgency.Deadline
	rows      []SheetDeadline // the same, in the same order
}

// Kind is what a kind of machine misses. How urgent that is depends on the asset.
type Kind struct {
	a        *Assessor
	m        Machine
	order    version.Order
	findings []*finding
	sheet    Sheet // without findings
}

// NewAssessor makes an assessor. What it is given must not be changed afterwards.
func NewAssessor(k Knowledge, j Judgement) *Assessor {
	return &Assessor{k: k, j: j, groups: map[group]map[asked]*finding{}, flaws: map[flawsOf]judged{}}
}

// Kind finds out what a kind of machine misses.
func (a *Assessor) Kind(m Machine) *Kind {
	kind := &Kind{a: a, m: m}
	kind.order, _ = version.OrderOf(m.ID)
	var unsure doubts
	older, said := olderKernels(m, kind.order), map[SheetAside]bool{}
	// Empty, not nil: whoever reads the document need not ask.
	s := Sheet{Aside: []SheetAside{}, EndOfLife: []EndOfLife{}, BlindSpots: []BlindSpot{}}
	known := a.group(m)
	for i, p := range m.Packages.Packages {
		if i > 0 && p == m.Packages.Packages[i-1] {
			continue
		}
		f := a.finding(known, asked{p, m.Offers[Installed{p.Name, p.Arch}], older[i]}, m, kind.order)
		if f == nil {
			continue
		}
		for _, match := range f.aside {
			unsure.add(match)
			aside := SheetAside{Package: p.Name, Advisory: match.Advisory.ID, Reason: match.Aside}
			if !said[aside] {
				said[aside], s.Aside = true, append(s.Aside, aside)
			}
		}
		if len(f.matches) > 0 || f.offered {
			kind.findings = append(kind.findings, f)
		}
	}
	slices.SortStableFunc(kind.findings, func(a, b *finding) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch), strings.Compare(a.Version, b.Version))
	})
	s.Blind, s.BlindSpots = blindSpots(a.k, m, unsure)
	ends, open := EndsOf(a.k.Lifecycles, m.Platform, a.j.AsOf), []string(nil)
	if m.ID == "windows" {
		ends, open = endsOfWindows(a.k.Lifecycles, m, a.j.AsOf)
	}
	s.EndOfLife = append(s.EndOfLife, ends...)
	if len(open) > 0 {
		s.BlindSpots = append(s.BlindSpots, BlindSpot{
			What: "the edition", Why: "Support of some that have its build has ended, or ends soon, and of others not: " + strings.Join(open, ", ") + ".",
		})
	}
	kind.sheet = s
	return kind
}

// Matches are the matches that count, in the order of the packages' names.
func (k *Kind) Matches() (all []Match) {
	for _, f := range k.findings {
		all = append(all, f.matches...)
	}
	return all
}

// Spots are what cannot be known of the kind, and why.
func (k *Kind) Spots() []BlindSpot { return k.sheet.BlindSpots }

// Ends are the ends of support that concern it.
func (k *Kind) Ends() []EndOfLife { return k.sheet.EndOfLife }

// Urgency is how urgent one of the kinds' matches is on assets of a class, and what of its
// flaws says so. The deadlines are sorted as by [urgency.Judge], and name no asset. They
// are shared: nobody changes them.
func (a *Assessor) Urgency(f Match, of Class) (urgency.Flaw, []urgency.Deadline) {
	v := a.urgency(&f, of)
	return v.flaw, v.deadlines
}

// Fix is how a patch stands on a machine, see [Index.FixOf].
func (a *Assessor) Fix(m Machine, matches []Match, about patching.Subject) patching.Fix {
	return a.k.Advisories.FixOf(m, matches, about)
}

// Knows reports whether any source still has an advisory: of one that is gone from all,
// nobody can say who has it.
func (a *Assessor) Knows(id patching.AdvisoryID) bool {
	return slices.ContainsFunc(a.k.Advisories.Naming(string(id)), func(is *patching.Advisory) bool { return is.ID == id })
}

// Remember says when advisories were first seen in this house, from which some clocks count;
// those that are not told are new. It is called before anybody asks how urgent they are.
func (a *Assessor) Remember(seen map[patching.AdvisoryID]time.Time) {
	a.mu.Lock()
	a.seen = seen
	a.mu.Unlock()
}

// group returns what is known of packages on machines that differ in nothing else.
func (a *Assessor) group(m Machine) map[asked]*finding {
	g := group{m.Platform, strings.Join(m.Entitlements, " ")}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.groups[g] == nil {
		a.groups[g] = map[asked]*finding{}
	}
	return a.groups[g]
}

// finding is nil where there is nothing to say of a package.
func (a *Assessor) finding(known map[asked]*finding, of asked, m Machine, order version.Order) *finding {
	a.mu.RLock()
	f, ok := known[of]
	a.mu.RUnlock()
	if !ok {
		f = a.look(of, m, order)
		a.mu.Lock()
		if other, ok := known[of]; ok { // somebody else was faster
			f = other
		}
		known[of] = f
		a.mu.Unlock()
	}
	if f != nil {
		f.mu.Lock()
		f.kinds++
		f.mu.Unlock()
	}
	return f
}

func (a *Assessor) look(of asked, m Machine, order version.Order) *finding {
	f := &finding{asked: of, offered: of.offer != "" && order.Older(of.Version, of.offer)}
	if order != "" {
		for _, match := range a.k.Advisories.appendMatches(nil, m, of.Package, order, a.j.AsOf, of.olderKernel) {
			switch match.Aside {
			case "":
				f.matches = append(f.matches, match)
			case NotPublished: // nobody could know
			default:
				f.aside = append(f.aside, match)
			}
		}
	}
	f.matches = Unite(f.matches)
	if len(f.matches) == 0 && len(f.aside) == 0 && !f.offered {
		return nil
	}
	return f
}

// Sheet says how urgent it is on an asset. Sheets of a kind share what they have in common:
// whoever changes one clones it before.
func (k *Kind) Sheet(on patching.Asset) Sheet {
	s := k.sheet
	s.Findings = make([]SheetRow, 0, len(k.findings))
	of := ClassOf(&on)
	for _, f := range k.findings {
		s.Findings = append(s.Findings, k.rows(f, of)...)
	}
	if k.m.ID == "windows" { // a row is an update there
		slices.SortStableFunc(s.Findings, func(a, b SheetRow) int { return strings.Compare(a.Package, b.Package) })
	}
	return s
}

func (k *Kind) rows(f *finding, of Class) []SheetRow {
	f.mu.Lock()
	rows, ok := f.rows[of]
	common := f.kinds > 1
	f.mu.Unlock()
	if ok {
		return rows
	}
	if k.m.ID == "windows" {
		rows = k.updates(f, of)
	} else {
		rows = []SheetRow{k.row(f, of)}
	}
	if common {
		f.mu.Lock()
		if f.rows == nil {
			f.rows = map[Class][]SheetRow{}
		}
		f.rows[of] = rows
		f.mu.Unlock()
	}
	return rows
}

func (k *Kind) row(f *finding, of Class) SheetRow {
	row := SheetRow{Package: f.Name, Arch: f.Arch, Installed: f.Version, Fixed: highest(k.order, f.matches)}
	if f.offered {
		row.Candidate = &f.offer
	}
	k.a.judge(&row, f.matches, of)
	return row
}

// updates are rows of Windows: each update that the vendor released for a newer build.
func (k *Kind) updates(f *finding, of Class) (rows []SheetRow) {
	for i := range f.matches {
		row := SheetRow{Package: string(f.matches[i].Advisory.ID), Installed: f.Version}
		if f.matches[i].Fixed != "" {
			row.Fixed = &f.matches[i].Fixed
		}
		k.a.judge(&row, f.matches[i:i+1], of)
		rows = append(rows, row)
	}
	return rows
}

// judge fills in what advisories say, and how urgent that is.
func (a *Assessor) judge(row *SheetRow, matches []Match, of Class) {
	row.Advisories, row.CVEs, row.Deadlines = []patching.AdvisoryID{}, []patching.CVE{}, []SheetDeadline{}
	var binds []urgency.Deadline
	for i := range matches {
		f := &matches[i]
		if !slices.Contains(row.Advisories, f.Advisory.ID) {
			row.Advisories = append(row.Advisories, f.Advisory.ID)
		}
		row.CVEs = append(row.CVEs, f.CVEs...)
		if f.Fixed == "" {
			row.Unfixed = append(row.Unfixed, f.Advisory.ID)
		}
		if f.Entitlement != "" && !slices.Contains(row.Needs, f.Entitlement) {
			row.Needs = append(row.Needs, f.Entitlement)
		}
		v := a.urgency(f, of)
		row.know(v.flaw)
		row.Deadlines = append(row.Deadlines, v.rows...)
		if d, ok := urgency.Binding(v.deadlines); ok {
			binds = append(binds, d)
		}
	}
	slices.Sort(row.Advisories)
	slices.Sort(row.CVEs)
	row.CVEs = slices.Compact(row.CVEs)
	slices.SortStableFunc(row.Deadlines, func(a, b SheetDeadline) int {
		return cmp.Or(strings.Compare(string(a.Advisory), string(b.Advisory)), strings.Compare(a.Regime, b.Regime))
	})
	if d, ok := urgency.Binding(binds); ok {
		row.Lane, row.Due = &d.Lane, known(d.Due)
	}
}

// urgency asks the tables once about an advisory on a class of assets.
func (a *Assessor) urgency(f *Match, of Class) judged {
	asked := flawsOf{advisory: f.Advisory, cves: len(f.CVEs), noPatch: f.Fixed == "", class: of}
	if len(f.CVEs) > 0 {
		asked.from = &f.CVEs[0]
	}
	a.mu.RLock()
	v, ok := a.flaws[asked]
	first := a.seen[f.Advisory.ID]
	a.mu.RUnlock()
	if ok {
		return v
	}
	v.flaw = a.k.weigh(f.CVEs, a.j.AsOf)
	on := patching.Asset{Exposure: of.Exposure, Criticality: of.Criticality, DataClass: of.DataClass}
	facts := urgency.NewFacts(on, *f.Advisory, v.flaw, urgency.Seen{First: first})
	facts.NoPatch = f.Fixed == ""
	v.deadlines = urgency.Judge(facts, a.j.Regimes, a.j.Unknown, a.j.AsOf)
	for _, d := range v.deadlines {
		v.rows = append(v.rows, sheetDeadline(d))
	}
	a.mu.Lock()
	a.flaws[asked] = v
	a.mu.Unlock()
	return v
}
