package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Assessing finds out what machines miss, once for each kind of machine.
type Assessing struct {
	Store FleetStore
	Now   Clock
}

// Assess counts what the policy's machines miss.
func (a *Assessing) Assess(ctx context.Context, in contract.AssessIn) (contract.AssessOut, error) {
	stop := beat(ctx)
	defer stop()
	p, err := readPolicy(ctx, a.Store, in.Version)
	if err != nil {
		return contract.AssessOut{}, err
	}
	assets, err := selected(ctx, a.Store, p)
	if err != nil {
		return contract.AssessOut{}, err
	}
	f, err := assessFleet(ctx, newReader(a.Store), p, assets, a.Now(), holding{})
	if err != nil {
		return contract.AssessOut{}, err
	}
	return f.counts(assets, p, a.Now()), nil
}

// fleet is what was found out about each kind of machine.
type fleet struct {
	kinds map[plan.BundleKey]assess.Assessment
	// holding is what people hold on its machines.
	holding holding
	// unknown counts machines whose sets were never sent.
	unknown int
}

func assessFleet(ctx context.Context, read *reader, p *policy.Policy, assets []patching.Asset, now time.Time, h holding) (fleet, error) {
	f := fleet{kinds: map[plan.BundleKey]assess.Assessment{}, holding: h}
	for i := range assets {
		key := h.keyOf(&assets[i])
		if key.Packages == "" || key.Candidates == "" {
			f.unknown++
			continue
		}
		if _, done := f.kinds[key]; done {
			continue
		}
		set, err := read.packages(ctx, key.Packages)
		var offered patching.CandidateSet
		if err == nil {
			offered, err = read.candidates(ctx, key.Candidates)
		}
		switch {
		case errors.Is(err, store.ErrNotFound): // cut off between the list's name and the list
			f.unknown++
		case err != nil:
			return fleet{}, fmt.Errorf("machine %s: %w", assets[i].ID, err)
		default:
			f.kinds[key] = assess.Findings(set, offered, p.Patches, now).Hold(h.by[key.Held])
		}
	}
	return f, nil
}

func (f fleet) counts(assets []patching.Asset, p *policy.Policy, now time.Time) contract.AssessOut {
	out := contract.AssessOut{Machines: len(assets), Sets: len(f.kinds)}
	patches, security := map[string]bool{}, map[string]bool{}
	for _, a := range f.kinds {
		for _, c := range a.Deploy() {
			id := c.Name + " " + c.Arch + " " + c.To
			patches[id] = true
			if c.Security {
				security[id] = true
			}
		}
	}
	for i := range assets {
		if a, known := f.kinds[f.holding.keyOf(&assets[i])]; known && !a.UpToDate() {
			out.Missing++
		}
		if p.Fresh > 0 && now.Sub(assets[i].Inventoried) > p.Fresh {
			out.Stale++
		}
	}
	out.Patches, out.Security = len(patches), len(security)
	if f.unknown > 0 {
		out.Blind = append(out.Blind, fmt.Sprintf("%d machines never said what is installed on them", f.unknown))
	}
	return out
}

// bundles resolves each kind's bundle and what undoes it, and returns their
// texts to be kept.
func (f fleet) bundles(p *policy.Policy, from supply) (refs map[plan.BundleKey]plan.BundleRef, texts [][]byte) {
	refs = map[plan.BundleKey]plan.BundleRef{}
	for _, key := range slices.SortedFunc(maps.Keys(f.kinds), compareKeys) {
		b := assess.Bundle(f.kinds[key], p.Patches, from.back)
		if from.sources != "" {
			b = assess.From(b, from.sources, from.has)
		}
		ref, more := refOf(b)
		ref.KeptBack, ref.HeldBy = f.kinds[key].KeptBack, f.kinds[key].HeldBy()
		refs[key], texts = ref, append(texts, more...)
	}
	return refs, texts
}

func refOf(b patching.Bundle) (plan.BundleRef, [][]byte) {
	if b.Empty() {
		return plan.BundleRef{Empty: true}, nil
	}
	ref, texts := plan.BundleRef{Bundle: b.Digest()}, [][]byte{b.Canonical()}
	if undo, ok := b.Revert(); ok {
		ref.Rollback, texts = undo.Digest(), append(texts, undo.Canonical())
	}
	return ref, texts
}

func compareKeys(a, b plan.BundleKey) int {
	return slices.Compare([]patching.Digest{a.Packages, a.Candidates, a.Held}, []patching.Digest{b.Packages, b.Candidates, b.Held})
}
