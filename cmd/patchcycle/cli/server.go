package cli

import (
	"cmp"
	"context"
	"io"

	"github.com/spf13/cobra"
)

// ServeOptions are what "patchcycle server" was started with.
type ServeOptions struct {
	// DataDir holds all state.
	DataDir string
	// DatabaseURL moves record and engine to PostgreSQL; empty: SQLite.
	DatabaseURL string
	// TemporalAddress is that of an existing cluster; empty: embedded.
	// TemporalToken is the product's token there.
	TemporalAddress, TemporalToken string
	// Fleet names the installation in everything that is signed.
	Fleet string
	// Uplink is where machines and relays speak to the server.
	Uplink, UplinkCert, UplinkKey string
	// Repositories is the file that lists the repositories of which snapshots are
	// kept; empty: none are.
	Repositories string
	// Feeds is the file that says where feeds come from; empty: feeds.yaml in DataDir.
	Feeds string
	// API is an address for the API beside the socket; empty: none.
	API string
	// UI is where Temporal's pages are; empty: none.
	UI string
	// TemporalPort is that of the embedded engine; 0: as last time, or any.
	TemporalPort int
	// LogLevel is debug, info, warn or error.
	LogLevel string
	Out, Err io.Writer
}

func newServer(e *env) *cobra.Command {
	var o ServeOptions
	c := &cobra.Command{
		Use: "server", Short: "Run the server", Args: exactly(0),
		Long: `Run the server: the record, the engine, the API, and the end of the line to the
machines. Everything is embedded, and its state is in the data directory. The
first start writes the administrator's token there, readable by its owner alone.
It stops on SIGTERM and on Ctrl-C; cycles that run are taken up at the next start.`,
		Example: "patchcycle server --data-dir /var/lib/patchcycle",
		RunE:    func(c *cobra.Command, _ []string) error { return runServer(c.Context(), e.session(c), o) },
	}
	f := c.Flags()
	f.StringVar(&o.DatabaseURL, "database-url", "", "keep record and engine in PostgreSQL: postgres://… (PATCHCYCLE_DATABASE_URL, where others cannot read it)")
	f.StringVar(&o.TemporalAddress, "temporal-address", "", "use an existing Temporal cluster: host:port; its token is read from PATCHCYCLE_TEMPORAL_TOKEN")
	f.IntVar(&o.TemporalPort, "temporal-port", 0, "port of the embedded Temporal server (default: that of the last run, or any)")
	f.StringVar(&o.Fleet, "fleet", "", "name of the installation, in everything that is signed; machines are bound to it (default: that of the first start, or patchcycle)")
	f.StringVar(&o.Uplink, "uplink", "127.0.0.1:7440", "where machines and relays speak to the server; other than on this machine it needs --uplink-cert")
	f.StringVar(&o.UplinkCert, "uplink-cert", "", "certificate of the uplink, in PEM")
	f.StringVar(&o.UplinkKey, "uplink-key", "", "its key")
	f.StringVar(&o.Repositories, "repositories", "", "file that lists package repositories: they are mirrored for the machines, and plans are made from snapshots of them; see docs/repositories.md (default: none)")
	f.StringVar(&o.Feeds, "feeds", "", "file that says where feeds of advisories come from; see docs/feeds.md (default: feeds.yaml in the data directory; without it nothing is asked)")
	f.StringVar(&o.API, "api", "", "an address of this machine for the API, beside the socket; a proxy in front of it does TLS (default: none)")
	f.StringVar(&o.UI, "ui", "127.0.0.1:7441", "where Temporal's pages are; empty: nowhere")
	f.StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn or error")
	if e.ServeFlags != nil {
		e.ServeFlags(c)
	}
	return c
}

func runServer(ctx context.Context, s *session, o ServeOptions) error {
	if s.Serve == nil {
		return errNotBuilt
	}
	switch o.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		return usage(s.cmd, "--log-level %q: write debug, info, warn or error", o.LogLevel)
	}
	o.DataDir = s.dataDir()
	o.DatabaseURL = cmp.Or(o.DatabaseURL, s.Env("PATCHCYCLE_DATABASE_URL"))
	o.TemporalToken = s.Env("PATCHCYCLE_TEMPORAL_TOKEN")
	o.Out, o.Err = s.out, s.errs
	return s.Serve(ctx, o)
}
