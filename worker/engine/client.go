package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.uber.org/zap/exp/zapslog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// dialPatience bounds the wait for a server that is there but slow.
const dialPatience = 30 * time.Second

func dial(ctx context.Context, o Options, addr, token string, encryption *tls.Config) (client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	options := client.Options{
		HostPort:          addr,
		Namespace:         o.Namespace,
		Logger:            sdklog.NewStructuredLogger(slog.New(zapslog.NewHandler(o.Logger.Core(), zapslog.WithName("temporal-sdk")))),
		ConnectionOptions: client.ConnectionOptions{TLS: encryption},
	}
	if token != "" {
		options.HeadersProvider = gate.Bearer(token)
	}
	c, err := client.DialContext(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s: %w", addr, err)
	}
	return c, nil
}

// errOpen: a caller without credentials got through.
var errOpen = errors.New("the cluster lets callers in without credentials")

// refusesStrangers sends a signal without credentials, which must be denied. An
// engine that forgot its authorizer would otherwise look the same as a closed
// one. The workflow does not exist: an open server says so, a closed one does
// not get that far.
func refusesStrangers(ctx context.Context, addr, namespace string, encryption *tls.Config) error {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(transport(encryption)))
	if err != nil {
		return fmt.Errorf("check that strangers are refused: %w", err)
	}
	defer conn.Close()
	_, err = workflowservice.NewWorkflowServiceClient(conn).SignalWorkflowExecution(ctx, &workflowservice.SignalWorkflowExecutionRequest{
		Namespace:         namespace,
		WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: "patchcycle-self-test"},
		SignalName:        "self-test",
		Identity:          "patchcycle-self-test",
	})
	switch status.Code(err) {
	case codes.PermissionDenied, codes.Unauthenticated:
		return nil
	case codes.OK, codes.NotFound, codes.InvalidArgument, codes.FailedPrecondition:
		return errOpen
	case codes.Unavailable:
		// A cluster that wants a client's certificate hangs up on one without. We
		// did reach it with ours a moment ago.
		if encryption != nil {
			return nil
		}
	}
	return fmt.Errorf("check that strangers are refused: the server at %s neither let a caller without credentials in nor denied it: %w", addr, err)
}

func transport(encryption *tls.Config) credentials.TransportCredentials {
	if encryption == nil {
		return insecure.NewCredentials()
	}
	return credentials.NewTLS(encryption)
}
