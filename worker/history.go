package worker

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
)

// History reads from Temporal who sent a signal.
type History struct{ Client client.Client }

// SignalSender returns the principal that the server stamped on the n-th signal
// of that name in the run, from 1, and when it came. Signals stand in a history
// in the order in which the workflow takes them. The principal is empty where
// the server stamps none: an external cluster has to be told to
// (frontend.enablePrincipalPropagation).
func (h History) SignalSender(ctx context.Context, workflow, run, name string, n int) (string, time.Time, error) {
	it := h.Client.GetWorkflowHistory(ctx, workflow, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	seen := 0
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			return "", time.Time{}, fmt.Errorf("history of %s: %w", workflow, err)
		}
		if s := e.GetWorkflowExecutionSignaledEventAttributes(); s == nil || s.GetSignalName() != name {
			continue
		}
		if seen++; seen == n {
			// The product's own token stands for nobody: a signal that it sent names
			// no person.
			if e.GetPrincipal().GetType() != accountPrincipal {
				return "", e.GetEventTime().AsTime(), nil
			}
			return e.GetPrincipal().GetName(), e.GetEventTime().AsTime(), nil
		}
	}
	return "", time.Time{}, fmt.Errorf("history of %s has %d signals %q, not %d", workflow, seen, name, n)
}

// accountPrincipal is the type that the engine's claim mapper gives people.
const accountPrincipal = "account"
