package cli

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/courier"
)

type carryOptions struct {
	runOptions
	socket string
}

func newCarry(e *env) *cobra.Command {
	o := carryOptions{runOptions: runOptions{env: e}}
	c := &cobra.Command{
		Use: "carry", Short: "Carry bytes between the agent and its server, as another user", Args: edgecli.NoArgs,
		Long: `Carry bytes between the agent and its server: the part of the agent that speaks to
the network, the courier. It needs no privilege, no key and no journal; of --home it
reads identity.json alone, for the server's address. systemd hands it its sockets
(patchcycle-courier.socket). It takes the options of run, so that both can be given
the same, and heeds --ca, --relay and --fallback-rate.`,
		RunE: func(c *cobra.Command, _ []string) error { return o.carry(c) },
	}
	o.flags(c)
	c.Flags().StringVar(&o.socket, "socket", "", "make this unix socket, and one named parcels beside it, instead of taking systemd's")
	return c
}

func (o carryOptions) carry(c *cobra.Command) error {
	server, err := agent.Home(o.home).Server()
	if err != nil {
		return err
	}
	secure, err := authority(o.ca)
	if err != nil {
		return err
	}
	log := o.Log(c.ErrOrStderr())
	carrier, err := courier.New(courier.Options{Server: server, Relays: o.relays, FallbackRate: o.fallbackRate * 1000, TLS: secure, Log: log})
	if err != nil {
		return err
	}
	letters, parcels, err := o.doors()
	if err != nil {
		return err
	}
	log.Info("patchcycle-agent "+o.Build.Version+" carries", zap.String("server", server))
	return carrier.Serve(c.Context(), letters, parcels)
}

func (o carryOptions) doors() (letters, parcels net.Listener, err error) {
	if o.socket != "" {
		return courier.Listen(o.socket)
	}
	return courier.FromSystemd(o.Env)
}

// hand makes this process the part that has the key and no network: it asks through
// a courier's sockets, and hands packages to its package manager on its own loopback.
func (o runOptions) hand(c *cobra.Command, log *zap.Logger) (*courier.Link, *parcelPipe, error) {
	if err := courier.Alone(); err != nil {
		return nil, nil, err
	}
	link, err := courier.NewLink(o.courier)
	if err != nil {
		return nil, nil, edgecli.Misused(err)
	}
	p, err := handOver(c.Context(), courier.ToSocket(courier.Parcels(o.courier)), log)
	if err != nil {
		link.Close()
		return nil, nil, fmt.Errorf("%w; is the loopback of this process's own network up? A container needs CAP_NET_ADMIN for that", err)
	}
	return link, p, nil
}

// handOver has the package manager find at our loopback what dial opens.
func handOver(ctx context.Context, dial func(context.Context) (net.Conn, error), log *zap.Logger) (*parcelPipe, error) {
	line, err := net.Listen("tcp", courier.ParcelAddress)
	if err != nil {
		return nil, fmt.Errorf("hand packages over: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	p := &parcelPipe{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		if err := courier.Pipe(ctx, line, dial, log); err != nil && ctx.Err() == nil {
			log.Error("packages are not handed over any more", zap.Error(err))
		}
	}()
	return p, nil
}

// parcelPipe is a pipe for packages at work.
type parcelPipe struct {
	stop  context.CancelFunc
	ended chan struct{}
}

func (p *parcelPipe) Close() {
	p.stop()
	<-p.ended
}
