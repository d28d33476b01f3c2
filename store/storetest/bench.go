package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// BenchTakeReports takes batches of 500 reports with a receipt each: accepted,
// then started, then finished, as 500 machines of a wave send them.
func BenchTakeReports(b *testing.B, engine Engine) {
	const batch = 500
	s := engine(b).open(b)
	f := with(b, s, "bench")
	f.enrol(batch)
	counter, taken := uint64(0), 0
	stages := []patching.Stage{patching.StageAccepted, patching.StageStarted, patching.StageFinished}
	stage := len(stages)
	for b.Loop() {
		b.StopTimer()
		if stage == len(stages) {
			stage = 0
			f.next(batch)
		}
		counter++
		reports := make([]patching.Report, batch)
		for i := range reports {
			c := f.said("apply", i+1, stages[stage])
			if c.Stage.Terminal() {
				c.Outcome, c.Changes = patching.Patched, []patching.Change{{Name: "openssl", Arch: "amd64", From: "3.0.15-1", To: "3.0.16-1"}}
			}
			reports[i] = f.report(i+1, counter, c)
		}
		b.StartTimer()
		f.take(reports...)
		stage++
		taken += batch
	}
	b.ReportMetric(float64(taken)/b.Elapsed().Seconds(), "reports/s")
}

// next opens another cycle over the same machines and releases them.
func (f *fixture) next(n int) {
	f.Helper()
	f.name += "+"
	f.open()
	require.NoError(f, f.PutPlan(f.ctx, f.plan(1), f.items(n)))
	f.issue("apply", n)
	f.release(n)
}

// BenchTally counts a wave of 200 and a ring of 20,000 in a cycle of 20,000.
func BenchTally(b *testing.B, engine Engine) {
	s := engine(b).open(b)
	f := with(b, s, "tally")
	f.open()
	items := f.items(20000)
	for i := range items {
		items[i].Wave = patching.NewWaveID(f.cycle(), "broad", patching.SiteName(fmt.Sprintf("site-%03d", i/200)), "night", "20261110T2200Z")
		items[i].Stratum = fmt.Sprintf("stratum %d", i%12)
	}
	require.NoError(b, f.PutPlan(f.ctx, f.plan(1), items))
	n, err := f.EndDeployments(f.ctx, store.EndSpec{Cycle: f.cycle(), Outcome: patching.Deferred, Reason: patching.ReasonCarriedOver, At: noon})
	require.NoError(b, err)
	require.Equal(b, 20000, n)
	for _, c := range []struct {
		name  string
		slice store.Slice
		want  int
	}{
		{"wave of 200", store.Slice{Cycle: f.cycle(), Ring: "broad", Wave: items[0].Wave}, 200},
		{"ring of 20000", store.Slice{Cycle: f.cycle(), Ring: "broad"}, 20000},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				t, err := f.Tally(f.ctx, c.slice)
				require.NoError(b, err)
				require.Equal(b, c.want, t.Planned)
			}
		})
	}
}

// BenchPutPlan20000 makes a plan of 20,000 items again and again.
func BenchPutPlan20000(b *testing.B, engine Engine) {
	s := engine(b).open(b)
	f := with(b, s, "plan")
	f.open()
	items := f.items(20000)
	revision := 0
	for b.Loop() {
		revision++
		require.NoError(b, f.PutPlan(f.ctx, f.plan(revision), items))
	}
	b.ReportMetric(20000*float64(revision)/b.Elapsed().Seconds(), "items/s")
	b.ReportMetric(float64(b.Elapsed())/float64(time.Millisecond)/float64(revision), "ms/plan")
}

// BenchCycle20000 runs a whole cycle of 20,000 machines through the store: locks,
// plan, orders, batches of 200 with a look at the tally each, reports in groups
// of 500, verification and end.
func BenchCycle20000(b *testing.B, engine Engine) {
	const machines, batch, group = 20000, 200, 500
	f := with(b, engine(b).open(b), "cycle")
	f.enrol(machines)
	ids := make([]patching.AssetID, machines)
	found := make([]store.Verification, machines)
	for i := range ids {
		ids[i] = f.asset(i + 1)
		found[i] = store.Verification{Asset: ids[i], OK: true, At: at(60)}
	}
	counter := uint64(0)
	step := func(name string, do func() error) {
		began := time.Now()
		require.NoError(b, do(), name)
		b.ReportMetric(float64(time.Since(began))/float64(time.Millisecond), name+"-ms")
	}
	for b.Loop() {
		f.name += "+"
		f.open()
		step("lock", func() error { _, _, err := f.LockAssets(f.ctx, f.cycle(), ids, noon); return err })
		step("plan", func() error { return f.PutPlan(f.ctx, f.plan(1), f.items(machines)) })
		step("orders", func() error { f.issue("apply", machines); return nil })
		step("stage", func() error { f.stage(machines); return nil })
		step("release", func() error {
			for n := 1; n <= machines/batch; n++ {
				if rows, err := f.ReleaseBatch(f.ctx, f.wave(), n, batch, at(20)); err != nil || len(rows) != batch {
					return fmt.Errorf("batch %d released %d: %w", n, len(rows), err)
				}
				if _, err := f.Tally(f.ctx, store.Slice{Cycle: f.cycle(), Ring: "broad"}); err != nil {
					return err
				}
			}
			return nil
		})
		counter++
		step("answers", func() error {
			for from := 1; from <= machines; from += group {
				reports := make([]patching.Report, group)
				for i := range reports {
					reports[i] = f.report(from+i, counter, f.finished("apply", from+i, patching.Patched))
				}
				f.take(reports...)
			}
			return nil
		})
		step("verify", func() error { return f.MarkVerified(f.ctx, f.cycle(), found) })
		step("withdraw", func() error { _, err := f.WithdrawOrders(f.ctx, store.Slice{Cycle: f.cycle()}, ""); return err })
		step("unlock", func() error { return f.ReleaseLocks(f.ctx, f.cycle()) })
		require.Equal(b, machines, f.tally().Outcomes[patching.Patched])
	}
}
