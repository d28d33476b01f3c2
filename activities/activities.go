// Package activities does one thing at a time for a workflow, through ports
// that it declares itself: the store, the dispatcher, history, the report.
//
// An activity may run twice: the first attempt's answer can be lost. Each one
// here can be repeated without harm, and says how where it is not plain.
package activities

import (
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/worker"

	"github.com/patchcycle/patchcycle/workflows/contract"
)

// All are the activities of the product, by concept.
type All struct {
	Cycles    *Cycles
	Assessing *Assessing
	Planning  *Planning
	Remedying *Remedying
	People    *People
	Waves     *Waves
	Campaigns *Campaigns
	Reports   *Reports
	Calendar  *Calendar
}

// Register puts all activities under their names. Worker and test suites call
// it, and nothing else registers activities.
func (a All) Register(r worker.ActivityRegistry) {
	contract.OpenCycle.Register(r, classified(a.Cycles.Open))
	contract.SaveState.Register(r, classified(a.Cycles.Save))
	contract.Remind.Register(r, classified(a.Cycles.Remind))
	contract.CloseCycle.Register(r, classified(a.Cycles.Close))
	contract.Assess.Register(r, classified(a.Assessing.Assess))
	contract.MakePlan.Register(r, classified(a.Planning.Make))
	contract.Reschedule.Register(r, classified(a.Planning.Reschedule))
	contract.ApplyAmend.Register(r, classified(a.Planning.Amend))
	contract.AdmitMachines.Register(r, classified(a.Planning.Admit))
	contract.Rehearse.Register(r, classified(a.Campaigns.Rehearse))
	contract.NoteRehearsal.Register(r, classified(a.Campaigns.NoteRehearsal))
	contract.VerifyAct.Register(r, classified(a.People.Verify))
	contract.CheckGrants.Register(r, classified(a.People.CheckGrants))
	contract.ListWaves.Register(r, classified(a.Waves.List))
	contract.StageWave.Register(r, classified(a.Waves.Stage))
	contract.Release.Register(r, classified(a.Waves.Release))
	contract.AwaitTally.Register(r, classified(a.Waves.Await))
	contract.ReadTally.Register(r, classified(a.Waves.Read))
	contract.EndSlice.Register(r, classified(a.Waves.End))
	contract.NoteGate.Register(r, classified(a.Waves.NoteGate))
	contract.Diagnose.Register(r, classified(a.Waves.Diagnose))
	contract.Mend.Register(r, classified(a.Waves.Mend))
	contract.TryAgain.Register(r, classified(a.Waves.TryAgain))
	contract.SyncFeeds.Register(r, classified(a.Remedying.SyncFeeds))
	contract.AskInventory.Register(r, classified(a.Campaigns.AskInventory))
	contract.Campaign.Register(r, classified(a.Campaigns.Start))
	contract.AwaitOrders.Register(r, classified(a.Campaigns.Await))
	contract.JudgeRing.Register(r, classified(a.Campaigns.Judge))
	contract.MakeReport.Register(r, classified(a.Reports.Make))
	contract.StartDue.Register(r, classified(a.Calendar.StartDue))
}

// classified sends an activity's error through the one switch that says
// whether trying again can help.
func classified[In, Out any](do func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (Out, error) {
		out, err := do(ctx, in)
		return out, Classify(err)
	}
}

// beat records a heartbeat for as long as the work goes on; call the returned
// function at its end. Bulk work spends its time in statements that cannot
// beat by themselves.
func beat(ctx context.Context) (stop func()) {
	if !activity.IsActivity(ctx) {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		t := time.NewTicker(5 * time.Second)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-t.C:
				activity.RecordHeartbeat(ctx)
			}
		}
	}()
	return func() { close(done) }
}

// Clock is where activities get the time from.
type Clock func() time.Time

// Log is used where an activity goes on although something went wrong.
type Log = *slog.Logger
