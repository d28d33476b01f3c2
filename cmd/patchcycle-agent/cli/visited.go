package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/courier"
	"github.com/patchcycle/patchcycle/edge/stream"
	"github.com/patchcycle/patchcycle/edge/uplink"
)

// visited makes standard input and output the way to the server, and that of packages.
func (o runOptions) visited(c *cobra.Command, place *Place, log *zap.Logger) (uplink.Link, func(), error) {
	if len(o.relays) > 0 {
		return nil, nil, edgecli.Usage("--relay goes with no --stdio: the relay is whoever started this")
	}
	// A line that is lost must not end this process in the middle of an order: without
	// that, one word to the log would. To ignore the signal would be wrong: what we start
	// would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	line, err := stream.Open(c.InOrStdin(), c.OutOrStdout())
	if err != nil {
		return nil, nil, err
	}
	link, err := uplink.NewClient(uplink.ClientOptions{Dial: line.Dial, Connections: 4, Tries: 2})
	if err != nil {
		line.Close()
		return nil, nil, err
	}
	parcels, err := handOver(c.Context(), line.Dial, log)
	if err != nil {
		line.Close()
		return nil, nil, err
	}
	place.Server, place.CA = "http://"+courier.ParcelAddress, ""
	return link, func() { parcels.Close(); link.Close(); line.Close() }, nil
}
