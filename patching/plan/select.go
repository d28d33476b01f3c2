package plan

import (
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Selector says whether it takes an asset.
type Selector func(*patching.Asset) (bool, error)

// selectors are a policy's expressions, compiled once.
type selectors struct {
	whole      Selector
	rings      []Selector
	exclusions []exclusion
}

type exclusion struct {
	policy.Exclusion
	takes Selector
}

func compile(p *policy.Policy, compile func(string) (Selector, error)) (s selectors, err error) {
	if s.whole, err = compileOne("the policy", p.Select, compile); err != nil {
		return s, err
	}
	for _, r := range p.Rings {
		takes, err := compileOne("ring "+string(r.Name), r.Select, compile)
		if err != nil {
			return s, err
		}
		s.rings = append(s.rings, takes)
	}
	for _, e := range p.Exclude {
		takes, err := compileOne(fmt.Sprintf("exclusion %q", e.Reason), e.Select, compile)
		if err != nil {
			return s, err
		}
		s.exclusions = append(s.exclusions, exclusion{e, takes})
	}
	return s, nil
}

// compileOne names the expression in every error that it will ever give. An
// empty expression takes every asset.
func compileOne(what, expr string, compile func(string) (Selector, error)) (Selector, error) {
	if expr == "" {
		return func(*patching.Asset) (bool, error) { return true, nil }, nil
	}
	takes, err := compile(expr)
	if err != nil {
		return nil, fmt.Errorf("select of %s: %w", what, err)
	}
	return func(a *patching.Asset) (bool, error) {
		ok, err := takes(a)
		if err != nil {
			return false, fmt.Errorf("select of %s, on asset %s: %w", what, a.ID, err)
		}
		return ok, nil
	}, nil
}

// excluded returns the first exclusion in force that takes the asset.
func (s selectors) excluded(a *patching.Asset, now time.Time) (*policy.Exclusion, error) {
	for i := range s.exclusions {
		e := &s.exclusions[i]
		if !e.Until.IsZero() && !now.Before(e.Until) {
			continue
		}
		if ok, err := e.takes(a); err != nil || ok {
			return &e.Exclusion, err
		}
	}
	return nil, nil
}
