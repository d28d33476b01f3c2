package assess

import (
	"fmt"
	"slices"
	"sync"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// A Judge says how urgent matches are. It remembers what it said of an advisory on
// assets that are alike in what urgency depends on: a fleet has many machines, and few
// such classes. It may be used by many at a time.
type Judge struct {
	know Knowledge
	by   Judgement

	mu    sync.Mutex
	known map[matter]Urgent
}

// Urgent is how urgent an advisory is on an asset, and what of its flaws says so.
// Deadlines are sorted as by [urgency.Judge], and name no asset.
type Urgent struct {
	Flaw      urgency.Flaw
	Deadlines []urgency.Deadline
}

// matter is all that a judgement depends on.
type matter struct {
	id                   patching.AdvisoryID
	feed, kind, severity string
	published, modified  int64
	cves                 string
	withdrawn, noPatch   bool
	Class
}

func matterOf(f Match, on Class) matter {
	a := f.Advisory
	return matter{
		id: a.ID, feed: a.Feed, kind: a.Kind, severity: a.Severity, published: a.Published.UnixNano(), modified: a.Modified.UnixNano(),
		cves: fmt.Sprint(f.CVEs), withdrawn: !a.Withdrawn.IsZero(), noPatch: f.Fixed == "", Class: on,
	}
}

// Class is what urgency depends on of an asset.
type Class struct {
	Exposure    patching.Exposure
	Criticality patching.Criticality
	DataClass   string
}

// ClassOf is the class of an asset.
func ClassOf(a *patching.Asset) Class { return Class{a.Exposure, a.Criticality, a.DataClass} }

// NewJudge returns a judge by what feeds say. The knowledge must not be changed
// afterwards.
func NewJudge(k Knowledge, by Judgement) *Judge {
	return &Judge{know: k, by: by, known: map[matter]Urgent{}}
}

// Of judges a match on assets of a class.
func (j *Judge) Of(f Match, on Class) Urgent {
	about := matterOf(f, on)
	j.mu.Lock()
	u, known := j.known[about]
	j.mu.Unlock()
	if known {
		return u
	}
	u.Flaw = j.know.weigh(f.CVEs, j.by.AsOf)
	asset := patching.Asset{Exposure: on.Exposure, Criticality: on.Criticality, DataClass: on.DataClass}
	facts := urgency.NewFacts(asset, *f.Advisory, u.Flaw, urgency.Seen{})
	facts.NoPatch = f.Fixed == ""
	u.Deadlines = urgency.Judge(facts, j.by.Regimes, j.by.Unknown, j.by.AsOf)
	j.mu.Lock()
	j.known[about] = u
	j.mu.Unlock()
	return u
}

// Look is what advisories say of a kind of machine.
type Look struct {
	// Counts are the matches that count, in the order of the packages.
	Counts []Match
	Aside  []SheetAside
	// Blind: no advisory can be matched at all. Spots are what cannot be known, and why.
	Blind bool
	Spots []BlindSpot
}

// Look matches a kind of machine.
func (j *Judge) Look(m Machine) Look {
	l := Look{Aside: []SheetAside{}}
	var unsure doubts
	by := map[patching.Package][]Match{}
	for _, f := range j.know.Advisories.Match(m, j.by.AsOf) {
		switch f.Aside {
		case "":
			by[f.Package] = append(by[f.Package], f)
		case NotPublished: // nobody could know
		default:
			a := SheetAside{Package: f.Package.Name, Advisory: f.Advisory.ID, Reason: f.Aside}
			if !slices.Contains(l.Aside, a) {
				l.Aside = append(l.Aside, a)
			}
			unsure.add(f)
		}
	}
	for _, p := range m.Packages.Packages {
		l.Counts = append(l.Counts, Unite(by[p])...)
		delete(by, p)
	}
	l.Blind, l.Spots = blindSpots(j.know, m, unsure)
	return l
}

// Ends are the ends of support that concern a system.
func (j *Judge) Ends(p patching.Platform) []EndOfLife {
	return EndsOf(j.know.Lifecycles, p, j.by.AsOf)
}
