// Package plan decides who gets what, when and in which order, who is left out
// and why, and forecasts how it will go. It is a function of values: the same
// input gives the same plan, whatever the order in which assets are listed.
package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Input is all that a plan is made from.
type Input struct {
	Cycle patching.CycleID
	Kind  patching.Kind
	// Revision is 1 for the first plan of a cycle.
	Revision int
	Shadow   bool
	Author   patching.AccountName
	// Roles are the author's: some freezes may be passed by some in an emergency.
	Roles         []patching.Role
	Now           time.Time
	CloseBy       time.Time
	Policy        *policy.Policy
	PolicyVersion patching.Digest
	// Assets are all that are known; the policy selects among them.
	Assets []patching.Asset
	// Bundles says what was resolved for each kind of machine.
	Bundles map[BundleKey]BundleRef
	// Busy are machines that another cycle has locked.
	Busy map[patching.AssetID]patching.CycleID
	// CarryOver are machines that an earlier cycle did not reach: they go first.
	CarryOver []patching.AssetID
	// Out are machines that leave, with the reason: people took them out, or a
	// plan is made again without them.
	Out map[patching.AssetID]Leave
	// Held is what tells machines on which people hold packages apart from others of their
	// kind, as in the keys of Bundles; machines that are not in it: nothing does. Excepted
	// are machines that people let go unpatched, with their words.
	Held     map[patching.AssetID]patching.Digest
	Excepted map[patching.AssetID]string
	// Backups are what is known of machines' backups, where the policy asks for some.
	Backups map[patching.AssetID][]patching.Backup
}

// BundleKey is a kind of machine: what is installed on it and offered to it, and what
// people hold of that (see [assess.Held]); empty: nothing.
type BundleKey struct{ Packages, Candidates, Held patching.Digest }

// KeyOf returns the kind that an asset belongs to where people hold nothing.
func KeyOf(a *patching.Asset) BundleKey {
	return BundleKey{Packages: a.Packages, Candidates: a.Candidates}
}

func (in *Input) keyOf(a *patching.Asset) BundleKey {
	key := KeyOf(a)
	key.Held = in.Held[a.ID]
	return key
}

// BundleRef is what was resolved for a kind of machine.
type BundleRef struct {
	Bundle patching.Digest
	// Rollback addresses the bundle that undoes Bundle; empty: irreversible.
	Rollback patching.Digest
	// Empty says that the policy would install nothing.
	Empty bool
	// HeldBy says what people hold that the policy would install, and by which decisions;
	// empty: nothing.
	HeldBy string
	// KeptBack names packages with an update that the machine's manager does not take.
	KeptBack []string
}

// Leave says why a machine leaves a plan. Why completes the reason with names.
type Leave struct {
	Reason patching.Reason
	Why    string
}

// Output is a plan with the rows that it decides by.
type Output struct {
	// Plan has no ring roots yet: whoever knows the devices' keys seals it.
	Plan patching.Plan
	// Items has each selected asset once, in a ring or with an exclusion: rings
	// in their order, then waves by start, then position; then what is left out.
	Items []patching.PlanItem
	// NotSelected counts the assets that the policy does not concern.
	NotSelected int
}

// Build makes a plan. It fails where the policy cannot be carried out: an
// expression that breaks on an asset, a window that cannot be read, or
// machines without any to test on before them.
func Build(in Input) (Output, error) {
	b, err := newBuilder(in)
	if err != nil {
		return Output{}, fmt.Errorf("make plan of %s: %w", in.Cycle, err)
	}
	if err := b.sift(); err != nil {
		return Output{}, fmt.Errorf("make plan of %s: %w", in.Cycle, err)
	}
	if err := b.assignRings(); err != nil {
		return Output{}, fmt.Errorf("make plan of %s: %w", in.Cycle, err)
	}
	scheduler{in.Cycle, in.Kind, in.Policy}.run(b.machines, in.Now)
	out := Output{Items: itemsOf(b.machines), NotSelected: b.notSelected}
	out.Plan = Summarize(patching.Plan{
		Cycle: in.Cycle, Revision: max(1, in.Revision), Kind: in.Kind, Shadow: in.Shadow,
		Policy: in.Policy.Name, PolicyVersion: in.PolicyVersion, Author: in.Author,
		Made: in.Now, CloseBy: in.CloseBy, Rings: []patching.PlanRing{{Name: policy.TestRing, StandIns: b.standIns}},
	}, out.Items)
	return out, nil
}

// Summarize returns p with its rings and exclusions counted anew from items,
// without roots. Rings stand in the order in which items name them; who stands
// in for whom stays as p has it.
func Summarize(p patching.Plan, items []patching.PlanItem) patching.Plan {
	standIns := map[patching.RingName]string{}
	for _, r := range p.Rings {
		standIns[r.Name] = r.StandIns
	}
	p.Rings, p.Excluded = nil, map[patching.Reason]int{}
	at := map[patching.RingName]int{}
	for i := range items {
		if items[i].Ring == "" {
			p.Excluded[items[i].Exclude]++
			continue
		}
		n, seen := at[items[i].Ring]
		if !seen {
			n = len(p.Rings)
			at[items[i].Ring] = n
			p.Rings = append(p.Rings, patching.PlanRing{Name: items[i].Ring, StandIns: standIns[items[i].Ring]})
		}
		p.Rings[n].Assets++
	}
	return p
}

// builder makes one plan.
type builder struct {
	Input
	sel      selectors
	calendar *calendar
	carry    map[patching.AssetID]bool
	machines []*machine
	// standIns says in words who tests in the place of whom; empty: nobody.
	standIns string
	// notSelected counts what the policy does not concern.
	notSelected int
}

// machine is an asset on its way through a plan.
type machine struct {
	asset *patching.Asset // nil where only an item is planned again
	item  patching.PlanItem
	// ring is the index of its ring in the policy; noRing while it has none.
	ring int
	// name is what it calls itself, or its id. carried and the name's hash are its
	// rank among equals; of two with one name the id decides.
	name    string
	carried bool
	hash    uint64
	// round counts machines with the same bundle before it in its cell.
	round int
	// alone says that patchcycle itself runs there; turn is the place that it had
	// among such machines, from 1, where it was planned before.
	alone bool
	turn  int
	// slots are the times in which it can be patched, by start.
	slots []slot
}

const noRing = -1

func newBuilder(in Input) (*builder, error) {
	if in.Policy == nil {
		return nil, errors.New("there is no policy")
	}
	b := &builder{Input: in, carry: map[patching.AssetID]bool{}}
	for _, id := range in.CarryOver {
		b.carry[id] = true
	}
	var err error
	if b.sel, err = compile(in.Policy); err != nil {
		return nil, err
	}
	b.calendar, err = newCalendar(in)
	return b, err
}

// leave takes a machine out of the plan.
func (m *machine) leave(reason patching.Reason, why string) {
	m.ring = noRing
	m.item = without(m.item, Leave{reason, why})
}

func (m *machine) out() bool { return m.item.Exclude != "" }

// before is the order in which machines of one wave get their turn.
func (m *machine) before(o *machine) int {
	return cmp.Or(boolCompare(o.carried, m.carried), cmp.Compare(m.hash, o.hash), cmp.Compare(m.item.Asset, o.item.Asset))
}

// itemsOf returns the machines' items in the order of [Output.Items].
func itemsOf(machines []*machine) []patching.PlanItem {
	slices.SortFunc(machines, func(x, y *machine) int {
		if x.out() || y.out() {
			return cmp.Or(boolCompare(x.out(), y.out()), cmp.Compare(x.item.Asset, y.item.Asset))
		}
		return cmp.Or(cmp.Compare(x.ring, y.ring), x.item.Start.Compare(y.item.Start),
			cmp.Compare(x.item.Wave, y.item.Wave), cmp.Compare(x.item.Position, y.item.Position))
	})
	items := make([]patching.PlanItem, len(machines))
	for i, m := range machines {
		items[i] = m.item
	}
	return items
}

// boolCompare puts false before true.
func boolCompare(x, y bool) int {
	switch {
	case x == y:
		return 0
	case y:
		return -1
	default:
		return 1
	}
}
