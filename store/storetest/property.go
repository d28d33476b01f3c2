package storetest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// conservation runs random sequences of what can happen to a cycle. After every
// step all machines of the plan are counted once, in one state; those that have
// ended have one outcome; and nothing that was released ever goes back.
// Count in equals count out (design, the sixth principle).
func conservation(t *testing.T, s *store.Store) {
	machines := with(t, s, "conserved")
	const fleet = 12
	machines.enrol(fleet)
	counters := make(map[int]uint64, fleet)
	run := 0
	rapid.Check(t, func(rt *rapid.T) {
		run++
		f := machines
		f.tb, f.name = rt, fmt.Sprintf("conserved-%d", run)
		f.open()
		c := &conserving{fixture: f, counters: counters, ranks: map[patching.AssetID]int{}}
		c.plan(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"stage":     func(*rapid.T) { c.stageAll() },
			"release":   c.releaseSome,
			"report":    c.reportSome,
			"end":       c.endSome,
			"verify":    c.verifySome,
			"plan":      c.plan,
			"take over": c.takeOverSome,
			"":          c.check,
		})
	})
}

type conserving struct {
	fixture
	counters map[int]uint64
	ranks    map[patching.AssetID]int
	revision int
	batch    int
	planned  map[patching.AssetID]bool
}

func (c *conserving) plan(rt *rapid.T) {
	c.revision++
	var items []patching.PlanItem
	now := map[patching.AssetID]bool{}
	for i := 1; i <= 12; i++ {
		item := c.item(i)
		switch rapid.SampledFrom([]string{"in", "in", "in", "changed", "excluded", "absent"}).Draw(rt, "item") {
		case "changed":
			item.Bundle = c.digest(fmt.Sprint("bundle", c.revision))
		case "excluded":
			item = patching.PlanItem{Asset: c.asset(i), Exclude: patching.ReasonHostRules}
		case "absent":
			continue
		}
		items = append(items, item)
		now[item.Asset] = true
	}
	for _, d := range c.rows() { // what was released or has ended stays
		if d.State.Rank() >= patching.DeploymentReleased.Rank() && d.Exclude == "" {
			now[d.Asset] = true
		}
	}
	require.NoError(c, c.PutPlan(c.ctx, c.fixture.plan(c.revision), items))
	c.planned = now
}

func (c *conserving) stageAll() {
	var orders []store.OrderRow
	var staged []store.StagedOrder
	seq, err := c.ReserveSeq(c.ctx, 12)
	require.NoError(c, err)
	for _, d := range c.rows() {
		if d.State != patching.DeploymentPlanned {
			continue
		}
		id := patching.OrderID(fmt.Sprintf("%s/%s/%d", c.cycle(), d.Asset, c.revision))
		orders = append(orders, store.OrderRow{ID: id, Device: d.Device, Asset: d.Asset, Cycle: d.Cycle, Ring: d.Ring, Wave: d.Wave, Verb: "apply", Seq: seq, Issued: noon, Expires: at(300)})
		staged = append(staged, store.StagedOrder{Cycle: d.Cycle, Asset: d.Asset, Order: id})
		seq++
	}
	require.NoError(c, c.PutOrders(c.ctx, orders))
	require.NoError(c, c.Stage(c.ctx, staged))
}

func (c *conserving) releaseSome(rt *rapid.T) {
	c.batch++
	size := rapid.IntRange(0, 4).Draw(rt, "size")
	first, err := c.ReleaseBatch(c.ctx, c.wave(), c.batch, size, at(20))
	require.NoError(c, err)
	require.LessOrEqual(c, len(first), size)
	again, err := c.ReleaseBatch(c.ctx, c.wave(), c.batch, size, at(21))
	require.NoError(c, err)
	require.Len(c, again, len(first))
}

func (c *conserving) reportSome(rt *rapid.T) {
	var reports []patching.Report
	for _, d := range c.rows() {
		if d.Order == "" || !rapid.Bool().Draw(rt, "speaks") {
			continue
		}
		var i int
		_, err := fmt.Sscanf(string(d.Device), c.machines+"-d%05d", &i)
		require.NoError(c, err)
		c.counters[i]++
		k := patching.Receipt{
			Order: d.Order, At: noon,
			Stage:   rapid.SampledFrom([]patching.Stage{patching.StageAccepted, patching.StageStarted, patching.StageFinished, patching.StageRefused}).Draw(rt, "stage"),
			Outcome: rapid.SampledFrom([]patching.Outcome{patching.Patched, patching.Failed, patching.NeedsHands, ""}).Draw(rt, "outcome"),
		}
		r := c.report(i, c.counters[i], k)
		reports = append(reports, r)
		if rapid.Bool().Draw(rt, "twice") {
			reports = append(reports, r)
		}
	}
	c.became(reports...)
}

func (c *conserving) endSome(rt *rapid.T) {
	_, err := c.EndDeployments(c.ctx, store.EndSpec{
		Cycle: c.cycle(), Assets: []patching.AssetID{c.asset(rapid.IntRange(1, 12).Draw(rt, "asset")), c.asset(rapid.IntRange(1, 12).Draw(rt, "asset"))},
		Outcome: rapid.SampledFrom([]patching.Outcome{patching.Unreachable, patching.Deferred}).Draw(rt, "outcome"), Reason: patching.ReasonSilent, At: at(40),
	})
	require.NoError(c, err)
}

func (c *conserving) verifySome(rt *rapid.T) {
	require.NoError(c, c.MarkVerified(c.ctx, c.cycle(), []store.Verification{
		{Asset: c.asset(rapid.IntRange(1, 12).Draw(rt, "asset")), OK: rapid.Bool().Draw(rt, "ok"), Reason: patching.ReasonNotTaken, At: at(50)},
	}))
}

func (c *conserving) takeOverSome(rt *rapid.T) {
	_, _, err := c.TakeOver(c.ctx, c.cycle(), patching.CycleID("emergency/"+c.name), []patching.AssetID{c.asset(rapid.IntRange(1, 12).Draw(rt, "asset"))}, at(35))
	require.NoError(c, err)
}

// check counts in two ways and compares.
func (c *conserving) check(*rapid.T) {
	rows := c.rows()
	require.Len(c, rows, len(c.planned))
	byOutcome := map[patching.Outcome]int{}
	answered := 0
	for _, d := range rows {
		require.True(c, c.planned[d.Asset], "%s is in no plan", d.Asset)
		require.Equal(c, d.State.Terminal(), d.Outcome != "", "%s is %s with outcome %q", d.Asset, d.State, d.Outcome)
		require.GreaterOrEqual(c, d.State.Rank(), 0)
		if r := d.State.Rank(); r >= patching.DeploymentReleased.Rank() && d.Exclude == "" {
			require.GreaterOrEqual(c, r, c.ranks[d.Asset], "%s went back to %s", d.Asset, d.State)
			c.ranks[d.Asset] = r
		} else {
			require.Zero(c, c.ranks[d.Asset], "%s went back to %s", d.Asset, d.State)
		}
		if d.Outcome != "" {
			byOutcome[d.Outcome]++
		}
		if !d.Answered.IsZero() {
			answered++
		}
	}
	t := c.tally()
	require.Equal(c, len(rows), t.Planned)
	require.Equal(c, answered, t.Answered)
	require.LessOrEqual(c, t.Answered, t.Released)
	same(c, byOutcome, t.Outcomes)
	planned, outcomes, _, _, err := c.CycleCounts(c.ctx, c.cycle())
	require.NoError(c, err)
	require.Equal(c, t.Planned, planned)
	same(c, byOutcome, outcomes)
}

func (c *conserving) rows() []patching.Deployment {
	rows, err := c.Deployments(c.ctx, store.DeploymentFilter{Cycle: c.cycle()})
	require.NoError(c, err)
	return rows
}
