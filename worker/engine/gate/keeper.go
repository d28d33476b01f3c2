package gate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
)

// A Scope says what a method of the engine's API is about.
type Scope int

// Scopes. A method that the engine does not classify has the unknown one, and
// is refused.
const (
	ScopeUnknown Scope = iota
	ScopeNamespace
	ScopeCluster
)

// An Access says how much a method asks for; each includes those before it.
type Access int

// Accesses. The unknown one is refused.
const (
	AccessUnknown Access = iota
	AccessRead
	AccessWrite
	AccessAdmin
)

// A Call is one request to the engine's public address.
type Call struct {
	Method    string // full gRPC name, /package.Service/Method
	Scope     Scope
	Access    Access
	Open      bool   // answered to strangers: health and version
	Namespace string // of the request, where it has one
	Request   any    // the decoded message; nil for streams
}

// A Verdict is the answer to a [Call].
type Verdict struct {
	Allowed bool
	// Type and Name are the principal that history is stamped with.
	Type, Name string
	// Reason is a sentence for the caller who was refused.
	Reason string
	// Err is why a caller could not be recognised: for the log, not the caller.
	Err error
}

// Types of principals.
const (
	TypeAccount = "account" // a person or program with an [Account]
	TypeProduct = "product" // patchcycle itself
)

const productName = "patchcycle"

// A Role is what a token of the product's own may do.
type Role int

// Roles of the product's own tokens: Setup may register the namespace and its
// search attributes; Writer runs workflows and workers and no more.
const (
	Writer Role = iota + 1
	Setup
)

// A Keeper decides on every call. The zero value of the optional fields refuses
// more, never less. Make one with [NewKeeper].
type Keeper struct {
	namespace string
	commands  map[string][]string
	workflow  func(ctx context.Context, workflowID, runID string) (string, error)
	people    memory

	mu  sync.RWMutex
	own map[[sha256.Size]byte]Role
}

// KeeperConfig says what a [Keeper] guards.
type KeeperConfig struct {
	// Namespace is the one that is open at all.
	Namespace string
	// Commands are the signals that are commands, by workflow type.
	Commands map[string][]string
	// WorkflowType looks up the type of an execution, of its current run if
	// runID is empty: a signal's request does not say it.
	WorkflowType func(ctx context.Context, workflowID, runID string) (string, error)
	// Accounts knows people; nil knows none.
	Accounts Accounts
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// NewKeeper returns a keeper that trusts nobody yet.
func NewKeeper(c KeeperConfig) *Keeper {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Keeper{
		namespace: c.Namespace,
		commands:  c.Commands,
		workflow:  c.WorkflowType,
		people:    memory{accounts: c.Accounts, now: c.Now},
		own:       map[[sha256.Size]byte]Role{},
	}
}

// Trust makes token the product's own from now on.
func (k *Keeper) Trust(token string, r Role) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.own[Hash(token)] = r
}

// Distrust ends that. A long poll that is under way runs to its end.
func (k *Keeper) Distrust(token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.own, Hash(token))
}

// Person returns the account of a person's token.
func (k *Keeper) Person(ctx context.Context, token string) (Account, bool, error) {
	return k.people.byToken(ctx, token)
}

// Decide judges a call by the caller's authorization header. First match wins:
// a wrong token is refused everything; strangers have the open methods; the
// product has its namespace; readers read it; holders of commands send the
// listed signals; nobody has anything else.
func (k *Keeper) Decide(ctx context.Context, header string, c Call) Verdict {
	token, ok := credential(header)
	if !ok {
		return refuse("the authorization header is not \"Bearer <token>\"")
	}
	if token == "" {
		if c.Open {
			return Verdict{Allowed: true}
		}
		return refuse("no token was sent: add the header \"authorization: Bearer <token>\"")
	}
	k.mu.RLock()
	role, own := k.own[Hash(token)]
	k.mu.RUnlock()
	if own {
		return k.product(role, c)
	}
	person, ok, err := k.people.byToken(ctx, token)
	switch {
	case err != nil:
		return Verdict{
			Reason: "the accounts cannot be read at the moment: try again, and tell the administrator if it stays so",
			Err:    fmt.Errorf("find the account of a token: %w", err),
		}
	case !ok:
		return refuse("this token is unknown or was revoked")
	}
	return k.person(ctx, person, c)
}

func (k *Keeper) product(role Role, c Call) Verdict {
	most := AccessWrite
	if role == Setup {
		most = AccessAdmin
	}
	inside := c.Scope == ScopeNamespace && c.Namespace == k.namespace && c.Access != AccessUnknown && c.Access <= most
	if c.Open || clusterRead(c) || inside {
		return Verdict{Allowed: true, Type: TypeProduct, Name: productName}
	}
	return refuse("patchcycle itself has no right to " + method(c))
}

func (k *Keeper) person(ctx context.Context, p Account, c Call) Verdict {
	allowed := Verdict{Allowed: true, Type: TypeAccount, Name: p.Name}
	inside := c.Scope == ScopeNamespace && c.Namespace == k.namespace
	switch {
	case c.Open, clusterRead(c):
		return allowed
	case inside && c.Access == AccessRead && p.Read:
		return allowed
	case inside && c.Access == AccessRead:
		return refuse(fmt.Sprintf("account %q has no role that reads workflows", p.Name))
	}
	if !inside {
		return refuse(fmt.Sprintf("account %q has no right to %s outside namespace %q", p.Name, method(c), k.namespace))
	}
	switch r := c.Request.(type) {
	case *workflowservice.SignalWorkflowExecutionRequest:
		if reason := k.command(ctx, p, r.GetWorkflowExecution(), r.GetSignalName()); reason != "" {
			return refuse(reason)
		}
		return allowed
	case *workflowservice.UpdateWorkflowExecutionRequest, *workflowservice.ExecuteMultiOperationRequest:
		return refuse("an update sent with a person's own token is refused, because history would name the worker and not you: " +
			"use the API or the CLI of patchcycle, or send a signal of the same name")
	}
	return refuse(fmt.Sprintf("account %q has no right to %s: only patchcycle itself starts, changes and ends workflows", p.Name, method(c)))
}

// command returns why p may not send the signal, or nothing.
func (k *Keeper) command(ctx context.Context, p Account, e *commonpb.WorkflowExecution, signal string) string {
	if !p.Command {
		return fmt.Sprintf("account %q has no role that gives commands", p.Name)
	}
	if k.workflow == nil {
		return "the engine is still starting: try again"
	}
	// The type and the signal are two steps, and without a run id the current
	// run could change in between. Only the product starts workflows, and it
	// never gives one id to two types.
	typ, err := k.workflow(ctx, e.GetWorkflowId(), e.GetRunId())
	if err != nil {
		return fmt.Sprintf("no workflow %q was found to send a signal to", e.GetWorkflowId())
	}
	names := k.commands[typ]
	switch {
	case slices.Contains(names, signal):
		return ""
	case len(names) == 0:
		return fmt.Sprintf("a workflow of type %s takes no commands", typ)
	}
	return fmt.Sprintf("%q is not a command of a workflow of type %s; these are: %s", signal, typ, strings.Join(names, ", "))
}

// clusterReads are what a UI or CLI asks before it knows a namespace.
var clusterReads = []string{"GetClusterInfo", "ListNamespaces", "GetSearchAttributes"}

const workflowService = "/temporal.api.workflowservice.v1.WorkflowService/"

func clusterRead(c Call) bool {
	name, ok := strings.CutPrefix(c.Method, workflowService)
	return ok && c.Scope == ScopeCluster && c.Access == AccessRead && slices.Contains(clusterReads, name)
}

func method(c Call) string { return c.Method[strings.LastIndex(c.Method, "/")+1:] }

func refuse(reason string) Verdict { return Verdict{Reason: reason} }
