package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// mendPause is what is waited before another try where nothing is repaired: a
// lock or a line may be free by then.
const mendPause = 10 * time.Minute

// mend has what was left half done repaired, and tries the wave's machines again
// whose failure that may have mended: once, within the window, and not in a ring
// that was halted. It reports whether there is somebody to wait for again.
func (w *wave) mend(ctx workflow.Context) (again bool, err error) {
	s := &w.in.State
	if !w.in.Mend || s.Mended || !w.open() || !workflow.Now(ctx).Before(w.in.Wave.End) {
		return false, nil
	}
	s.Mended = true
	out, err := contract.Mend.Run(ctx, "repair what was left half done", w.slice())
	if err != nil || out.Again == 0 {
		return false, err
	}
	if err := w.repaired(ctx, out); err != nil || !w.open() {
		return false, err
	}
	w.show(ctx, phrase.Count(out.Again, "machine")+" tried once more")
	released, err := contract.TryAgain.Run(ctx, "try once more what may have been mended", w.slice())
	w.known = contract.Tallies{} // who has answered has to answer again
	return released.Released > 0, err
}

// repaired waits for the repairs, or else for a while.
func (w *wave) repaired(ctx workflow.Context, out contract.MendOut) error {
	now := workflow.Now(ctx)
	if out.Repair == 0 {
		until := earliest(now.Add(mendPause), w.in.Wave.End)
		_, err := awaitUntil(ctx, until, "another try", w.stopping)
		return err
	}
	until := earliest(now.Add(w.in.Silence), w.in.Wave.End)
	w.show(ctx, "repairing "+phrase.Count(out.Repair, "machine")+" until "+clock(until))
	wait, cancel := workflow.WithCancel(ctx)
	defer cancel()
	repairs := contract.AwaitOrders.Start(wait, "await repairs until "+clock(until),
		contract.AwaitOrdersIn{Cycle: w.in.Cycle, Ring: w.in.Ring, Wave: w.in.Wave.ID, Verb: "repair", Until: until}, until.Sub(now))
	if err := workflow.Await(ctx, func() bool { return repairs.IsReady() || w.stopping() }); err != nil || !repairs.IsReady() {
		return err
	}
	_, err := repairs.Get(ctx)
	return err
}
