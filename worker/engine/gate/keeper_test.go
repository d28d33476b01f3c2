package gate

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
)

// people is a fake of the accounts: tokens in the clear, and a count of calls.
type people struct {
	accounts map[string]Account
	down     error
	asked    int
}

func (p *people) ByToken(_ context.Context, hash [32]byte) (Account, bool, error) {
	p.asked++
	if p.down != nil {
		return Account{}, false, p.down
	}
	for token, a := range p.accounts {
		if Hash(token) == hash {
			return a, true, nil
		}
	}
	return Account{}, false, nil
}

func newKeeper(p *people, now func() time.Time) *Keeper {
	k := NewKeeper(KeeperConfig{
		Namespace: "patchcycle",
		Commands:  map[string][]string{"Cycle": {"approve", "reject"}},
		WorkflowType: func(_ context.Context, id, _ string) (string, error) {
			if typ, ok := map[string]string{"cycle/1": "Cycle", "ring/1": "Ring"}[id]; ok {
				return typ, nil
			}
			return "", errors.New("not found")
		},
		Accounts: p,
		Now:      now,
	})
	k.Trust("writer", Writer)
	k.Trust("setup", Setup)
	return k
}

const (
	service  = "/temporal.api.workflowservice.v1.WorkflowService/"
	operator = "/temporal.api.operatorservice.v1.OperatorService/"
)

func signal(id, name string) Call {
	return Call{
		Method: service + "SignalWorkflowExecution", Scope: ScopeNamespace, Access: AccessWrite, Namespace: "patchcycle",
		Request: &workflowservice.SignalWorkflowExecutionRequest{
			SignalName: name, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: id},
		},
	}
}

func inNamespace(name string, a Access, request any) Call {
	return Call{Method: service + name, Scope: ScopeNamespace, Access: a, Namespace: "patchcycle", Request: request}
}

// Serves G6, U1, U5: who may do what, each kind of call by each kind of caller.
func TestEachCallerMayDoWhatItsRoleNeedsAndNothingElse(t *testing.T) {
	k := newKeeper(&people{accounts: map[string]Account{
		"auditor":  {Name: "ada", Read: true},
		"operator": {Name: "otto", Command: true},
		"approver": {Name: "ann", Read: true, Command: true},
		"none":     {Name: "nina"},
	}}, time.Now)
	callers := []string{"writer", "setup", "auditor", "operator", "approver", "none", "wrong", ""}
	elsewhere := inNamespace("ListWorkflowExecutions", AccessRead, nil)
	elsewhere.Namespace = "other"
	cases := []struct {
		what string
		call Call
		may  []string
	}{
		{"ask for the version", Call{Method: service + "GetSystemInfo", Scope: ScopeCluster, Access: AccessRead, Open: true}, []string{"writer", "setup", "auditor", "operator", "approver", "none", ""}},
		{"list namespaces", Call{Method: service + "ListNamespaces", Scope: ScopeCluster, Access: AccessRead}, []string{"writer", "setup", "auditor", "operator", "approver", "none"}},
		{"list clusters", Call{Method: operator + "ListClusters", Scope: ScopeCluster, Access: AccessAdmin}, nil},
		{"list nexus endpoints", Call{Method: operator + "ListNexusEndpoints", Scope: ScopeCluster, Access: AccessRead}, nil},
		{"call a method nobody classified", Call{Method: "/new.Service/New", Namespace: "patchcycle"}, nil},
		{"list workflows", inNamespace("ListWorkflowExecutions", AccessRead, nil), []string{"writer", "setup", "auditor", "approver"}},
		{"list workflows elsewhere", elsewhere, nil},
		{"send a command", signal("cycle/1", "approve"), []string{"writer", "setup", "operator", "approver"}},
		{"send another signal", signal("cycle/1", "secret"), []string{"writer", "setup"}},
		{"send a command to another type", signal("ring/1", "approve"), []string{"writer", "setup"}},
		{"send a command to nothing", signal("cycle/9", "approve"), []string{"writer", "setup"}},
		{"update", inNamespace("UpdateWorkflowExecution", AccessWrite, &workflowservice.UpdateWorkflowExecutionRequest{}), []string{"writer", "setup"}},
		{"update with start", inNamespace("ExecuteMultiOperation", AccessWrite, &workflowservice.ExecuteMultiOperationRequest{}), []string{"writer", "setup"}},
		{"start", inNamespace("StartWorkflowExecution", AccessWrite, &workflowservice.StartWorkflowExecutionRequest{}), []string{"writer", "setup"}},
		{"signal with start", inNamespace("SignalWithStartWorkflowExecution", AccessWrite, &workflowservice.SignalWithStartWorkflowExecutionRequest{SignalName: "approve"}), []string{"writer", "setup"}},
		{"terminate", inNamespace("TerminateWorkflowExecution", AccessWrite, &workflowservice.TerminateWorkflowExecutionRequest{}), []string{"writer", "setup"}},
		{"poll", inNamespace("PollWorkflowTaskQueue", AccessWrite, &workflowservice.PollWorkflowTaskQueueRequest{}), []string{"writer", "setup"}},
		{"change the namespace", inNamespace("UpdateNamespace", AccessAdmin, nil), []string{"setup"}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			var may []string
			for _, token := range callers {
				header := ""
				if token != "" {
					header = "Bearer " + token
				}
				v := k.Decide(t.Context(), header, c.call)
				require.NoError(t, v.Err)
				if v.Allowed {
					may = append(may, token)
				} else {
					require.NotEmpty(t, v.Reason, "%s by %q", c.what, token)
				}
			}
			require.Equal(t, c.may, may)
		})
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	k := newKeeper(&people{accounts: map[string]Account{"approver": {Name: "ann", Read: true, Command: true}}}, time.Now)
	for want, v := range map[string]Verdict{
		"use the API or the CLI of patchcycle, or send a signal": k.Decide(t.Context(), "Bearer approver", inNamespace("UpdateWorkflowExecution", AccessWrite, &workflowservice.UpdateWorkflowExecutionRequest{})),
		"these are: approve, reject":                             k.Decide(t.Context(), "Bearer approver", signal("cycle/1", "aprove")),
		"add the header":                                         k.Decide(t.Context(), "", signal("cycle/1", "approve")),
		"not \"Bearer <token>\"":                                 k.Decide(t.Context(), "Basic YTpi", signal("cycle/1", "approve")),
		"unknown or was revoked":                                 k.Decide(t.Context(), "Bearer x", Call{Method: service + "GetSystemInfo", Open: true}),
	} {
		require.False(t, v.Allowed)
		require.Contains(t, v.Reason, want)
	}
}

func TestPrincipalsTellPeopleFromTheProduct(t *testing.T) {
	k := newKeeper(&people{accounts: map[string]Account{"p": {Name: "patchcycle", Command: true}}}, time.Now)
	person := k.Decide(t.Context(), "bearer p", signal("cycle/1", "approve"))
	require.Equal(t, Verdict{Allowed: true, Type: TypeAccount, Name: "patchcycle"}, person)
	product := k.Decide(t.Context(), "bearer writer", signal("cycle/1", "approve"))
	require.Equal(t, Verdict{Allowed: true, Type: TypeProduct, Name: "patchcycle"}, product)
}

func TestDistrustedTokensAreRefused(t *testing.T) {
	k := newKeeper(&people{}, time.Now)
	k.Distrust("setup")
	require.False(t, k.Decide(t.Context(), "Bearer setup", signal("cycle/1", "approve")).Allowed)
}

func TestARevokedTokenWorksForASecondAtMost(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	p := &people{accounts: map[string]Account{"a": {Name: "ann", Read: true}}}
	k := newKeeper(p, func() time.Time { return now })
	list := inNamespace("ListWorkflowExecutions", AccessRead, nil)
	for range 10 {
		require.True(t, k.Decide(t.Context(), "Bearer a", list).Allowed)
	}
	require.Equal(t, 1, p.asked, "not remembered")
	delete(p.accounts, "a")
	now = now.Add(time.Second)
	require.False(t, k.Decide(t.Context(), "Bearer a", list).Allowed)
}

func TestAccountsThatCannotBeReadRefuseEverybodyAndAreAskedAgain(t *testing.T) {
	p := &people{accounts: map[string]Account{"a": {Name: "ann", Read: true}}, down: errors.New("disk gone")}
	k := newKeeper(p, time.Now)
	list := inNamespace("ListWorkflowExecutions", AccessRead, nil)
	v := k.Decide(t.Context(), "Bearer a", list)
	require.False(t, v.Allowed)
	require.ErrorContains(t, v.Err, "disk gone")
	require.NotContains(t, v.Reason, "disk gone", "internals are for the log")
	p.down = nil
	require.True(t, k.Decide(t.Context(), "Bearer a", list).Allowed)
}

func TestGuessedTokensDoNotFillTheMemory(t *testing.T) {
	p := &people{}
	k := newKeeper(p, time.Now)
	for range rememberedMost + 10 {
		k.Decide(t.Context(), "Bearer "+NewToken(), signal("cycle/1", "approve"))
	}
	require.LessOrEqual(t, len(k.people.known), rememberedMost)
}

func TestAnAccountWithoutANameIsUnknown(t *testing.T) {
	k := newKeeper(&people{accounts: map[string]Account{"a": {Read: true, Command: true}}}, time.Now)
	require.False(t, k.Decide(t.Context(), "Bearer a", signal("cycle/1", "approve")).Allowed)
}
