package assess

import (
	"fmt"
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
	advisory *patching.Advisory
	cves     string
	noPatch  bool
	Class
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
	about := matter{advisory: f.Advisory, cves: fmt.Sprint(f.CVEs), noPatch: f.Fixed == "", Class: on}
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
