package starter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves Q1, G17.
func TestACycleThatDoesNotGoOnIsToldWithWhatIsWrong(t *testing.T) {
	const id patching.CycleID = "cycle/servers/2026-11.1"
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	running, failed := enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED
	saved := contract.Mark{Run: "second", Started: noon, Events: 40}
	at := func(run string, started time.Time, events int) contract.Mark {
		return contract.Mark{Run: run, Started: started, Events: events}
	}
	for name, c := range map[string]struct {
		saved  contract.Mark
		in     inEngine
		engine bool
		words  string // empty: nothing is wrong
	}{
		"an engine that never had it":                        {saved, inEngine{}, true, "does not know it"},
		"one that never had it, under a new record":          {contract.Mark{}, inEngine{}, true, "does not know it"},
		"it runs, as it was saved":                           {saved, inEngine{true, running, at("second", noon, 40)}, false, ""},
		"it runs, and was not saved since":                   {saved, inEngine{true, running, at("second", noon, 63)}, false, ""},
		"it runs, and was never saved":                       {contract.Mark{}, inEngine{true, running, at("first", noon, 5)}, false, ""},
		"it goes on in a later run":                          {saved, inEngine{true, running, at("third", noon.Add(time.Hour), 3)}, false, ""},
		"an engine from before it was saved":                 {saved, inEngine{true, running, at("second", noon, 39)}, true, "older backup"},
		"an engine from before the run":                      {saved, inEngine{true, running, at("first", noon.Add(-time.Hour), 9000)}, true, "older backup"},
		"an older engine in which the earlier run has ended": {saved, inEngine{true, failed, at("first", noon.Add(-time.Hour), 9000)}, true, "older backup"},
		"its workflow failed":                                {saved, inEngine{true, failed, at("second", noon, 41)}, false, "has ended in the engine (Failed)"},
	} {
		t.Run(name, func(t *testing.T) {
			got, astray := compare(id, c.saved, c.in)
			require.Equal(t, c.words != "", astray, got.Words)
			if astray {
				require.Equal(t, id, got.Cycle)
				require.Equal(t, c.engine, got.Engine)
				require.Contains(t, got.Words, string(id))
				require.Contains(t, got.Words, c.words)
			}
		})
	}
}
