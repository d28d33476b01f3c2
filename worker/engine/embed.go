package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"

	"go.temporal.io/sdk/client"

	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// embed starts a server in this process and makes it ready.
func (e *Engine) embed(ctx context.Context, o Options) error {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	unlock, err := lockDir(o.Dir)
	if err != nil {
		return err
	}
	e.onStop(unlock)
	port, err := choosePort(o)
	if err != nil {
		return err
	}
	e.addr = dialable(o.IP, port)

	log := newServerLog(o.Logger, e.failed)
	persistence, err := o.prepareDatabase(ctx, log)
	if err != nil {
		return err
	}
	e.onStop(persistence.close)

	mTLS, err := newInternode()
	if err != nil {
		return fmt.Errorf("make the certificate of the server's inner ports: %w", err)
	}
	if err := mTLS.serveFrontend(o.TLSCert, o.TLSKey); err != nil {
		return fmt.Errorf("option TLSCert: %w", err)
	}
	var own atomic.Pointer[client.Client] // asked for workflow types once it exists
	keeper := gate.NewKeeper(gate.KeeperConfig{
		Namespace:    o.Namespace,
		Commands:     o.Commands,
		WorkflowType: workflowType(&own),
		Accounts:     o.Accounts,
	})
	var dynamic settings
	stop, err := serve(o, port, persistence, mTLS, keeper, &dynamic, log)
	if err != nil {
		return err
	}
	e.onStop(stop)
	if err := rememberPort(o.Dir, port); err != nil {
		return err
	}
	if err := e.prepare(ctx, o, keeper, mTLS.clientTLS(), log); err != nil {
		return err
	}
	dynamic.settled.Store(true)
	own.Store(&e.client)
	if o.UI {
		return e.openUI(o, keeper, mTLS.clientTLS())
	}
	return nil
}

// prepare makes the namespace with a token that may do so, then leaves the
// product with one that may not, and proves that strangers may do nothing.
func (e *Engine) prepare(ctx context.Context, o Options, keeper *gate.Keeper, encryption *tls.Config, log *serverLog) error {
	setupToken := gate.NewToken()
	keeper.Trust(setupToken, gate.Setup)
	setup, err := dial(ctx, o, e.addr, setupToken, encryption)
	if err != nil {
		return err
	}
	err = namespaceOf(o, e.addr, setup, ours).ensure(ctx)
	setup.Close()
	keeper.Distrust(setupToken)
	if err != nil {
		return err
	}
	keeper.Trust(o.ProductToken, gate.Writer)
	if e.client, err = dial(ctx, o, e.addr, o.ProductToken, encryption); err != nil {
		return err
	}
	e.onStop(func() {
		log.hush() // the server's own pollers complain when it stops
		e.client.Close()
	})
	switch err := refusesStrangers(ctx, e.addr, o.Namespace, encryption); {
	case errors.Is(err, errOpen):
		return fmt.Errorf("the embedded server at %s let a caller without credentials in, so it was stopped: this is a defect of patchcycle, please report it", e.addr)
	case err != nil:
		return err
	}
	return nil
}

// workflowType asks the server itself; until the client exists nobody may
// command.
func workflowType(own *atomic.Pointer[client.Client]) func(ctx context.Context, id, run string) (string, error) {
	return func(ctx context.Context, id, run string) (string, error) {
		c := own.Load()
		if c == nil {
			return "", errors.New("the engine is still starting")
		}
		d, err := (*c).DescribeWorkflowExecution(ctx, id, run)
		if err != nil {
			return "", fmt.Errorf("look up the type of workflow %s: %w", id, err)
		}
		return d.GetWorkflowExecutionInfo().GetType().GetName(), nil
	}
}

// dialable is where clients on this machine reach a server that listens on ip.
func dialable(ip string, port int) string {
	if parsed := net.ParseIP(ip); parsed.IsUnspecified() {
		ip = "127.0.0.1"
		if parsed.To4() == nil {
			ip = "::1"
		}
	}
	return net.JoinHostPort(ip, strconv.Itoa(port))
}
