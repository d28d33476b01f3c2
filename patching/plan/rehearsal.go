package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// Rehearsal says what machines answered that were asked, before people are, what
// their bundle would change: one of each kind (G14). Machines are of one kind if
// they have the same packages, are offered the same, and get the same bundle. The
// zero value is that of a plan that was not rehearsed.
type Rehearsal struct {
	// Kinds are sorted: the one with the most machines first.
	Kinds []Rehearsed
	// Beyond counts kinds with fewer machines, of which nobody is asked.
	Beyond int `json:",omitempty"`
}

// kindsAtMost bounds how many machines are asked. A fleet of which every machine is
// a kind of its own would be asked as a whole, and for the sake of one machine each.
const kindsAtMost = 500

// Rehearsed is one kind of machine, and what one of them said.
type Rehearsed struct {
	Bundle patching.Digest
	// Asset is the machine that was asked; empty: no machine of the kind may be.
	Asset    patching.AssetID
	Hostname string
	Machines int
	Answered bool
	// Words say what would be otherwise; empty where Answered: all is as planned.
	Words string
}

// Ask adds the kinds whose bundle has not been rehearsed, with the machine of
// each that is to be asked. One of the ring that goes first is the best, for what
// it says is tried next; then the one that was heard last, for it will answer.
func (r Rehearsal) Ask(items []patching.PlanItem, assets map[patching.AssetID]patching.Asset, first patching.RingName) Rehearsal {
	known := map[patching.Digest]bool{}
	for _, k := range r.Kinds {
		known[k.Bundle] = true
	}
	type kind struct {
		BundleKey
		bundle patching.Digest
	}
	of := map[kind][]*patching.PlanItem{}
	for i := range items {
		if item := &items[i]; item.Ring != "" && item.Bundle != "" && !known[item.Bundle] {
			a := assets[item.Asset]
			k := kind{KeyOf(&a), item.Bundle}
			of[k] = append(of[k], item)
		}
	}
	var fresh []Rehearsed
	for k, like := range of {
		one := Rehearsed{Bundle: k.bundle, Machines: len(like)}
		like = slices.DeleteFunc(like, func(i *patching.PlanItem) bool {
			a := assets[i.Asset]
			return a.Device == "" || !slices.Contains(a.Allowed, "simulate")
		})
		if len(like) > 0 {
			best := slices.MinFunc(like, func(x, y *patching.PlanItem) int {
				return cmp.Or(boolCompare(x.Ring != first, y.Ring != first),
					assets[y.Asset].Seen.Compare(assets[x.Asset].Seen), cmp.Compare(x.Asset, y.Asset))
			})
			one.Asset, one.Hostname = best.Asset, cmp.Or(assets[best.Asset].Hostname, string(best.Asset))
		}
		fresh = append(fresh, one)
	}
	slices.SortFunc(fresh, largestFirst)
	room := min(len(fresh), max(0, kindsAtMost-len(r.Kinds)))
	out := Rehearsal{Kinds: append(slices.Clone(r.Kinds), fresh[:room]...), Beyond: len(fresh) - room}
	slices.SortFunc(out.Kinds, largestFirst)
	return out
}

func largestFirst(x, y Rehearsed) int {
	return cmp.Or(cmp.Compare(y.Machines, x.Machines), cmp.Compare(x.Bundle, y.Bundle), cmp.Compare(x.Asset, y.Asset))
}

// Open returns the kinds of which a machine is asked and has not answered.
func (r Rehearsal) Open() []Rehearsed {
	return slices.DeleteFunc(slices.Clone(r.Kinds), func(k Rehearsed) bool { return k.Answered || k.Asset == "" })
}

// Hear takes over the last receipts of those who were asked.
func (r Rehearsal) Hear(said map[patching.AssetID]patching.Receipt) Rehearsal {
	out := Rehearsal{Kinds: slices.Clone(r.Kinds), Beyond: r.Beyond}
	for i := range out.Kinds {
		k := &out.Kinds[i]
		if c, ok := said[k.Asset]; ok && !k.Answered {
			k.Words, k.Answered = answer(c)
		}
	}
	return out
}

// answer is what the receipt of a rehearsal says; false: nothing yet.
func answer(c patching.Receipt) (words string, ok bool) {
	reason := c.Reason
	switch {
	case !c.Stage.Terminal(), c.Reason == patching.ReasonWindowOver: // the machine came to it too late
		return "", false
	case c.Stage == patching.StageRefused:
		reason = patching.ReasonRefused
	case c.Outcome == "":
		return "", true
	case !reason.Valid():
		reason = patching.ReasonUnknown
	}
	detail := sentence(c.Detail)
	if detail != "" && (reason == patching.ReasonPlanStale || reason == patching.ReasonUnknown) {
		return detail, true // it says more than the reason's own words
	}
	return strings.TrimSpace(reason.Words() + " " + detail), true
}

// maxSaid is how much of a machine's words is kept, in bytes: a workflow's page has
// 20 kB for everything.
const maxSaid = 300

// sentence puts what a machine said on one line, with a full stop.
func sentence(words string) string {
	words = strings.Join(strings.Fields(words), " ")
	if len(words) > maxSaid {
		return strings.ToValidUTF8(words[:maxSaid], "") + "…"
	}
	if words == "" || strings.HasSuffix(words, ".") {
		return words
	}
	return words + "."
}

// Still returns what the rehearsal says of a plan that was made again. What is
// said of a bundle holds as long as machines get just that bundle; one that has
// lost a patch may resolve to something else, and one of whose kinds nobody
// answered is to be asked for again.
func (r Rehearsal) Still(items []patching.PlanItem) Rehearsal {
	holds := map[patching.Digest]bool{}
	for i := range items {
		if items[i].Ring != "" {
			holds[items[i].Bundle] = true
		}
	}
	for _, k := range r.Kinds {
		if !k.Answered {
			delete(holds, k.Bundle)
		}
	}
	return Rehearsal{Kinds: slices.DeleteFunc(slices.Clone(r.Kinds), func(k Rehearsed) bool { return !holds[k.Bundle] })}
}

// Count returns how many kinds are as planned, how many nobody answered for, and
// those that would be otherwise.
func (r Rehearsal) Count() (asPlanned, unanswered int, differ []Rehearsed) {
	for _, k := range r.Kinds {
		switch {
		case !k.Answered:
			unanswered++
		case k.Words == "":
			asPlanned++
		default:
			differ = append(differ, k)
		}
	}
	return asPlanned, unanswered, differ
}

// Words says it to the people who approve the plan.
func (r Rehearsal) Words() string {
	all := len(r.Kinds)
	asPlanned, unanswered, differ := r.Count()
	silent := len(r.Open())
	answered := all - unanswered
	switch {
	case all == 0:
		return ""
	case answered == 0 && silent == 0:
		return fmt.Sprintf("Rehearsed on none of %s: no machine lets itself be asked.", phrase.Count(all, "kind"))
	case answered == 0:
		return fmt.Sprintf("Rehearsed on none of %s: nobody answered.", phrase.Count(all, "kind"))
	}
	words := "Rehearsed on " + phrase.Count(answered, "machine")
	if unanswered == 0 && r.Beyond == 0 {
		words += ", one of each kind: "
	} else {
		words += fmt.Sprintf(", for %d of %d kinds: ", answered, all+r.Beyond)
	}
	switch {
	case asPlanned == answered:
		words += "all as planned."
	case asPlanned == 0:
		words += "none as planned."
	default:
		words += fmt.Sprintf("%d as planned.", asPlanned)
	}
	for _, k := range differ[:min(named, len(differ))] {
		words += fmt.Sprintf(" On %s, for %s of its kind: %s", k.Hostname, phrase.Count(k.Machines, "machine"), k.Words)
	}
	if more := len(differ) - named; more > 0 {
		words += fmt.Sprintf(" %s more would be otherwise.", phrase.Count(more, "kind"))
	}
	if silent > 0 {
		words += fmt.Sprintf(" Of %s nobody answered.", phrase.Count(silent, "kind"))
	}
	if mute := unanswered - silent; mute > 0 {
		words += fmt.Sprintf(" Of %s no machine lets itself be asked.", phrase.Count(mute, "kind"))
	}
	if r.Beyond > 0 {
		words += fmt.Sprintf(" %s with fewer machines: nobody was asked.", phrase.Count(r.Beyond, "kind"))
	}
	return words
}
