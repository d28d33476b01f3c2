package activities

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
)

// FleetStore is what reading a fleet needs of the store.
type FleetStore interface {
	Content(ctx context.Context, d patching.Digest) ([]byte, error)
	Assets(ctx context.Context, f store.AssetFilter) ([]patching.Asset, error)
	Asset(ctx context.Context, id patching.AssetID) (patching.Asset, error)
}

// readPolicy reads the version that a cycle runs under.
func readPolicy(ctx context.Context, s FleetStore, version patching.Digest) (*policy.Policy, error) {
	text, err := s.Content(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("policy version %s: %w", version.Short(), err)
	}
	p, err := policy.Adopted("policy "+version.Short(), text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return p, nil
}

// selected returns the assets that the policy takes.
func selected(ctx context.Context, s FleetStore, p *policy.Policy) ([]patching.Asset, error) {
	all, err := s.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	return taken(p, all)
}

// taken returns those of the assets that the policy takes.
func taken(p *policy.Policy, all []patching.Asset) ([]patching.Asset, error) {
	if p.Select == "" {
		return all, nil
	}
	sel, err := policy.Compile(p.Select)
	if err != nil {
		return nil, fmt.Errorf("%w: policy %s: select: %w", ErrRefused, p.Name, err)
	}
	var ours []patching.Asset
	for i := range all {
		ok, err := sel.Match(&all[i])
		if err != nil {
			return nil, fmt.Errorf("policy %s: select %s: %w", p.Name, all[i].Hostname, err)
		}
		if ok {
			ours = append(ours, all[i])
		}
	}
	return ours, nil
}

// assetLister is the part of a store that answers for many machines at once.
type assetLister interface {
	Assets(ctx context.Context, f store.AssetFilter) ([]patching.Asset, error)
}

// assetsOf reads the machines of deployments, many in one question. A machine
// that is not known is an error.
func assetsOf(ctx context.Context, s assetLister, rows []patching.Deployment) (map[patching.AssetID]patching.Asset, error) {
	ids := make([]patching.AssetID, len(rows))
	for i, d := range rows {
		ids[i] = d.Asset
	}
	out := make(map[patching.AssetID]patching.Asset, len(rows))
	err := inChunks(ids, func(some []patching.AssetID) error {
		assets, err := s.Assets(ctx, store.AssetFilter{IDs: some})
		for _, a := range assets {
			out[a.ID] = a
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("machines: %w", err)
	}
	for _, id := range ids {
		if _, ok := out[id]; !ok {
			return nil, fmt.Errorf("machine %s: %w", id, store.ErrNotFound)
		}
	}
	return out, nil
}

// reader reads content-addressed sets once each: a fleet has few distinct ones.
type reader struct {
	store    FleetStore
	sets     map[patching.Digest]patching.PackageSet
	offered  map[patching.Digest]patching.CandidateSet
	resolved map[patching.Digest]patching.Bundle
}

func newReader(s FleetStore) *reader {
	return &reader{
		store: s, sets: map[patching.Digest]patching.PackageSet{},
		offered: map[patching.Digest]patching.CandidateSet{}, resolved: map[patching.Digest]patching.Bundle{},
	}
}

func (r *reader) packages(ctx context.Context, d patching.Digest) (patching.PackageSet, error) {
	return readOnce(ctx, r.store, r.sets, d, "package set", patching.ParsePackageSet)
}

func (r *reader) candidates(ctx context.Context, d patching.Digest) (patching.CandidateSet, error) {
	return readOnce(ctx, r.store, r.offered, d, "candidate set", patching.ParseCandidateSet)
}

func (r *reader) bundle(ctx context.Context, d patching.Digest) (patching.Bundle, error) {
	return readOnce(ctx, r.store, r.resolved, d, "bundle", patching.ParseBundle)
}

// shows reports whether what the machine has now is what the bundle was to
// install, and else what is missing.
func (r *reader) shows(ctx context.Context, a patching.Asset, bundle patching.Digest) (ok bool, missing []string, err error) {
	b, err := r.bundle(ctx, bundle)
	if err != nil {
		return false, nil, err
	}
	set, err := r.packages(ctx, a.Packages)
	if err != nil {
		return false, nil, err
	}
	ok, missing = assess.Verify(b, set)
	return ok, missing, nil
}

func readOnce[T any](ctx context.Context, s FleetStore, known map[patching.Digest]T, d patching.Digest, what string, parse func([]byte) (T, error)) (T, error) {
	if v, ok := known[d]; ok {
		return v, nil
	}
	var none T
	text, err := s.Content(ctx, d)
	if err != nil {
		return none, fmt.Errorf("%s %s: %w", what, d.Short(), err)
	}
	v, err := parse(text)
	if err != nil {
		return none, fmt.Errorf("%w: %s %s: %w", ErrRefused, what, d.Short(), err)
	}
	known[d] = v
	return v, nil
}
