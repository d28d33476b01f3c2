package notice_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
)

// Serves G11: exceptions have an owner, and an end that people hear of.
func TestDecisionsThatEndAndWorkAroundsThatOutliveTheirPatchAreToldToTheirOwners(t *testing.T) {
	term := func(id patching.DecisionID, days int) patching.Term {
		return patching.Term{ID: id, By: "sam", At: noon.AddDate(0, -2, 0), Until: noon.AddDate(0, 0, days), Reason: "r"}
	}
	step := func(s patching.WorkAroundState, on ...patching.AssetID) patching.WorkAroundStep {
		return patching.WorkAroundStep{State: s, At: noon.AddDate(0, -1, 0), Assets: on}
	}
	about := patching.Subject{Advisory: "DSA-1"}
	work := func(id patching.DecisionID, steps ...patching.WorkAroundStep) patching.WorkAround {
		return patching.WorkAround{ID: id, Subject: about, Owner: "shop", Steps: append([]patching.WorkAroundStep{step(patching.WorkAroundProposed)}, steps...)}
	}
	in := step(patching.WorkAroundInPlace, "a-1", "a-2")
	d := patching.Decisions{
		Reviews: []patching.Review{{Term: term("r-1", 5), Subject: about}, {Term: term("r-2", 50), Subject: about}},
		Exceptions: []patching.Exception{
			{Term: term("x-1", -1), Subject: about, Owner: "radiology"},
			{Term: term("x-2", -30), Subject: about, Owner: "radiology"},
			{Term: term("x-3", 100), Subject: about, Owner: "radiology", ReviewBy: noon.AddDate(0, 0, 3)},
		},
		WorkArounds: []patching.WorkAround{
			work("w-1"), work("w-2", in), work("w-3", in), work("w-4", in, step(patching.WorkAroundLeaving)),
			work("w-5", in, step(patching.WorkAroundRemoved)),
		},
	}
	found := notice.OfDecisions(d, map[patching.DecisionID]int{"w-3": 1}, noon)
	require.Equal(t, []string{
		"exception-ends  x-1: exception for DSA-1: ended on 19 Nov 2026 12:00 UTC; what the regimes say counts again",
		"exception-ends  x-3: exception for DSA-1: to be looked at by 23 Nov 2026 12:00 UTC",
		"exception-ends  r-1: review for DSA-1: ends on 25 Nov 2026 12:00 UTC",
		"work-around-stays  w-3: for DSA-1: the patch is in on 1 of its 2 machines",
		"work-around-stays  w-4: for DSA-1: to be removed, and still in place on 2 machines",
	}, words(found.Notices))
	require.Equal(t, []string{"radiology", "radiology", "sam", "shop", "shop"}, owners(found.Notices))
	require.ElementsMatch(t, []notice.Kind{notice.ExceptionEnds, notice.WorkAroundStays}, found.Whole)
	again := notice.OfDecisions(d, map[patching.DecisionID]int{"w-3": 2}, noon.AddDate(0, 0, 1))
	require.Equal(t, noticeIDs(found.Notices), noticeIDs(again.Notices), "the same a day later")
}

func owners(all []notice.Notice) (out []string) {
	for _, n := range all {
		out = append(out, n.Owner)
	}
	return out
}

func noticeIDs(all []notice.Notice) (out []notice.ID) {
	for _, n := range all {
		out = append(out, n.ID)
	}
	return out
}
