package e2e_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/store/storetest/pgtest"
	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

func TestTheEngineOnSQLiteIsClosed(t *testing.T) { provesItIsClosed(t, engine.Options{}) }

func TestTheEngineOnPostgresIsClosed(t *testing.T) {
	provesItIsClosed(t, engine.Options{Postgres: &engine.Postgres{URL: pgtest.Start(t)}})
}

// Tokens of the callers in these tests. An empty one sends no header.
const (
	auditor  = "token-of-the-auditor"
	approver = "token-of-the-approver"
	commands = "token-of-a-commander-who-may-not-read"
	wrong    = "token-that-nobody-has"
	nobody   = ""
)

// town is an engine with accounts and a worker, whose workflow Cycle waits.
type town struct {
	*engine.Engine
	people  *people
	product string // its token
}

func newTown(t *testing.T, o engine.Options) *town {
	t.Helper()
	p := &people{}
	p.add(auditor, engine.Account{Name: "ada", Read: true})
	p.add(approver, engine.Account{Name: "ann", Read: true, Command: true})
	p.add(commands, engine.Account{Name: "otto", Command: true})
	o.Accounts = p
	o.Commands = map[string][]string{"Cycle": {"approve", "stop"}}
	o.SearchAttributes = map[string]enums.IndexedValueType{
		"PcCycle": enums.INDEXED_VALUE_TYPE_KEYWORD,
		"PcDue":   enums.INDEXED_VALUE_TYPE_DATETIME,
	}
	o.ProductToken = gate.NewToken()
	town := &town{startEngine(t, o), p, o.ProductToken}
	w := worker.New(town.Client(), "test", worker.Options{})
	w.RegisterWorkflowWithOptions(waitForStop, workflow.RegisterOptions{Name: "Cycle"})
	w.RegisterWorkflowWithOptions(waitForStop, workflow.RegisterOptions{Name: "Other"})
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop) // before the engine
	return town
}

// waitForStop takes anything and ends at the signal stop.
func waitForStop(ctx workflow.Context) (string, error) {
	err := workflow.SetUpdateHandler(ctx, "approve", func(workflow.Context) (string, error) { return "approved", nil })
	if err != nil {
		return "", err
	}
	if err := workflow.SetQueryHandler(ctx, "phase", func() (string, error) { return "waiting", nil }); err != nil {
		return "", err
	}
	var who string
	workflow.GetSignalChannel(ctx, "stop").Receive(ctx, &who)
	for _, name := range []string{"approve", "secret"} { // the SDK warns of what is left
		for workflow.GetSignalChannel(ctx, name).ReceiveAsync(nil) {
		}
	}
	return who, nil
}

func (s *town) start(t *testing.T, typ string) string {
	t.Helper()
	run, err := s.Client().ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "test"}, typ)
	require.NoError(t, err)
	return run.GetID()
}

// as is a client with somebody's token, dialled lazily: a wrong one is refused
// at the first call.
func (s *town) as(t *testing.T, token string) client.Client {
	t.Helper()
	o := client.Options{HostPort: s.Addr(), Namespace: s.Namespace()}
	if token != "" {
		o.HeadersProvider = gate.Bearer(token)
	}
	c, err := client.NewLazyClient(o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// Serves G6, Q15, U1, U2, U5.
func provesItIsClosed(t *testing.T, o engine.Options) {
	town := newTown(t, o)
	t.Run("each caller may do what its role needs and nothing else", func(t *testing.T) { provesTheTable(t, town) })
	t.Run("history names who signalled", func(t *testing.T) { provesPrincipals(t, town) })
	t.Run("an update with a person's token is refused in words", func(t *testing.T) {
		_, err := town.as(t, approver).UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
			WorkflowID: town.start(t, "Cycle"), UpdateName: "approve", WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		requireRefused(t, err, "use the API or the CLI of patchcycle, or send a signal")
	})
	t.Run("a forbidden signal is refused in words", func(t *testing.T) {
		err := town.as(t, approver).SignalWorkflow(t.Context(), town.start(t, "Cycle"), "", "secret", nil)
		requireRefused(t, err, "these are: approve, stop")
	})
	t.Run("a revoked token stops working within two seconds", func(t *testing.T) {
		const token = "token-of-a-leaver"
		town.people.add(token, engine.Account{Name: "leo", Read: true})
		c := town.as(t, token)
		_, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{})
		require.NoError(t, err)
		town.people.revoke(token)
		require.Eventually(t, func() bool {
			_, err = c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{})
			return err != nil
		}, 2*time.Second, 50*time.Millisecond)
		requireRefused(t, err, "revoked")
	})
	t.Run("the inner ports refuse whoever lacks this process's key", func(t *testing.T) { provesInnerPortsAreClosed(t, town) })
}

func requireRefused(t *testing.T, err error, words string) {
	t.Helper()
	var denied *serviceerror.PermissionDenied
	require.ErrorAs(t, err, &denied)
	require.ErrorContains(t, err, words)
}

// calls are tried by each caller on a workflow of type Cycle, except where
// another is named. A call that is let in may still fail, only not for want of
// rights.
var calls = []struct {
	name string
	may  []string // besides the product
	call func(ctx context.Context, s *town, c client.Client, cycle, other string) error
}{
	{"count workflows", []string{auditor, approver}, func(ctx context.Context, _ *town, c client.Client, _, _ string) error {
		_, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: "PcCycle = 'x'"})
		return err
	}},
	{"list workflows", []string{auditor, approver}, func(ctx context.Context, _ *town, c client.Client, _, _ string) error {
		_, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{})
		return err
	}},
	{"describe a workflow", []string{auditor, approver}, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		_, err := c.DescribeWorkflowExecution(ctx, cycle, "")
		return err
	}},
	{"read a history", []string{auditor, approver}, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		_, err := c.GetWorkflowHistory(ctx, cycle, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT).Next()
		return err
	}},
	{"query", []string{auditor, approver}, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		_, err := c.QueryWorkflow(ctx, cycle, "", "phase")
		return err
	}},
	{"send a command", []string{approver, commands}, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		return c.SignalWorkflow(ctx, cycle, "", "approve", nil)
	}},
	{"send another signal", nil, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		return c.SignalWorkflow(ctx, cycle, "", "secret", nil)
	}},
	{"send a command to another type", nil, func(ctx context.Context, _ *town, c client.Client, _, other string) error {
		return c.SignalWorkflow(ctx, other, "", "approve", nil)
	}},
	{"send a command to nothing", nil, func(ctx context.Context, _ *town, c client.Client, _, _ string) error {
		return c.SignalWorkflow(ctx, "no-such-cycle", "", "approve", nil)
	}},
	{"update", nil, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		_, err := c.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{WorkflowID: cycle, UpdateName: "approve", WaitForStage: client.WorkflowUpdateStageCompleted})
		return err
	}},
	{"start", nil, func(ctx context.Context, _ *town, c client.Client, _, _ string) error {
		_, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: "test"}, "Cycle")
		return err
	}},
	{"signal with start", nil, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		_, err := c.SignalWithStartWorkflow(ctx, cycle, "approve", nil, client.StartWorkflowOptions{TaskQueue: "test"}, "Cycle")
		return err
	}},
	{"schedule", nil, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		_, err := c.ScheduleClient().Create(ctx, client.ScheduleOptions{ID: cycle, Paused: true, Action: &client.ScheduleWorkflowAction{Workflow: "Cycle", TaskQueue: "test"}})
		return err
	}},
	{"cancel", nil, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		return c.CancelWorkflow(ctx, cycle, "")
	}},
	{"reset", nil, func(ctx context.Context, s *town, c client.Client, cycle, _ string) error {
		_, err := c.ResetWorkflowExecution(ctx, &workflowservice.ResetWorkflowExecutionRequest{
			Namespace: s.Namespace(), WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: cycle}, WorkflowTaskFinishEventId: 4, RequestId: gate.NewToken(),
		})
		return err
	}},
	{"terminate", nil, func(ctx context.Context, _ *town, c client.Client, cycle, _ string) error {
		return c.TerminateWorkflow(ctx, cycle, "", "test")
	}},
	{"delete", nil, func(ctx context.Context, s *town, c client.Client, _, _ string) error {
		_, err := c.WorkflowService().DeleteWorkflowExecution(ctx, &workflowservice.DeleteWorkflowExecutionRequest{
			Namespace: s.Namespace(), WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "no-such-cycle"},
		})
		return err
	}},
	{"terminate many", nil, func(ctx context.Context, s *town, c client.Client, _, _ string) error {
		_, err := c.WorkflowService().StartBatchOperation(ctx, &workflowservice.StartBatchOperationRequest{Namespace: s.Namespace()})
		return err
	}},
	{"poll for workflow tasks", nil, func(ctx context.Context, s *town, c client.Client, _, _ string) error {
		_, err := c.WorkflowService().PollWorkflowTaskQueue(ctx, &workflowservice.PollWorkflowTaskQueueRequest{Namespace: s.Namespace(), TaskQueue: &taskqueue.TaskQueue{Name: "empty"}})
		return err
	}},
	{"poll for activity tasks", nil, func(ctx context.Context, s *town, c client.Client, _, _ string) error {
		_, err := c.WorkflowService().PollActivityTaskQueue(ctx, &workflowservice.PollActivityTaskQueueRequest{Namespace: s.Namespace(), TaskQueue: &taskqueue.TaskQueue{Name: "empty"}})
		return err
	}},
}

// notEvenTheProduct lists what needs rights that nobody has once the engine is
// up.
var notEvenTheProduct = []struct {
	name string
	call func(ctx context.Context, s *town, c client.Client) error
}{
	{"change the namespace", func(ctx context.Context, s *town, c client.Client) error {
		_, err := c.WorkflowService().UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{Namespace: s.Namespace()})
		return err
	}},
	{"delete the namespace", func(ctx context.Context, s *town, c client.Client) error {
		_, err := c.OperatorService().DeleteNamespace(ctx, &operatorservice.DeleteNamespaceRequest{Namespace: s.Namespace()})
		return err
	}},
	{"add a search attribute", func(ctx context.Context, s *town, c client.Client) error {
		_, err := c.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace:        s.Namespace(),
			SearchAttributes: map[string]enums.IndexedValueType{"X": enums.INDEXED_VALUE_TYPE_BOOL},
		})
		return err
	}},
	{"register a namespace", func(ctx context.Context, _ *town, c client.Client) error {
		_, err := c.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{Namespace: "other"})
		return err
	}},
	{"look into the server's own namespace", func(ctx context.Context, _ *town, c client.Client) error {
		_, err := c.WorkflowService().ListWorkflowExecutions(ctx, &workflowservice.ListWorkflowExecutionsRequest{Namespace: "temporal-system"})
		return err
	}},
	{"list clusters", func(ctx context.Context, _ *town, c client.Client) error {
		_, err := c.OperatorService().ListClusters(ctx, &operatorservice.ListClustersRequest{})
		return err
	}},
}

func provesTheTable(t *testing.T, s *town) {
	callers := []string{nobody, wrong, commands, auditor, approver, s.product} // the product last: it gets through
	clients := map[string]client.Client{}
	for _, token := range callers {
		clients[token] = s.as(t, token)
	}
	for _, call := range calls {
		t.Run(call.name, func(t *testing.T) {
			cycle, other := s.start(t, "Cycle"), s.start(t, "Other")
			for _, token := range callers {
				if token == s.product && strings.HasPrefix(call.name, "poll") {
					continue // its worker polls all the time
				}
				err := call.call(t.Context(), s, clients[token], cycle, other)
				var denied *serviceerror.PermissionDenied
				if token == s.product || slices.Contains(call.may, token) {
					require.NotErrorAs(t, err, &denied, "%q was refused", token)
				} else {
					require.ErrorAs(t, err, &denied, "%q was let in", token)
				}
			}
		})
	}
	for _, call := range notEvenTheProduct {
		t.Run(call.name, func(t *testing.T) {
			for token, c := range clients {
				var denied *serviceerror.PermissionDenied
				require.ErrorAs(t, call.call(t.Context(), s, c), &denied, "%q was let in", token)
			}
		})
	}
}

func provesPrincipals(t *testing.T, s *town) {
	id := s.start(t, "Cycle")
	forger, err := client.Dial(client.Options{
		HostPort: s.Addr(), Namespace: s.Namespace(), HeadersProvider: gate.Bearer(approver), Identity: "somebody else",
	})
	require.NoError(t, err)
	defer forger.Close()
	require.NoError(t, forger.SignalWorkflow(t.Context(), id, "", "approve", nil))
	require.NoError(t, s.as(t, commands).SignalWorkflow(t.Context(), id, "", "stop", "otto"))

	stamped := map[string]*commonpb.Principal{}
	each(t, s.Client(), id, func(e *historypb.HistoryEvent) {
		if a := e.GetWorkflowExecutionSignaledEventAttributes(); a != nil {
			stamped[a.SignalName] = e.GetPrincipal()
		}
		if e.GetEventType() == enums.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED {
			stamped["start"] = e.GetPrincipal()
		}
	})
	for what, want := range map[string]*commonpb.Principal{
		"approve": {Type: "account", Name: "ann"},
		"stop":    {Type: "account", Name: "otto"},
		"start":   {Type: "product", Name: "patchcycle"},
	} {
		require.Equal(t, want.GetType()+"/"+want.GetName(), stamped[what].GetType()+"/"+stamped[what].GetName(), what)
	}
}

// each visits the history of a workflow, waiting for its end.
func each(t *testing.T, c client.Client, id string, visit func(*historypb.HistoryEvent)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for h := c.GetWorkflowHistory(ctx, id, "", true, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); h.HasNext(); {
		e, err := h.Next()
		require.NoError(t, err)
		visit(e)
	}
}
