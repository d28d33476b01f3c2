package plan

import (
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// selectors are a policy's expressions, compiled once.
type selectors struct {
	whole      *policy.Selector
	rings      []*policy.Selector
	exclusions []exclusion
	backup     *policy.Selector // nil: none is required
}

type exclusion struct {
	policy.Exclusion
	takes *policy.Selector
}

func compile(p *policy.Policy) (s selectors, err error) {
	if s.whole, err = policy.Compile(p.Select); err != nil {
		return s, fmt.Errorf("the policy's select: %w", err)
	}
	if p.Backup.Require {
		if s.backup, err = policy.Compile(p.Backup.Select); err != nil {
			return s, fmt.Errorf("backup.select: %w", err)
		}
	}
	for _, r := range p.Rings {
		takes, err := policy.Compile(r.Select)
		if err != nil {
			return s, fmt.Errorf("ring %s: %w", r.Name, err)
		}
		s.rings = append(s.rings, takes)
	}
	for _, e := range p.Exclude {
		takes, err := policy.Compile(e.Select)
		if err != nil {
			return s, fmt.Errorf("exclusion %q: %w", e.Reason, err)
		}
		s.exclusions = append(s.exclusions, exclusion{e, takes})
	}
	return s, nil
}

// excluded returns the first exclusion in force that takes the asset.
func (s selectors) excluded(a *patching.Asset, now time.Time) (*policy.Exclusion, error) {
	for i := range s.exclusions {
		e := &s.exclusions[i]
		if !e.Until.IsZero() && !now.Before(e.Until) {
			continue
		}
		if ok, err := e.takes.Match(a); err != nil || ok {
			return &e.Exclusion, err
		}
	}
	return nil, nil
}
