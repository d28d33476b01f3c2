package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
)

// Less says what a plan loses: after the test ring what failed there, in the
// middle of a cycle what people take out.
type Less struct {
	// Begun are rings that have begun: their items stay as they are.
	Begun []patching.RingName
	// Out are machines that leave.
	Out map[patching.AssetID]Leave
	// Bundles are those that lose patches, by the old address.
	Bundles map[patching.Digest]BundleRef
	// Withdrawn says of each bundle of which nothing remains who took what out of
	// it, and why. Its machines leave: they still miss it.
	Withdrawn map[patching.Digest]string
}

// Shrink returns what remains of a plan's items. What stays keeps its ring and
// its window rule, so that what was approved covers it: see [Shrunk].
func Shrink(items []patching.PlanItem, less Less) []patching.PlanItem {
	left := slices.Clone(items)
	for i, item := range items {
		if item.Ring == "" || slices.Contains(less.Begun, item.Ring) {
			continue
		}
		if out, gone := less.Out[item.Asset]; gone {
			left[i] = without(item, out)
			continue
		}
		if why, gone := less.Withdrawn[item.Bundle]; gone {
			left[i] = without(item, Leave{patching.ReasonWithdrawn, why})
		} else if ref, changed := less.Bundles[item.Bundle]; changed {
			left[i].Bundle, left[i].Rollback = ref.Bundle, ref.Rollback
		}
	}
	slices.SortStableFunc(left, func(x, y patching.PlanItem) int {
		if x.Ring == "" && y.Ring == "" {
			return cmp.Compare(x.Asset, y.Asset)
		}
		return boolCompare(x.Ring == "", y.Ring == "")
	})
	return left
}

// without returns the item of a machine that is left out.
func without(i patching.PlanItem, l Leave) patching.PlanItem {
	return patching.PlanItem{
		Asset: i.Asset, Device: i.Device, Site: i.Site, Stratum: i.Stratum,
		Exclude: l.Reason, Why: l.Why, Would: cmp.Or(i.Bundle, i.Would),
	}
}

// Shrunk returns nil if after is no more than before: the same machines, none
// of them in a plan that was out of it, none in another ring, under another
// window rule or with a patch that it did not have. Which occurrence of its
// window a machine uses may change: the rule is what was approved.
//
// Within says whether a bundle contains only patches of another; nil: a bundle
// is within itself only.
func Shrunk(before, after []patching.PlanItem, within func(part, whole patching.Digest) bool) error {
	was := make(map[patching.AssetID]*patching.PlanItem, len(before))
	for i := range before {
		was[before[i].Asset] = &before[i]
	}
	for i := range after {
		old, known := was[after[i].Asset]
		if !known {
			return fmt.Errorf("%s was not in the plan before, or is in it twice now", after[i].Asset)
		}
		if err := shrunk(old, &after[i], within); err != nil {
			return fmt.Errorf("%s %w", after[i].Asset, err)
		}
		delete(was, after[i].Asset)
	}
	for id := range was {
		return fmt.Errorf("%s is missing: a machine that leaves has to say why", id)
	}
	return nil
}

func shrunk(old, item *patching.PlanItem, within func(part, whole patching.Digest) bool) error {
	same := old.Bundle == item.Bundle
	switch {
	case item.Ring == "" && item.Exclude == "":
		return errors.New("has neither a ring nor a reason to be left out")
	case item.Ring == "":
		return nil
	case item.Exclude != "":
		return errors.New("has a ring and a reason to be left out")
	case old.Ring == "":
		return errors.New("was left out before")
	case old.Ring != item.Ring:
		return fmt.Errorf("moved from ring %s to ring %s", old.Ring, item.Ring)
	case old.Device != item.Device:
		return errors.New("has another device")
	case old.Site != item.Site || old.WindowRule != item.WindowRule:
		return errors.New("has another window rule")
	case same && old.Rollback != item.Rollback:
		return errors.New("has another way back")
	case !same && (within == nil || !within(item.Bundle, old.Bundle)):
		return errors.New("has patches that it did not have before")
	}
	return nil
}
