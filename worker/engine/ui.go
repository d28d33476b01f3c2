package engine

import (
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	uiapi "github.com/temporalio/ui-server/v2/server/api"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uiroute "github.com/temporalio/ui-server/v2/server/route"
	"github.com/temporalio/ui-server/v2/ui"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

const defaultUIHelp = "Ask patchcycle for a sign-in link and open it in this browser. A link works once, within ten minutes."

// maxMessage is what the UI's own server takes from the engine.
const maxMessage = 64 << 20

// openUI puts Temporal's UI behind the gate's door.
//
// The UI is assembled here from the parts that its own server is made of,
// because that server only listens on a port of its own, which it ends the
// process over when it is taken. So the UI has no address but the caller's, and
// no credential but the person's.
func (e *Engine) openUI(o Options, keeper *gate.Keeper, encryption *tls.Config) error {
	conn, err := grpc.NewClient("passthrough:///"+e.addr,
		grpc.WithTransportCredentials(transport(encryption)),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)))
	if err != nil {
		return fmt.Errorf("start the workflow UI: %w", err)
	}
	e.onStop(func() { conn.Close() })
	backend, err := uiHandler(o.Namespace, conn)
	if err != nil {
		return fmt.Errorf("start the workflow UI: %w", err)
	}
	help := o.UIHelp
	if help == "" {
		help = defaultUIHelp
	}
	e.door = gate.NewDoor(gate.DoorConfig{Who: keeper.Person, Backend: backend, Help: help})
	e.onStop(e.door.Close)
	return nil
}

func uiHandler(namespace string, conn *grpc.ClientConn) (http.Handler, error) {
	conf, err := uiconfig.NewConfigProviderWithRefresh(uiConfig{namespace})
	if err != nil {
		return nil, err
	}
	assets, err := ui.Assets()
	if err != nil {
		return nil, err
	}
	pages, err := fs.Sub(assets, "local")
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.Use(middleware.Recover(), middleware.Gzip(), middleware.Secure())
	api := e.Group("/api/v1")
	api.GET("/settings", uiapi.GetSettings(conf))
	api.GET("/ui-extensions", uiapi.GetUIExtensions(conf, nil))
	api.GET(uiapi.WorkflowRawHistoryUrl, rawHistory(workflowservice.NewWorkflowServiceClient(conn)))
	api.Any("/*", uiapi.TemporalAPIHandler(conf, nil, conn))
	if err := uiroute.SetUIRoutes(e, "", pages, conf); err != nil {
		return nil, err
	}
	uiroute.SetRenderRoute(e, "/")
	return e, nil
}

// uiConfig hides the buttons whose calls the gate would refuse everybody.
type uiConfig struct{ namespace string }

func (c uiConfig) GetConfig() (*uiconfig.Config, error) {
	return &uiconfig.Config{
		EnableUI:                  true,
		DefaultNamespace:          c.namespace,
		DisableNewsFetch:          true, // it would call out
		StartWorkflowDisabled:     true,
		WorkflowTerminateDisabled: true,
		WorkflowCancelDisabled:    true,
		WorkflowUpdateDisabled:    true,
		WorkflowResetDisabled:     true,
		WorkflowPauseDisabled:     true,
		BatchActionsDisabled:      true,
		ActivityCommandsDisabled:  true,
	}, nil
}

// rawHistory serves the download of a history, for which the UI's handler
// forgets to send the caller's token on.
func rawHistory(service workflowservice.WorkflowServiceClient) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller := asCaller{service, c.Request().Header.Get(echo.HeaderAuthorization)}
		return uiapi.WorkflowRawHistoryHandler(caller)(c)
	}
}

type asCaller struct {
	service       workflowservice.WorkflowServiceClient
	authorization string
}

func (a asCaller) GetWorkflowExecutionHistory(ctx context.Context, in *workflowservice.GetWorkflowExecutionHistoryRequest, opts ...grpc.CallOption) (*workflowservice.GetWorkflowExecutionHistoryResponse, error) {
	return a.service.GetWorkflowExecutionHistory(metadata.AppendToOutgoingContext(ctx, "authorization", a.authorization), in, opts...)
}
