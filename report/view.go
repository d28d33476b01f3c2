package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Bounds of the page's tables, in rows. The JSON has no bounds.
const (
	maxPatched    = 50
	maxExceptions = 300
	maxLeftOut    = 200
	maxTasks      = 200
	maxPatches    = 200
	maxAdvisories = 60
	maxEvents     = 120
	maxVotes      = 100
	maxDecisions  = 60
	maxGroups     = 30
	maxNames      = 8
	// maxWould bounds what left-out machines would have got, in lines over the
	// whole page: a machine can miss hundreds of patches.
	maxWould = 1500
)

// view is a document as the page shows it.
type view struct {
	*Document
	Style      template.CSS
	Badge      badge
	Tiles      []tile
	Bar        []segment
	Curve      curve
	Looks      []patching.Outcome // whose patterns the page defines
	Exceptions rows[exception]
	LeftOut    rows[leftOut]
	Patched    rows[Machine]
	TaskGroups []taskGroup
	TasksLeft  int
	OpenTasks  int
	Rows       rows[Patch]
	Advised    rows[Advised]
	Events     rows[Event]
	Votes      rows[Vote]
	Gates      rows[GateFact]
	Groups     rows[Failure]
	Late       rows[Correction]
	Nav        []link
	groups     map[Group]int
}

// rows are the part of a list that the page shows, and how many it leaves out.
type rows[T any] struct {
	Shown []T
	Left  int
}

func bounded[T any](all []T, most int) rows[T] {
	if len(all) <= most {
		return rows[T]{Shown: all}
	}
	return rows[T]{all[:most], len(all) - most}
}

// All is how many there are.
func (r rows[T]) All() int { return len(r.Shown) + r.Left }

// badge says how the cycle stands: by a sign, in words and by colour.
type badge struct{ Look, Sign, Words string }

// tile is a figure that stands out.
type tile struct{ Figure, Words, Note string }

// link leads to a section.
type link struct{ ID, Words string }

func (d *Document) view() *view {
	v := &view{
		Document: d, Style: template.CSS(styleText), // our own file, no data in it
		Badge: badgeOf(d.Standing), Bar: bar(d.Outcomes, 1000), Curve: d.Coverage.draw(), Looks: append(patching.Outcomes(), "", "unknown"),
		Rows: bounded(d.Patches, maxPatches), Advised: bounded(d.Advisories.Rows, maxAdvisories), Votes: bounded(d.Approval.Votes, maxVotes),
		Events: eventRows(d.Timeline), Gates: gateRows(d.Evidence.Decisions),
		Groups: bounded(d.Failures.Groups, maxGroups), Late: bounded(d.Corrections, maxExceptions),
		groups: map[Group]int{},
	}
	var patched, exceptions, out []Machine
	for _, m := range d.Machines {
		v.groups[m.Group]++
		switch m.Group {
		case GroupPatched:
			patched = append(patched, m)
		case GroupException:
			exceptions = append(exceptions, m)
		case GroupLeftOut:
			out = append(out, m)
		case GroupUpToDate, GroupInProgress: // counted
		}
	}
	v.Patched, v.Exceptions = bounded(patched, maxPatched), d.exceptions(exceptions)
	v.LeftOut = d.leftOut(out)
	v.TaskGroups, v.OpenTasks, v.TasksLeft = taskGroups(d.Tasks)
	v.Tiles = d.tiles(v)
	v.Nav = v.nav()
	return v
}

func badgeOf(standing string) badge {
	switch patching.ClosedAs(standing) {
	case patching.ClosedSuccessful:
		return badge{"successful", "✓", "Closed: successful"}
	case patching.ClosedWithExceptions:
		return badge{"exceptions", "!", "Closed: with exceptions"}
	case patching.ClosedBackedOut:
		return badge{"backed-out", "↩", "Closed: backed out"}
	case patching.ClosedCancelled:
		return badge{"cancelled", "×", "Closed: cancelled"}
	}
	if standing == Open {
		return badge{"open", "…", "Open"}
	}
	return badge{"cancelled", "?", "Closed: " + standing}
}

// exception is a machine that did not end well. Same names the one before it
// that has the same explanation: a halted ring defers hundreds in one way.
type exception struct {
	Machine
	Same string
	// Misses counts the patches whose turn did not come.
	Misses int
}

func (d *Document) exceptions(machines []Machine) rows[exception] {
	patches := map[patching.Digest]int{}
	for _, b := range d.Bundles {
		patches[b.Digest] = len(b.Changes)
	}

	slices.SortStableFunc(machines, func(a, b Machine) int {
		return cmp.Or(cmp.Compare(needs(a), needs(b)), strings.Compare(a.excuse(), b.excuse()))
	})
	kept := bounded(machines, maxExceptions)
	out := rows[exception]{Left: kept.Left}
	said := ""
	for i, m := range kept.Shown {
		row := exception{Machine: m}
		if m.Outcome == patching.Deferred {
			row.Misses = patches[m.Bundle]
		}
		if i > 0 && m.excuse() == kept.Shown[i-1].excuse() {
			row.Same = said
		} else {
			said = m.Hostname
		}
		out.Shown = append(out.Shown, row)
	}
	return out
}

// excuse is all that is said of why a machine ended as it did.
func (m Machine) excuse() string {
	hold := ""
	if m.Hold != nil {
		hold = m.Hold.By + "\x00" + m.Hold.Until
	}
	return strings.Join([]string{m.Words, m.Why, m.Before, m.Detail, hold}, "\x00")
}

// needs orders exceptions: first what a person has to mend.
func needs(m Machine) int {
	for i, o := range []patching.Outcome{patching.NeedsHands, patching.Failed, patching.Unreachable, patching.RolledBack, patching.Patched} {
		if m.Outcome == o {
			return i
		}
	}
	return len(patching.Outcomes())
}

// eventRows shows the beginning and the end of a timeline that is too long.
func eventRows(all []Event) rows[Event] {
	if len(all) <= maxEvents {
		return rows[Event]{Shown: all}
	}
	shown := slices.Concat(all[:maxEvents/2], all[len(all)-maxEvents/2:])
	return rows[Event]{shown, len(all) - maxEvents}
}

// gateRows leaves out that a gate had to wait, which may have been every minute.
func gateRows(all []GateFact) rows[GateFact] {
	var settled []GateFact
	for _, g := range all {
		if g.Verb != patching.Wait || g.Differs != "" {
			settled = append(settled, g)
		}
	}
	r := bounded(settled, maxDecisions)
	r.Left = len(all) - len(r.Shown)
	return r
}

// leftOut is a machine that the cycle left out, with what it would have got.
type leftOut struct {
	Machine
	Patches int
	// Excuse names the machine before it with the same explanation.
	Excuse string
	// Changes are listed with the first machine of a bundle; the others say Same.
	Changes []Change
	Same    string
	Left    int // of Changes, that the page leaves out
}

func (d *Document) leftOut(machines []Machine) rows[leftOut] {
	bundles := map[patching.Digest][]Change{}
	for _, b := range d.Bundles {
		bundles[b.Digest] = b.Changes
	}
	slices.SortStableFunc(machines, func(a, b Machine) int { return strings.Compare(a.excuse(), b.excuse()) })
	first, room, said := map[patching.Digest]string{}, maxWould, ""
	kept := bounded(machines, maxLeftOut)
	out := rows[leftOut]{Left: kept.Left}
	for i, m := range kept.Shown {
		row := leftOut{Machine: m, Patches: len(bundles[m.Bundle])}
		if i > 0 && m.excuse() == kept.Shown[i-1].excuse() {
			row.Excuse = said
		} else {
			said = m.Hostname
		}
		switch name, listed := first[m.Bundle]; {
		case row.Patches == 0:
		case listed:
			row.Same = name
		default:
			part := bounded(bundles[m.Bundle], room)
			row.Changes, row.Left = part.Shown, part.Left
			room -= len(part.Shown)
			first[m.Bundle] = m.Hostname
		}
		out.Shown = append(out.Shown, row)
	}
	return out
}

// taskGroup are open tasks with the same procedure.
type taskGroup struct {
	Steps []string
	Tasks []Task
	Left  int
}

func taskGroups(tasks []Task) (groups []taskGroup, open, left int) {
	at := map[string]int{}
	room := maxTasks
	for _, t := range tasks {
		if t.State.Terminal() {
			continue
		}
		open++
		i, known := at[t.Steps]
		if !known {
			if len(groups) == maxGroups {
				left++
				continue
			}
			i = len(groups)
			at[t.Steps] = i
			groups = append(groups, taskGroup{})
			if t.Steps != "" {
				groups[i].Steps = strings.Split(strings.TrimSpace(t.Steps), "\n")
			}
		}
		if room--; room < 0 {
			groups[i].Left++
			left++
			continue
		}
		groups[i].Tasks = append(groups[i].Tasks, t)
	}
	return groups, open, left
}

// tiles are the figures that a change manager looks for first.
func (d *Document) tiles(v *view) []tile {
	concerned, covered := "all that are on file", "none was to be patched"
	if d.NotConcerned > 0 {
		concerned = number(d.NotConcerned) + " more are not concerned"
	}
	if d.Coverage.Managed > 0 {
		covered = percent(d.Coverage.Covered, d.Coverage.Managed) + " covered, with those already up to date"
	}
	tiles := []tile{
		{number(d.Total), "machines in the cycle", concerned},
		{number(countOf(d.Outcomes, patching.Patched) - d.Unconfirmed), "patched and confirmed", covered},
		{number(v.groups[GroupException]), "exceptions", plural(v.OpenTasks, "open task")},
	}
	ninety := tile{"–", "until 90 % were covered", "not reached"}
	for _, r := range d.Coverage.Reached {
		if r.Percent == 90 && r.Reached {
			ninety = tile{lasting(r.After), "until 90 % were covered", "since the opening"}
		}
	}
	return append(tiles, ninety)
}

// nav lists the sections that the page has.
func (v *view) nav() []link {
	all := []link{
		{"exceptions", "Exceptions"},
		{"tasks", "Open tasks"},
		{"approval", "Approval"},
		{"timeline", "What happened"},
		{"rings", "Rings and gates"},
		{"advisories", "Advisories"},
		{"patches", "Patches"},
		{"left-out", "Left out"},
		{"failures", "Failures"},
		{"coverage", "Coverage"},
		{"test-ring", "Test ring"},
		{"machines", "Patched machines"},
		{"corrections", "Corrections"},
		{"record", "Change record"},
		{"evidence", "Evidence"},
	}
	return slices.DeleteFunc(all, func(l link) bool {
		return l.ID == "corrections" && len(v.Corrections) == 0 || l.ID == "failures" && v.Failures.Machines == 0
	})
}

// Running is what the head of every printed page says.
func (v *view) Running() string {
	return fmt.Sprintf("%s, %s", v.Cycle.ID, strings.ToLower(v.Badge.Words[:1])+v.Badge.Words[1:])
}

// MadeAt is what the foot of every printed page says.
func (v *view) MadeAt() string { return moment(v.Made) }

// Period is from when until when the cycle ran.
func (v *view) Period() string {
	end := v.Cycle.Closed
	if end.IsZero() {
		return "since " + moment(v.Cycle.Opened)
	}
	return fmt.Sprintf("%s to %s", moment(v.Cycle.Opened), moment(end))
}
