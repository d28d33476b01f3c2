package agent

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

func TestErrandsAreDoneWithoutALease(t *testing.T) {
	for verb, c := range map[trust.Verb]struct {
		detail string
		freed  int64
		wrote  []string
	}{
		trust.Collect:  {},
		trust.Clean:    {freed: 4096, wrote: []string{"clean"}},
		trust.Prefetch: {},
		trust.Simulate: {detail: "would change 3 packages"},
	} {
		t.Run(string(verb), func(t *testing.T) {
			b := newBench(t)
			b.rules.Held = []string{"postgresql-15"}
			d := b.draft(verb, twoSteps())
			d.WindowRule, d.Fence = "", 0
			b.office.issue(d)
			last := b.untilFinal("o-1")
			assert.Equal(t, patching.StageFinished, last.Stage)
			assert.Empty(t, last.Outcome, "an errand ends no deployment")
			assert.Equal(t, c.detail, last.Detail)
			assert.Equal(t, c.freed, last.Freed)
			assert.Equal(t, c.wrote, b.box.wrote)
			assert.Zero(t, b.office.requests)
			if verb == trust.Clean {
				assert.Equal(t, b.rules.Held, b.box.held)
			}
		})
	}
}

// Serves G15: a rehearsal says what the installation would say.
func TestARehearsalNamesWhatTheMachinesOwnRulesHold(t *testing.T) {
	b := newBench(t)
	b.rules.Held = []string{"openssl"}
	d := b.draft(trust.Simulate, small())
	d.WindowRule, d.Fence = "", 0
	b.office.issue(d)
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Equal(t, patching.ReasonHostRules, last.Reason)
	assert.Equal(t, "openssl is held on this machine", last.Detail)
}

func TestAnErrandThatKeepsFailingIsToldOf(t *testing.T) {
	b := newBench(t)
	b.box.onInventory = func() error { return errors.New("dpkg-query: exit status 2") }
	d := b.draft(trust.Collect, small())
	d.WindowRule, d.Fence = "", 0
	b.office.issue(d)
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Contains(t, last.Detail, "dpkg-query")
}

// A collect order counts as done only when its lists can be read as well.
func TestACollectIsFinishedAfterItsListsHaveArrived(t *testing.T) {
	b := newBench(t)
	b.turn() // the first inventory of an agent's life
	b.box.packages = "packages v1\tapt\nopenssl\tamd64\t1\t\n"
	d := b.draft(trust.Collect, small())
	d.WindowRule, d.Fence = "", 0
	b.office.issue(d)
	before := len(b.office.kinds)
	b.untilFinal("o-1")
	assert.Equal(t, []uplink.Kind{uplink.KindReceipt, uplink.KindInventory, uplink.KindContent, uplink.KindReceipt}, b.office.kinds[before:])

	d.ID = "o-2"
	b.office.issue(d)
	batches := b.office.batches
	b.untilFinal("o-2")
	assert.Equal(t, batches+1, b.office.batches, "nothing has changed: one batch does")
	assert.Len(t, b.office.facts, 3)
}

func TestAnOrderToRestartRestarts(t *testing.T) {
	b := newBench(t)
	d := b.draft(trust.Reboot, small())
	b.office.issue(d)
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.StageFinished, last.Stage)
	assert.Equal(t, []string{"reboot"}, b.box.wrote)
	assert.Contains(t, b.office.stages("o-1"), patching.StageRebooting)
}

// repair has the order to repair carried out.
func (b *bench) repair() patching.Receipt {
	b.t.Helper()
	d := b.draft(trust.Repair, small())
	d.Args = trust.RepairArgs{Do: trust.RepairConfigure}
	b.office.issue(d)
	b.office.permit("o-1")
	return b.untilFinal("o-1")
}

func TestAnOrderToRepairRepairs(t *testing.T) {
	b := newBench(t)
	b.box.broken["nginx"] = true
	last := b.repair()
	assert.Empty(t, last.Outcome)
	assert.Equal(t, 1, last.Repairs)
	assert.Equal(t, []string{"repair", "configured nginx 7"}, b.box.wrote)
}

func TestARepairThatDidNotHelpIsNotCalledDone(t *testing.T) {
	b := newBench(t)
	b.box.onRepair = func() error {
		return &Failure{Reason: patching.ReasonInstallFailed, Detail: "postinst returned 1", Signature: "nginx: postinst"}
	}
	last := b.repair()
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, "postinst returned 1", last.Detail)
	assert.Equal(t, "nginx: postinst", last.Signature)
}

func TestARepairInWhichTheAgentIsKilledAgainAndAgainComesToAnEnd(t *testing.T) {
	b := newBench(t)
	b.box.onRepair = func() error { panic(killed{}) }
	last := b.repair()
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, "It was interrupted 3 times.", last.Detail)
}
