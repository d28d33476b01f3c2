package workflows_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/proto"

	"github.com/patchcycle/patchcycle/workflows"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// design.md 7: a cycle that began under an older version goes on under this one.
// What does not replay needs an entry in versions.go.
func TestEveryRecordedHistoryReplays(t *testing.T) {
	for file, history := range recorded(t) {
		t.Run(file, func(t *testing.T) {
			require.NoError(t, replay(history))
		})
	}
}

// The proof that the test above can fail.
func TestAReplayFindsWhatWasReordered(t *testing.T) {
	history := aCycle(t)
	require.NoError(t, replay(history))
	for name, change := range map[string]func(*testing.T, *historypb.History){
		"two activities in each other's place": func(t *testing.T, h *historypb.History) {
			assess, plan := scheduled(t, h, contract.Assess.Name), scheduled(t, h, contract.MakePlan.Name)
			assess.ActivityType, plan.ActivityType = plan.ActivityType, assess.ActivityType
		},
		"an activity of another name": func(t *testing.T, h *historypb.History) {
			scheduled(t, h, contract.CloseCycle.Name).ActivityType = &commonpb.ActivityType{Name: "EndCycle"}
		},
		"a ring of another name": func(t *testing.T, h *historypb.History) {
			for _, e := range h.GetEvents() {
				if a := e.GetStartChildWorkflowExecutionInitiatedEventAttributes(); a != nil {
					a.WorkflowId += "-again"
					return
				}
			}
			t.Fatal("the cycle has no ring")
		},
		"a timer that nobody starts any more": func(t *testing.T, h *historypb.History) {
			for _, e := range h.GetEvents() {
				if a := e.GetTimerStartedEventAttributes(); a != nil {
					e.EventType = enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
					e.Attributes = &historypb.HistoryEvent_ActivityTaskScheduledEventAttributes{
						ActivityTaskScheduledEventAttributes: &historypb.ActivityTaskScheduledEventAttributes{
							ActivityId: a.GetTimerId(), ActivityType: &commonpb.ActivityType{Name: "Sleep"},
						},
					}
					return
				}
			}
			t.Fatal("the cycle has no timer")
		},
	} {
		t.Run(name, func(t *testing.T) {
			planted := proto.CloneOf(history)
			change(t, planted)
			require.ErrorContains(t, replay(planted), "TMPRL1100") // the SDK's code for what is not deterministic
		})
	}
}

func replay(history *historypb.History) error {
	r := worker.NewWorkflowReplayer()
	workflows.Register(r)
	return r.ReplayWorkflowHistory(quiet{}, proto.CloneOf(history))
}

// recorded are the histories of all releases, by file.
func recorded(t *testing.T) map[string]*historypb.History {
	t.Helper()
	out := map[string]*historypb.History{}
	err := filepath.WalkDir("testdata/histories", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".json") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		out[path], err = client.HistoryFromJSON(f, client.HistoryJSONOptions{})
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, out)
	return out
}

// aCycle is one of the recorded cycles, whichever.
func aCycle(t *testing.T) *historypb.History {
	t.Helper()
	for _, h := range recorded(t) {
		if h.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetWorkflowType().GetName() == contract.CycleWorkflow &&
			len(of(h, contract.MakePlan.Name)) > 0 {
			return h
		}
	}
	t.Fatal("no cycle was recorded")
	return nil
}

// scheduled is the first activity of that name.
func scheduled(t *testing.T, h *historypb.History, name string) *historypb.ActivityTaskScheduledEventAttributes {
	t.Helper()
	found := of(h, name)
	require.NotEmpty(t, found, "no %s in the cycle", name)
	return found[0]
}

func of(h *historypb.History, activity string) []*historypb.ActivityTaskScheduledEventAttributes {
	var found []*historypb.ActivityTaskScheduledEventAttributes
	for _, e := range h.GetEvents() {
		if a := e.GetActivityTaskScheduledEventAttributes(); a.GetActivityType().GetName() == activity {
			found = append(found, a)
		}
	}
	return found
}
