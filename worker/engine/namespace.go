package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	namespacepb "go.temporal.io/api/namespace/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	// namespacePatience covers a first start on a busy machine: the server reads
	// its namespaces anew only every two seconds.
	namespacePatience = 60 * time.Second
	namespacePause    = 50 * time.Millisecond
)

// owner says whose the cluster is: in ours we change what differs, in theirs we
// carry on with what its administrator made, if that will do.
type owner int

const (
	ours owner = iota
	theirs
)

// namespace is what must exist before workflows can run.
type namespace struct {
	addr       string
	name       string
	retention  time.Duration
	attributes map[string]enums.IndexedValueType
	client     client.Client
	owner      owner
	refresh    time.Duration // how often the server's services look
	added      bool          // search attributes, a moment ago
}

func namespaceOf(o Options, addr string, c client.Client, w owner) *namespace {
	refresh := 4 * refreshWhileStarting // a look takes time as well
	if w == theirs {
		refresh = 2500 * time.Millisecond // Temporal's default is two seconds
	}
	return &namespace{
		addr: addr, name: o.Namespace, retention: o.Retention, attributes: o.SearchAttributes,
		client: c, owner: w, refresh: refresh,
	}
}

// ensure makes the namespace and its search attributes where they are absent,
// and returns once the server sees them.
func (n *namespace) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, namespacePatience)
	defer cancel()
	for _, step := range []func(context.Context) (bool, error){n.register, n.addAttributes, n.use} {
		if err := n.untilSeen(ctx, step); err != nil {
			return err
		}
	}
	if n.added {
		// The frontend sees them. The other services, of which no call can be asked,
		// look as often as it does.
		time.Sleep(n.refresh)
	}
	return nil
}

// untilSeen repeats a step while the server's cache has not caught up with it.
func (n *namespace) untilSeen(ctx context.Context, step func(context.Context) (done bool, err error)) error {
	for {
		done, err := step(ctx)
		if done || err != nil && !passing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for namespace %s at %s: %w", n.name, n.addr, errors.Join(ctx.Err(), err))
		case <-time.After(namespacePause):
		}
	}
}

// passing errors go away by themselves, as a rule.
func passing(err error) bool {
	var unavailable *serviceerror.Unavailable
	var exhausted *serviceerror.ResourceExhausted
	var unseen *serviceerror.NamespaceNotFound
	return errors.As(err, &unavailable) || errors.As(err, &exhausted) || errors.As(err, &unseen)
}

func (n *namespace) register(ctx context.Context) (done bool, err error) {
	_, err = n.client.WorkflowService().RegisterNamespace(ctx, &workflowservice.RegisterNamespaceRequest{
		Namespace:                        n.name,
		Description:                      "patch cycles",
		WorkflowExecutionRetentionPeriod: durationpb.New(n.retention),
	})
	var exists *serviceerror.NamespaceAlreadyExists
	mayNot := denied(err)
	if err != nil && !errors.As(err, &exists) && !mayNot {
		return false, fmt.Errorf("register namespace %s: %w", n.name, err)
	}
	d, err := n.client.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: n.name})
	var missing *serviceerror.NamespaceNotFound
	switch {
	case mayNot && (errors.As(err, &missing) || denied(err)):
		return false, n.askAdmin("there is no namespace "+n.name+" that this client may use", n.createCommand(), n.attributeCommands(n.attributes))
	case err != nil:
		return false, fmt.Errorf("look at namespace %s: %w", n.name, err)
	}
	return true, n.accept(ctx, d)
}

// accept judges a namespace that exists.
func (n *namespace) accept(ctx context.Context, d *workflowservice.DescribeNamespaceResponse) error {
	if got := d.GetNamespaceInfo().GetName(); got != n.name {
		return fmt.Errorf("the server at %s was asked for namespace %q and answered for %q: is this a Temporal frontend, and the right one?", n.addr, n.name, got)
	}
	if s := d.GetNamespaceInfo().GetState(); s != enums.NAMESPACE_STATE_REGISTERED {
		return fmt.Errorf("namespace %s at %s is %s: choose another name for it", n.name, n.addr, strings.ToLower(s.String()))
	}
	have := d.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
	if n.owner == theirs || have == n.retention {
		return nil
	}
	_, err := n.client.WorkflowService().UpdateNamespace(ctx, &workflowservice.UpdateNamespaceRequest{
		Namespace: n.name,
		Config:    &namespacepb.NamespaceConfig{WorkflowExecutionRetentionTtl: durationpb.New(n.retention)},
	})
	if err != nil {
		return fmt.Errorf("change the retention of namespace %s from %s to %s: %w", n.name, have, n.retention, err)
	}
	return nil
}

func (n *namespace) addAttributes(ctx context.Context) (done bool, err error) {
	have, err := n.client.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: n.name})
	if err != nil {
		return false, fmt.Errorf("list the search attributes of namespace %s: %w", n.name, err)
	}
	missing := map[string]enums.IndexedValueType{}
	for name, want := range n.attributes {
		switch got, ok := have.GetCustomAttributes()[name]; {
		case !ok:
			missing[name] = want
		case got != want:
			return false, fmt.Errorf("search attribute %s of namespace %s at %s is a %s and must be a %s: "+
				"remove it (temporal operator search-attribute remove --namespace %s --name %s), or use another namespace",
				name, n.name, n.addr, got, want, n.name, name)
		}
	}
	if len(missing) == 0 {
		return true, nil
	}
	_, err = n.client.OperatorService().AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{Namespace: n.name, SearchAttributes: missing})
	var exists *serviceerror.AlreadyExists
	switch {
	case denied(err):
		return false, n.askAdmin("namespace "+n.name+" lacks search attributes", n.attributeCommands(missing))
	case err != nil && !errors.As(err, &exists):
		return false, fmt.Errorf("add search attributes to namespace %s: %w", n.name, err)
	}
	n.added = true
	return false, nil // look again until they are there
}

// use asks for workflows by all search attributes, which fails until the
// frontend's cache knows them: what lists them reads the database.
func (n *namespace) use(ctx context.Context) (done bool, err error) {
	var terms []string
	for _, name := range slices.Sorted(maps.Keys(n.attributes)) {
		terms = append(terms, name+" IS NULL")
	}
	_, err = n.client.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: strings.Join(terms, " AND ")})
	var unknown *serviceerror.InvalidArgument
	if errors.As(err, &unknown) {
		n.added = true // lately, by whomever
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("count the workflows of namespace %s: %w", n.name, err)
	}
	return true, nil
}

func denied(err error) bool {
	var denied *serviceerror.PermissionDenied
	return errors.As(err, &denied)
}

// askAdmin tells what the cluster's administrator has to run.
func (n *namespace) askAdmin(why string, commands ...string) error {
	return fmt.Errorf("at the Temporal cluster %s %s, and this client may not make it; have the cluster's administrator run:\n%s",
		n.addr, why, strings.TrimRight(strings.Join(commands, ""), "\n"))
}

func (n *namespace) createCommand() string {
	return fmt.Sprintf("  temporal operator namespace create --address %s --namespace %s --retention %dh\n", n.addr, n.name, int(n.retention.Hours()))
}

func (n *namespace) attributeCommands(attributes map[string]enums.IndexedValueType) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		fmt.Fprintf(&b, "  temporal operator search-attribute create --address %s --namespace %s --name %s --type %s\n", n.addr, n.name, name, attributes[name])
	}
	return b.String()
}
