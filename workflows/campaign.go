package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// campaign gives one instruction to all machines of a slice that can use it and
// waits for their answers, at most so long.
func campaign(ctx workflow.Context, in contract.CampaignIn, wait time.Duration) error {
	in.Until = workflow.Now(ctx).Add(wait)
	asked, err := contract.Campaign.Run(ctx, in.Verb+" "+ringWords(in.Ring), in)
	if err != nil || asked.Asked == 0 {
		return err
	}
	until := workflow.Now(ctx).Add(wait) // from when they were asked, which may have taken long
	summary := "await " + in.Verb + " of " + phrase.Count(asked.Asked, "machine") + " until " + clock(until)
	_, err = contract.AwaitOrders.Start(ctx, summary,
		contract.AwaitOrdersIn{Cycle: in.Cycle, Ring: in.Ring, Verb: in.Verb, Until: until}, wait).Get(ctx)
	return err
}

// verifySlice judges the slice's machines by fresh inventories, not by what
// their agents claimed.
func verifySlice(ctx workflow.Context, in contract.SliceIn) error {
	err := campaign(ctx, contract.CampaignIn{Cycle: in.Cycle, Ring: in.Ring, Verb: "collect"}, min(in.Silence, time.Hour))
	if err != nil {
		return err
	}
	_, err = contract.JudgeRing.Run(ctx, "judge "+ringWords(in.Ring)+" by fresh inventories", in)
	return err
}
