package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// troubled reports whether a tally has failures to explain.
func troubled(t patching.Tally) bool { return t.Bad() > 0 || t.Outcomes[patching.Unreachable] > 0 }

// diagnose finds out what the ring's failures have in common. What stands in the
// way of knowing that is in the way of nothing else.
func (r *ring) diagnose(ctx workflow.Context) (out contract.DiagnoseOut, known bool) {
	if r.in.Shadow || !ringsDiagnose(ctx) {
		return out, false
	}
	out, err := contract.Diagnose.Run(ctx, "what do failures have in common", contract.SliceIn{
		Cycle: r.in.Cycle, Ring: r.in.Ring.Name, Silence: r.in.Silence,
	})
	if err != nil {
		workflow.GetLogger(ctx).Warn("what failures have in common is not known", "error", err)
		return out, false
	}
	r.diagnosis = out.Words
	return out, true
}

// weigh diagnoses the ring and returns whether its halt speaks against what was
// installed, once the failures are left out that are the path's: a healthy ring
// is not rolled back because a relay died. It can only take that back.
func (r *ring) weigh(ctx workflow.Context, q gate.Question, against bool) bool {
	out, known := r.diagnose(ctx)
	if !against || !known || out.Causes == 0 {
		return against
	}
	q.Tally = out.Without
	return gate.Ground(q, workflow.Now(ctx)).AgainstPatch()
}
