package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Admitted is what became of machines that are to come into a running cycle.
type Admitted struct {
	// Items are those of the machines that come in.
	Items []patching.PlanItem
	// Out says why the others do not.
	Out map[patching.AssetID]string
}

// Newcomers returns those of the machines that a cycle's plan has no place for yet, and
// says of the others where they are: in a ring, or taken out of the cycle.
func Newcomers(wanted []patching.AssetID, was []patching.Deployment) (free []patching.AssetID, in map[patching.AssetID]string) {
	at := map[patching.AssetID]patching.Deployment{}
	for _, d := range was {
		if d.Ring != "" || d.Exclude == patching.ReasonRemoved || d.Exclude == patching.ReasonTakenOver {
			at[d.Asset] = d
		}
	}
	in = map[patching.AssetID]string{}
	for _, id := range wanted {
		switch d, there := at[id]; {
		case !there:
			free = append(free, id)
		case d.State.Terminal():
			in[id] = d.Reason.Words() + " That is how it ended in this cycle."
		default:
			in[id] = fmt.Sprintf("It is in ring %s.", d.Ring)
		}
	}
	return free, in
}

// Admit plans machines that come into a running cycle, as one ring of their own, which
// in.Policy has. They begin after the other rings, which is what was foreseen of these.
// In is as for [Build], with those of the wanted that are known as Assets.
func Admit(in Input, wanted []patching.AssetID, ring patching.RingName, foreseen Forecast) (Admitted, error) {
	b, err := newBuilder(in)
	if err != nil {
		return Admitted{}, fmt.Errorf("admit machines to %s: %w", in.Cycle, err)
	}
	if err := b.sift(); err != nil {
		return Admitted{}, fmt.Errorf("admit machines to %s: %w", in.Cycle, err)
	}
	at := ringIndex(in, ring)
	if at == noRing {
		return Admitted{}, fmt.Errorf("admit machines to %s: the policy has no ring %q", in.Cycle, ring)
	}
	for _, m := range b.machines {
		if !m.out() {
			m.ring = at
		}
	}
	scheduler{in.Cycle, in.Kind, in.Policy}.run(b.machines, later(in.Now, foreseen.End))
	a := Admitted{Out: map[patching.AssetID]string{}}
	for _, id := range wanted {
		a.Out[id] = "There is no such machine."
	}
	for i := range in.Assets {
		a.Out[in.Assets[i].ID] = "The policy does not concern it."
	}
	for _, item := range itemsOf(b.machines) {
		if item.Ring == "" {
			a.Out[item.Asset] = item.Exclude.Sentence(item.Why)
			continue
		}
		delete(a.Out, item.Asset)
		a.Items = append(a.Items, item)
	}
	return a, nil
}

// Judge has each machine that comes in looked at: it stays as it is returned, or does not
// come in for the reason that is given in a sentence.
func (a *Admitted) Judge(look func(patching.PlanItem) (stays patching.PlanItem, refused string, err error)) error {
	var stay []patching.PlanItem
	for _, i := range a.Items {
		item, refused, err := look(i)
		switch {
		case err != nil:
			return err
		case refused != "":
			a.Out[i.Asset] = refused
		default:
			stay = append(stay, item)
		}
	}
	a.Items = stay
	return nil
}

// Into returns the items of a plan with those that come in. All others stay as they are.
func (a Admitted) Into(items []patching.PlanItem) []patching.PlanItem {
	comes := map[patching.AssetID]bool{}
	for _, i := range a.Items {
		comes[i.Asset] = true
	}
	stay := slices.DeleteFunc(slices.Clone(items), func(i patching.PlanItem) bool { return comes[i.Asset] })
	all := slices.Concat(stay, a.Items)
	slices.SortStableFunc(all, func(x, y patching.PlanItem) int { return boolCompare(x.Ring == "", y.Ring == "") })
	return all
}

// Grown returns nil if after is before and nothing else but the machines of a ring: what
// was approved of the other rings covers them as it did.
func Grown(before, after []patching.PlanItem, ring patching.RingName) error {
	was := make(map[patching.AssetID]patching.PlanItem, len(before))
	for _, i := range before {
		was[i.Asset] = i
	}
	for _, i := range after {
		old, known := was[i.Asset]
		delete(was, i.Asset)
		switch {
		case known && old == i:
		case known && old.Ring != "":
			return fmt.Errorf("%s is in ring %s already", i.Asset, old.Ring)
		case i.Ring != ring:
			return fmt.Errorf("%s comes in by ring %q, not %s", i.Asset, i.Ring, ring)
		}
	}
	for id := range was {
		return fmt.Errorf("%s has left, while others came in", id)
	}
	return nil
}

// admittedRing names rings of machines that came in later.
const admittedRing = "added-"

// RingForAdmitted returns the ring that machines come in by: the plan's last, if it is
// one of such machines for which nobody has been asked to decide yet, else a new one.
// Undecided reports whether a ring of the plan is.
func RingForAdmitted(p *policy.Policy, rings []patching.PlanRing, undecided func(patching.RingName) bool) patching.RingName {
	own := func(name patching.RingName) bool { _, ok := p.Ring(name); return ok }
	if n := len(rings); n > 0 && !own(rings[n-1].Name) && undecided(rings[n-1].Name) {
		return rings[n-1].Name
	}
	for n := 1; ; n++ {
		name := patching.RingName(fmt.Sprintf("%s%d", admittedRing, n))
		if !own(name) && !slices.ContainsFunc(rings, func(r patching.PlanRing) bool { return r.Name == name }) {
			return name
		}
	}
}

// Words says who comes in and who does not, by the names that machines go by.
func (a Admitted) Words(ring patching.RingName, name func(patching.AssetID) string) string {
	words := "No machine comes in."
	if n := len(a.Items); n > 0 {
		verb := "come"
		if n == 1 {
			verb = "comes"
		}
		words = fmt.Sprintf("%s %s in as ring %s, after all others; people approve it before it begins.", phrase.Count(n, "machine"), verb, ring)
	}
	out := slices.Sorted(maps.Keys(a.Out))
	for n, id := range out {
		if n == maxNamed {
			return words + fmt.Sprintf(" %d more do not.", len(out)-n)
		}
		words += fmt.Sprintf(" %s does not: %s", name(id), a.Out[id])
	}
	return words
}

// maxNamed bounds the machines that are named in an answer.
const maxNamed = 20
