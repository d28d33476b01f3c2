package backups

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/integrations/backups"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// ask asks a place what it holds, verifies it if it is time, and keeps that. It
// returns what keeps us from relying on it, in words.
func (k *Keeper) ask(ctx context.Context, r backups.Repository, verify bool) (trouble string) {
	tool := backups.Tools()[r.Tool]
	began := k.Now().UTC()
	k.mark(r.Name, func(s *state) { s.asked, s.next = began, began.Add(min(r.Every, retry)) })
	all, err := tool.List(ctx, r)
	if err != nil {
		return "It does not answer: " + err.Error() // what was known before grows old by itself
	}
	before, err := k.Record.Backups(ctx, store.BackupFilter{Source: r.Name})
	if err != nil {
		return err.Error()
	}
	held := newest(all)
	rows := take(r, held, before, began)
	verified := map[string]patching.BackupProof{}
	if verify {
		verified, trouble = k.verify(ctx, tool, r, held)
		if verified == nil {
			rows = distrust(rows)
		}
	} else if k.shape(r).Trouble != "" {
		trouble = k.shape(r).Trouble // only another check says that it is over
	}
	prove(rows, held, verified, began)
	if err := k.match(ctx, rows); err != nil {
		return err.Error()
	}
	if err := k.Record.PutBackups(ctx, r.Name, rows); err != nil {
		return err.Error()
	}
	k.Log.Info("asked for backups", zap.String("source", r.Name), zap.Int("machines", len(rows)), zap.Int("verified", len(verified)))
	return trouble
}

// retry is how long after a try at the least the next one begins, whatever came of it.
const retry = 10 * time.Minute

func (k *Keeper) mark(name string, change func(*state)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change(k.states[name])
}

// verify reads the data, and restores what is to be restored. A nil map says that
// the place does not hold what it should.
func (k *Keeper) verify(ctx context.Context, tool backups.Tool, r backups.Repository, held map[string]machine) (proven map[string]patching.BackupProof, trouble string) {
	proven = map[string]patching.BackupProof{}
	switch err := tool.Check(ctx, r); {
	case errors.Is(err, backups.ErrBusy):
		return proven, "It could not be verified: " + err.Error()
	case err != nil:
		k.mark(r.Name, func(s *state) { s.verified = k.Now().UTC() })
		return nil, "Its check failed, and no backup of it is relied upon: " + err.Error()
	}
	var lost []string
	for _, host := range slices.Sorted(maps.Keys(held)) {
		switch {
		case r.Tool == "hook": // says so itself
		case r.Restore == "":
			proven[host] = patching.ProofChecked
		default:
			text, err := tool.Restore(ctx, r, held[host].last, r.Restore)
			if err != nil || len(text) == 0 {
				lost = append(lost, host)
				continue
			}
			proven[host] = patching.ProofRestored
		}
	}
	k.mark(r.Name, func(s *state) { s.verified = k.Now().UTC() })
	if len(lost) > 0 {
		const shown = 5
		trouble = r.Restore + " could not be restored from the newest backup of " + strings.Join(lost[:min(len(lost), shown)], ", ")
		if len(lost) > shown {
			trouble += " and others"
		}
		trouble += "."
	}
	return proven, trouble
}

// machine is what a place holds of one machine: the newest backup, and the newest
// that its tool says is good.
type machine struct {
	last, proven backups.Snapshot
	// times are those of all of its backups, in microseconds.
	times map[int64]bool
}

func newest(all []backups.Snapshot) map[string]machine {
	out := map[string]machine{}
	for _, s := range all {
		m, known := out[s.Host]
		if !known {
			m.times = map[int64]bool{}
		}
		m.times[s.At.UnixMicro()] = true
		if s.At.After(m.last.At) {
			m.last = s
		}
		if s.Proof != patching.ProofNone && s.At.After(m.proven.At) {
			m.proven = s
		}
		out[s.Host] = m
	}
	return out
}

// take makes a row of each machine. A backup that was proven before and is not
// there any more proves nothing: what was pruned cannot be restored.
func take(r backups.Repository, held map[string]machine, before []patching.Backup, now time.Time) []patching.Backup {
	was := map[string]patching.Backup{}
	for _, b := range before {
		was[b.Host] = b
	}
	rows := make([]patching.Backup, 0, len(held))
	for _, host := range slices.Sorted(maps.Keys(held)) {
		b := was[host]
		if !held[host].times[b.Verified.UnixMicro()] {
			b.Verified, b.Proof, b.Checked = time.Time{}, patching.ProofNone, time.Time{}
		}
		b.Source, b.Tool, b.Host, b.Last, b.Asked = r.Name, r.Tool, host, held[host].last.At.UTC(), now
		if r.Tool == "hook" {
			p := held[host].proven
			b.Verified, b.Proof, b.Checked = p.At.UTC(), p.Proof, now
			if p.Proof == patching.ProofNone {
				b.Verified, b.Checked = time.Time{}, time.Time{}
			}
		}
		rows = append(rows, b)
	}
	return rows
}

// prove notes what was proven of the newest backups.
func prove(rows []patching.Backup, held map[string]machine, proven map[string]patching.BackupProof, now time.Time) {
	for i := range rows {
		if p := proven[rows[i].Host]; p != patching.ProofNone {
			rows[i].Verified, rows[i].Proof, rows[i].Checked = held[rows[i].Host].last.At.UTC(), p, now
		}
	}
}

// distrust takes all proofs back.
func distrust(rows []patching.Backup) []patching.Backup {
	for i := range rows {
		rows[i].Verified, rows[i].Proof, rows[i].Checked = time.Time{}, patching.ProofNone, time.Time{}
	}
	return rows
}

// match finds the machine of each name: by its whole hostname, else, where only one
// of the two has a domain, by what stands before it. A name that two machines have is nobody's: one of them would
// pass for backed up by the other's backups.
func (k *Keeper) match(ctx context.Context, rows []patching.Backup) error {
	assets, err := k.Record.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return err
	}
	whole, short := map[string][]patching.AssetID{}, map[string][]patching.AssetID{}
	for _, a := range assets {
		name := strings.ToLower(a.Hostname)
		whole[name] = append(whole[name], a.ID)
		if first, _, domain := strings.Cut(name, "."); domain {
			short[first] = append(short[first], a.ID)
		}
	}
	for i := range rows {
		name := strings.ToLower(rows[i].Host)
		ids := whole[name]
		if first, _, domain := strings.Cut(name, "."); len(ids) == 0 && domain {
			ids = whole[first]
		} else if len(ids) == 0 {
			ids = short[name]
		}
		rows[i].Asset = ""
		if len(ids) == 1 {
			rows[i].Asset = ids[0]
		}
	}
	slices.SortFunc(rows, func(a, b patching.Backup) int { return cmp.Compare(a.Host, b.Host) })
	return nil
}
