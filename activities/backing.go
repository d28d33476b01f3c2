package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// BackupStore is what asking for backups needs of the store.
type BackupStore interface {
	Backups(ctx context.Context, f store.BackupFilter) ([]patching.Backup, error)
}

// backupsBy reads what is known of backups, where the policy asks for some.
func backupsBy(ctx context.Context, s BackupStore, p *policy.Policy, of []patching.AssetID) (map[patching.AssetID][]patching.Backup, error) {
	if !p.Backup.Require {
		return nil, nil
	}
	rows, err := s.Backups(ctx, store.BackupFilter{Assets: of})
	if err != nil {
		return nil, err
	}
	out := map[patching.AssetID][]patching.Backup{}
	for _, b := range rows {
		if b.Asset != "" {
			out[b.Asset] = append(out[b.Asset], b)
		}
	}
	return out, nil
}

// withoutBackup ends those machines of a wave that have no verified backup (any
// more), and returns the others: nothing is ordered of a machine that could not be
// restored (G12).
func (w *Waves) withoutBackup(ctx context.Context, wave contract.WaveInput, planned []patching.Deployment) ([]patching.Deployment, error) {
	record, err := w.Store.Cycle(ctx, wave.Cycle)
	if err != nil {
		return nil, err
	}
	p, err := readPolicy(ctx, w.Store, record.PolicyVersion)
	if err != nil || !p.Backup.Require || len(planned) == 0 {
		return planned, err
	}
	takes, err := policy.Compile(p.Backup.Select)
	if err != nil {
		return nil, fmt.Errorf("%w: policy %s: backup.select: %w", ErrRefused, p.Name, err)
	}
	assets, err := assetsOf(ctx, w.Store, planned)
	if err != nil {
		return nil, err
	}
	known, err := backupsBy(ctx, w.Store, p, slices.Collect(maps.Keys(assets)))
	if err != nil {
		return nil, err
	}
	lacking := map[string][]patching.AssetID{} // by why
	kept := make([]patching.Deployment, 0, len(planned))
	for _, d := range planned {
		a := assets[d.Asset]
		why, err := p.Backup.Lacks(takes, &a, known[d.Asset], w.Now())
		if err != nil {
			return nil, err
		}
		if why == "" {
			kept = append(kept, d)
			continue
		}
		lacking[why] = append(lacking[why], d.Asset)
	}
	for _, why := range slices.Sorted(maps.Keys(lacking)) {
		_, err := w.Store.EndDeployments(ctx, store.EndSpec{
			Cycle: wave.Cycle, Wave: wave.Wave.ID, Assets: lacking[why], States: []patching.DeploymentState{patching.DeploymentPlanned},
			Outcome: patching.Deferred, Reason: patching.ReasonNoBackup, Detail: why, At: w.Now(),
		})
		if err != nil {
			return nil, fmt.Errorf("defer machines without a backup: %w", err)
		}
	}
	return kept, nil
}

// BackingStore is what watching backups needs of the store.
type BackingStore interface {
	FleetStore
	BackupStore
	Policies(ctx context.Context) ([]store.PolicyVersion, error)
}

// Backing says which machines lack the backups that policies ask for, while no
// cycle asks.
type Backing struct {
	Store BackingStore
}

// Lack is a machine without the backup that a policy asks for.
type Lack struct {
	Policy patching.PolicyName
	Asset  patching.Asset
	Why    string
	// Verified is when its newest verified backup was made; zero: there is none.
	Verified time.Time
}

// Lacking lists them, by policy and machine.
func (b *Backing) Lacking(ctx context.Context, now time.Time) ([]Lack, error) {
	versions, err := b.Store.Policies(ctx)
	if err != nil {
		return nil, err
	}
	var out []Lack
	for _, v := range versions {
		p, err := policy.Adopted(string(v.Name), v.Source)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if !p.Backup.Require {
			continue
		}
		takes, err := policy.Compile(p.Backup.Select)
		if err != nil {
			return nil, fmt.Errorf("%w: policy %s: backup.select: %w", ErrRefused, p.Name, err)
		}
		assets, err := selected(ctx, b.Store, p)
		if err != nil {
			return nil, err
		}
		known, err := backupsBy(ctx, b.Store, p, nil)
		if err != nil {
			return nil, err
		}
		for _, a := range assets {
			if a.Device == "" {
				continue // nothing is upgraded there
			}
			switch why, err := p.Backup.Lacks(takes, &a, known[a.ID], now); {
			case err != nil:
				return nil, err
			case why != "":
				lack := Lack{Policy: p.Name, Asset: a, Why: why}
				for _, b := range known[a.ID] {
					if b.Verified.After(lack.Verified) {
						lack.Verified = b.Verified
					}
				}
				out = append(out, lack)
			}
		}
	}
	return out, nil
}
