package patching_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// aWorkAround has gone through steps, a day each.
func aWorkAround(steps ...patching.WorkAroundStep) patching.WorkAround {
	w := patching.WorkAround{ID: "w-1", Subject: patching.Subject{Advisory: "DSA-1"}, What: "Switch the module off.", Owner: "ops"}
	for i, s := range append([]patching.WorkAroundStep{{State: patching.WorkAroundProposed, Note: "n"}}, steps...) {
		s.WorkAround, s.At = w.ID, decided.AddDate(0, 0, i)
		w.Steps = append(w.Steps, s)
	}
	return w
}

func placed(on ...patching.AssetID) patching.WorkAroundStep {
	return patching.WorkAroundStep{State: patching.WorkAroundInPlace, Assets: on, Note: "curl answers 403"}
}

func gone(from ...patching.AssetID) patching.WorkAroundStep {
	return patching.WorkAroundStep{State: patching.WorkAroundRemoved, Assets: from, Note: "curl answers 200"}
}

var leaving = patching.WorkAroundStep{State: patching.WorkAroundLeaving, Note: "the patch is in"}

// Serves G2: a work-around has a life.
func TestAWorkAroundGoesThroughItsLifeMachineByMachine(t *testing.T) {
	ids := func(all ...patching.AssetID) []patching.AssetID { return all }
	for name, c := range map[string]struct {
		steps   []patching.WorkAroundStep
		is      patching.WorkAroundState
		inPlace []patching.AssetID
	}{
		"proposed":                      {nil, patching.WorkAroundProposed, ids()},
		"in place":                      {[]patching.WorkAroundStep{placed("b", "a")}, patching.WorkAroundInPlace, ids("a", "b")},
		"on more machines":              {[]patching.WorkAroundStep{placed("b"), placed("a", "b")}, patching.WorkAroundInPlace, ids("a", "b")},
		"to be removed":                 {[]patching.WorkAroundStep{placed("a"), leaving}, patching.WorkAroundLeaving, ids("a")},
		"removed from one of two":       {[]patching.WorkAroundStep{placed("a", "b"), leaving, gone("a")}, patching.WorkAroundLeaving, ids("b")},
		"removed from both":             {[]patching.WorkAroundStep{placed("a", "b"), leaving, gone("a"), gone("b")}, patching.WorkAroundRemoved, ids()},
		"removed from all that is left": {[]patching.WorkAroundStep{placed("a", "b"), leaving, gone()}, patching.WorkAroundRemoved, ids()},
		"given up":                      {[]patching.WorkAroundStep{gone()}, patching.WorkAroundRemoved, ids()},
		"wanted again":                  {[]patching.WorkAroundStep{placed("a"), leaving, placed("b")}, patching.WorkAroundInPlace, ids("a", "b")},
	} {
		t.Run(name, func(t *testing.T) {
			w := aWorkAround()
			for i := range c.steps {
				next := aWorkAround(c.steps[:i+1]...)
				require.NoError(t, w.Fits(next.Steps[i+1]))
				w = next
			}
			now := decided.AddDate(1, 0, 0)
			assert.Equal(t, c.is, w.State())
			assert.Equal(t, c.inPlace, w.InPlace(now))
			assert.Equal(t, len(c.inPlace) > 0 && c.inPlace[0] == "a", w.Stands("a", now))
			assert.Empty(t, w.InPlace(decided), "before anything was done")
			assert.Equal(t, w.State() == patching.WorkAroundRemoved, w.State().Terminal())
		})
	}
}

// Serves G2.
func TestAStepThatDoesNotFollowIsRefusedByItsField(t *testing.T) {
	many := make([]patching.AssetID, patching.MaxStepAssets+1)
	for name, c := range map[string]struct {
		w     patching.WorkAround
		step  patching.WorkAroundStep
		wrong string
	}{
		"in place on no machine":                {aWorkAround(), placed(), "assets"},
		"on too many at once":                   {aWorkAround(), placed(many...), "assets"},
		"nobody says how that is known":         {aWorkAround(), patching.WorkAroundStep{State: patching.WorkAroundInPlace, Assets: []patching.AssetID{"a"}}, "note"},
		"to be removed before it is in place":   {aWorkAround(), leaving, "state"},
		"to be removed from some":               {aWorkAround(placed("a")), patching.WorkAroundStep{State: patching.WorkAroundLeaving, Assets: []patching.AssetID{"a"}, Note: "n"}, "assets"},
		"removed from where it is not":          {aWorkAround(placed("a")), gone("b"), "assets"},
		"proposed again":                        {aWorkAround(placed("a")), patching.WorkAroundStep{State: patching.WorkAroundProposed, Note: "n"}, "state"},
		"a state that there is not":             {aWorkAround(), patching.WorkAroundStep{State: "done", Note: "n"}, "state"},
		"anything after it was removed for all": {aWorkAround(placed("a"), gone()), placed("a"), "state"},
	} {
		if c.step.At.IsZero() {
			c.step.At = decided.AddDate(0, 1, 0)
		}
		assert.Equal(t, c.wrong, field(t, c.w.Fits(c.step)), name)
	}
	w := aWorkAround()
	require.NoError(t, w.Check())
	w.Owner = ""
	assert.Equal(t, "owner", field(t, w.Check()))
	w = aWorkAround()
	w.Steps[0].Note = ""
	assert.Equal(t, "reason", field(t, w.Check()))
	w = aWorkAround()
	w.What = ""
	assert.Equal(t, "what", field(t, w.Check()))
	w = aWorkAround()
	w.Subject = patching.Subject{Selector: `site == "bern"`}
	assert.Equal(t, "advisory", field(t, w.Check()))
	assert.Equal(t, patching.WorkAroundProposed, patching.WorkAround{}.State())
	assert.True(t, patching.WorkAround{}.Proposed().At.IsZero())
	assert.Equal(t, decided, w.Proposed().At)
}

// Serves G2, G4, G21.
func TestAWorkAroundThatOutlivesItsPatchIsATaskAndOneWithoutAPatchWaits(t *testing.T) {
	now := decided.AddDate(0, 1, 0)
	w := aWorkAround(placed("a", "b", "c", "d"))
	assert.Equal(t, map[patching.AssetID]patching.Errand{
		"a": patching.ErrandWait, "b": patching.ErrandPatch, "c": patching.ErrandRemove, "d": patching.ErrandLook,
	}, w.Errands(map[patching.AssetID]patching.Fix{"a": patching.FixNone, "b": patching.FixMissing, "c": patching.FixIn, "z": patching.FixIn}, now))

	task := w.Removal("c", "cycle/demo/2026-12.1", now, now.Add(time.Hour))
	assert.Equal(t, "ops", task.Owner)
	assert.Equal(t, patching.ReasonWorkAround, task.Cause)
	assert.Equal(t, patching.TaskOpen, task.State)
	assert.Contains(t, task.Steps, `patchcycle workaround done w-1 --machine c`)
	assert.Contains(t, task.Tried, "DSA-1")
	assert.Equal(t, task.ID, w.Removal("c", "cycle/demo/2027-01.1", now, now).ID, "the next cycle opens no second one")
	assert.NotEqual(t, task.ID, w.Removal("b", "cycle/demo/2026-12.1", now, now).ID)
	assert.Empty(t, aWorkAround(placed("c"), gone()).Errands(map[patching.AssetID]patching.Fix{"c": patching.FixIn}, now), "and ends when it is gone")
}
