package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
	sdk "go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/workflows"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// export writes the histories of all workflows, each of which has to replay by
// the code that ran it.
func (h *house) export(ctx context.Context, into string) (written int, err error) {
	c, err := h.dial(ctx, h.Tokens[trial.Auditor])
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if err := os.MkdirAll(into, 0o755); err != nil {
		return 0, err
	}
	replayer := worker.NewWorkflowReplayer()
	workflows.Register(replayer)
	clean := scrubber{dir: filepath.Dir(h.dir)}
	ask := &workflowservice.ListWorkflowExecutionsRequest{Namespace: engine.DefaultNamespace, Query: fmt.Sprintf(
		"WorkflowType IN (%q, %q, %q, %q)", contract.CycleWorkflow, contract.RingWorkflow, contract.WaveWorkflow, contract.TriggerWorkflow)}
	for {
		page, err := c.ListWorkflow(ctx, ask)
		if err != nil {
			return written, fmt.Errorf("list the workflows: %w", err)
		}
		for _, e := range page.GetExecutions() {
			history, err := read(ctx, c, e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId())
			if err != nil {
				return written, err
			}
			clean.message(history.ProtoReflect())
			if err := replayer.ReplayWorkflowHistory(silent{}, history); err != nil {
				return written, fmt.Errorf("replay %s: %w", e.GetExecution().GetWorkflowId(), err)
			}
			if err := write(filepath.Join(into, fileName(e.GetExecution().GetWorkflowId())), history); err != nil {
				return written, err
			}
			written++
		}
		if ask.NextPageToken = page.GetNextPageToken(); len(ask.NextPageToken) == 0 {
			return written, nil
		}
	}
}

func read(ctx context.Context, c sdk.Client, id, run string) (*historypb.History, error) {
	out := &historypb.History{}
	it := c.GetWorkflowHistory(ctx, id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			return nil, fmt.Errorf("history of %s: %w", id, err)
		}
		out.Events = append(out.Events, e)
	}
	return out, nil
}

// write puts one event on a line, so that two recordings can be compared.
func write(file string, history *historypb.History) error {
	var b bytes.Buffer
	for i, e := range history.GetEvents() {
		text, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(e)
		if err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
		b.WriteString(map[bool]string{true: "{\"events\": [\n", false: ",\n"}[i == 0])
		b.Write(text)
	}
	b.WriteString("\n]}\n")
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// fileName makes a workflow's id a file's name: cycle/normal/2026-11.1/ring/test
// becomes cycle.normal.2026-11.1.ring.test.json.
func fileName(id string) string {
	return strings.NewReplacer("/", ".", ":", "").Replace(id) + ".json"
}

// scrubber takes out of a history what belongs to the machine that recorded it:
// where its data were, and its name, which clients and sticky queues carry.
// Replaying looks at none of that.
type scrubber struct{ dir string }

func (s scrubber) message(m protoreflect.Message) {
	if q, ok := m.Interface().(*taskqueuepb.TaskQueue); ok && q.GetKind() == enumspb.TASK_QUEUE_KIND_STICKY {
		q.Name = "recorded"
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				if f.MapValue().Message() != nil {
					s.message(v.Message())
				} else if clean, differs := s.value(f.MapValue(), v); differs {
					m.Mutable(f).Map().Set(k, clean)
				}
				return true
			})
		case f.IsList():
			for i := range v.List().Len() {
				if f.Message() != nil {
					s.message(v.List().Get(i).Message())
				} else if clean, differs := s.value(f, v.List().Get(i)); differs {
					m.Mutable(f).List().Set(i, clean)
				}
			}
		case f.Message() != nil:
			s.message(v.Message())
		case f.Name() == "identity":
			m.Set(f, protoreflect.ValueOfString("recorded"))
		default:
			if clean, differs := s.value(f, v); differs {
				m.Set(f, clean)
			}
		}
		return true
	})
}

func (s scrubber) value(f protoreflect.FieldDescriptor, v protoreflect.Value) (clean protoreflect.Value, differs bool) {
	switch f.Kind() {
	case protoreflect.StringKind:
		text := strings.ReplaceAll(v.String(), s.dir, "/data")
		return protoreflect.ValueOfString(text), text != v.String()
	case protoreflect.BytesKind:
		b := bytes.ReplaceAll(v.Bytes(), []byte(s.dir), []byte("/data"))
		return protoreflect.ValueOfBytes(b), !bytes.Equal(b, v.Bytes())
	default:
		return v, false
	}
}
