package assess

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// Assessor assesses machines by the same knowledge and the same rules. A fleet has few
// different packages in many different sets: what was found out about one is kept, for
// each class of assets. It may be used by many at a time, and remembers what it was asked
// until nobody holds it any more.
type Assessor struct {
	k Knowledge
	j Judgement

	mu    sync.RWMutex
	known map[judgedOf]judged
}

// judgedOf is all that the answer about a package depends on.
type judgedOf struct {
	question
	offer, entitlements string
	olderKernel         bool
	class               class
}

// class is what urgency depends on of an asset, see [urgency.NewFacts].
type class struct {
	exposure    patching.Exposure
	criticality patching.Criticality
	dataClass   string
}

// judged is a package's part of a sheet.
type judged struct {
	rows   []SheetRow
	aside  []SheetAside
	unsure []Match
}

// NewAssessor makes an assessor. What it is given must not be changed afterwards.
func NewAssessor(k Knowledge, j Judgement) *Assessor {
	return &Assessor{k: k, j: j, known: map[judgedOf]judged{}}
}

// Sheet assesses a machine. Sheets share what they have in common: whoever changes one
// clones it before.
func (a *Assessor) Sheet(m Machine, on patching.Asset) Sheet {
	order, _ := version.OrderOf(m.ID)
	// Empty, not nil: whoever reads the document need not ask.
	s := Sheet{Findings: []SheetRow{}, Aside: []SheetAside{}, EndOfLife: []EndOfLife{}, BlindSpots: []BlindSpot{}}
	var unsure doubts
	asked := judgedOf{
		question: question{Platform: m.Platform}, entitlements: strings.Join(m.Entitlements, " "),
		class: class{on.Exposure, on.Criticality, on.DataClass},
	}
	older, said := olderKernels(m, order), map[SheetAside]bool{}
	for i, p := range m.Packages.Packages {
		if i > 0 && p == m.Packages.Packages[i-1] {
			continue
		}
		asked.Package, asked.offer, asked.olderKernel = p, m.Offers[Installed{p.Name, p.Arch}], older[i]
		f := a.of(asked, m, on, order)
		s.Findings = append(s.Findings, f.rows...)
		for _, aside := range f.aside {
			if !said[aside] {
				said[aside], s.Aside = true, append(s.Aside, aside)
			}
		}
		for _, match := range f.unsure {
			unsure.add(match)
		}
	}
	slices.SortFunc(s.Findings, func(a, b SheetRow) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Arch, b.Arch), strings.Compare(a.Installed, b.Installed))
	})
	s.Blind, s.BlindSpots = blindSpots(a.k, m, unsure)
	s.EndOfLife = append(s.EndOfLife, EndsOf(a.k.Lifecycles, m.Platform, a.j.AsOf)...)
	return s
}

func (a *Assessor) of(asked judgedOf, m Machine, on patching.Asset, order version.Order) judged {
	a.mu.RLock()
	f, ok := a.known[asked]
	a.mu.RUnlock()
	if !ok {
		f = a.judge(asked, m, on, order)
		a.mu.Lock()
		a.known[asked] = f
		a.mu.Unlock()
	}
	return f
}

// judge looks at one package.
func (a *Assessor) judge(asked judgedOf, m Machine, on patching.Asset, order version.Order) (f judged) {
	p := asked.Package
	var matches []Match
	if order != "" {
		for _, match := range a.k.Advisories.appendMatches(nil, m, p, order, a.j.AsOf, asked.olderKernel) {
			switch match.Aside {
			case "":
				matches = append(matches, match)
			case NotPublished: // nobody could know
			default:
				f.aside = append(f.aside, SheetAside{Package: p.Name, Advisory: match.Advisory.ID, Reason: match.Aside})
				f.unsure = append(f.unsure, match)
			}
		}
	}
	matches = Unite(matches)
	offered := asked.offer != "" && order.Older(p.Version, asked.offer)
	switch {
	case len(matches) == 0 && !offered:
	case m.ID == "windows":
		f.rows = a.k.updates(p, matches, on, a.j)
	default:
		row := SheetRow{Package: p.Name, Arch: p.Arch, Installed: p.Version, Fixed: highest(order, matches)}
		if offered {
			row.Candidate = &asked.offer
		}
		a.k.judge(&row, matches, on, a.j)
		f.rows = []SheetRow{row}
	}
	return f
}
