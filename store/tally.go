package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Tally counts a slice, in one question, from what machines and server said:
// PathDown and Reported stay 0 and are the caller's to fill (see
// [Store.WaitingByRelay]).
//
// Host-hours run, for every machine that said it was patched, from its answer
// until the slice's Now, whatever it has said since: a machine that falls
// silent is found by the fresh inventory that ends a soak.
func (s *Store) Tally(ctx context.Context, of Slice) (patching.Tally, error) {
	now := of.Now
	if now.IsZero() {
		now = time.Now()
	}
	f := s.filter()
	f.slice("", of)
	t := patching.Tally{Outcomes: make(map[patching.Outcome]int)}
	signatures, strata := make(map[string]int), make(map[string]*patching.StratumCount)
	err := s.reader().each(ctx, func(row scanner) error {
		var g tallyGroup
		if err := row.Scan(&g.stratum, &g.outcome, &g.signature, &g.released, &g.answered, &g.count, &g.since, &g.last); err != nil {
			return err
		}
		g.add(&t, signatures, strata, now)
		return nil
	}, `SELECT stratum, outcome, signature, released > 0, answered > 0, COUNT(*), CAST(SUM(answered / 1000000) AS BIGINT), MAX(answered)
		FROM deployments`+f.where()+" GROUP BY outcome, stratum, signature, released > 0, answered > 0", f.args...)
	if err != nil {
		return patching.Tally{}, fmt.Errorf("tally %s%s: %w", of.Cycle, of.Wave, err)
	}
	for _, name := range slices.Sorted(maps.Keys(signatures)) {
		t.Signatures = append(t.Signatures, patching.SignatureCount{Signature: name, Count: signatures[name]})
	}
	for _, name := range slices.Sorted(maps.Keys(strata)) {
		t.Strata = append(t.Strata, *strata[name])
	}
	t.Normalize()
	return t, nil
}

// tallyGroup counts deployments that are alike.
type tallyGroup struct {
	stratum   string
	outcome   patching.Outcome
	signature string
	released  bool
	answered  bool
	count     int
	since     int64 // answers, summed, in seconds since 1970
	last      int64 // the newest answer
}

func (g tallyGroup) add(t *patching.Tally, signatures map[string]int, strata map[string]*patching.StratumCount, now time.Time) {
	t.Planned += g.count
	// A machine that refuses its order before it was told to start was offered it.
	// One that was told and deferred without an answer had its permit taken back: it
	// is not waited for, and its silence says nothing.
	if g.answered || g.released && g.outcome != patching.Deferred {
		t.Released += g.count
	}
	if g.outcome != "" {
		t.Outcomes[g.outcome] += g.count
	}
	if g.outcome.Bad() && g.signature != "" {
		signatures[g.signature] += g.count
	}
	if !g.answered {
		return
	}
	t.Answered += g.count
	if last := fromMicros(g.last); last.After(t.LastAnswer) {
		t.LastAnswer = last
	}
	if g.outcome == patching.Patched {
		t.HostHours += max(0, float64(now.Unix()*int64(g.count)-g.since)/3600)
	}
	if strata[g.stratum] == nil {
		strata[g.stratum] = &patching.StratumCount{Stratum: g.stratum}
	}
	strata[g.stratum].Answered += g.count
	if g.outcome.Bad() {
		strata[g.stratum].Bad += g.count
	}
}

// WaitingByRelay counts, by the route on which they were last heard (empty is
// direct), the machines of a slice that were released and have not answered.
func (s *Store) WaitingByRelay(ctx context.Context, of Slice) (map[string]int, error) {
	f := s.filter()
	f.slice("p.", of)
	f.and("p.released > 0 AND p.answered = 0 AND p.state <> 'done'")
	out := make(map[string]int)
	err := s.reader().each(ctx, func(row scanner) error {
		var relay string
		var n int
		err := row.Scan(&relay, &n)
		out[relay] = n
		return err
	}, "SELECT COALESCE(d.relay, ''), COUNT(*) FROM deployments p LEFT JOIN devices d ON d.id = p.device"+f.where()+
		" GROUP BY COALESCE(d.relay, '')", f.args...)
	if err != nil {
		return nil, fmt.Errorf("count who waits in %s%s: %w", of.Cycle, of.Wave, err)
	}
	return out, nil
}

// CycleCounts counts a cycle's deployments, those that have ended by outcome,
// the repairs that machines made and what cleaning up gave back, in bytes.
func (s *Store) CycleCounts(ctx context.Context, c patching.CycleID) (planned int, outcomes map[patching.Outcome]int, repairs int, freed int64, err error) {
	outcomes = make(map[patching.Outcome]int)
	read := s.reader()
	err = read.each(ctx, func(row scanner) error {
		var o patching.Outcome
		var n int
		err := row.Scan(&o, &n)
		planned += n
		if o != "" {
			outcomes[o] = n
		}
		return err
	}, "SELECT outcome, COUNT(*) FROM deployments WHERE cycle = ? GROUP BY outcome", string(c))
	if err == nil {
		err = read.row(ctx, []any{&repairs, &freed}, `SELECT CAST(COALESCE(SUM(repairs), 0) AS BIGINT), CAST(COALESCE(SUM(freed), 0) AS BIGINT)
			FROM deployments WHERE cycle = ? AND (repairs > 0 OR freed > 0)`, string(c))
	}
	if err != nil {
		return 0, nil, 0, 0, fmt.Errorf("count %s: %w", c, err)
	}
	return planned, outcomes, repairs, freed, nil
}
