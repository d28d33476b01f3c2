// Package serve ties the control plane together: store, engine, worker, root
// relay, API. It is wiring: what each part decides stands in its own package.
package serve

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// Config is what a server is started with.
type Config struct {
	// Dir holds all state: SQLite files, keys, reports, the socket.
	Dir string
	// DatabaseURL moves store and engine to PostgreSQL (postgres://user:password@host:port/database).
	DatabaseURL string
	// TemporalAddress uses an existing cluster instead of the embedded one;
	// TemporalToken is the product's token there.
	TemporalAddress string
	TemporalToken   string
	// Fleet names the installation in everything that is signed.
	Fleet string
	// Uplink is where agents and relays speak to the server. One that is not
	// loopback needs UplinkCert and UplinkKey.
	Uplink                string
	UplinkCert, UplinkKey string
	// Repositories is the file that lists the package repositories of which
	// snapshots are kept; empty: none are.
	Repositories string
	// Feeds is the file that says where feeds of advisories come from; empty: feeds.yaml
	// in Dir, if it is there.
	Feeds string
	// API is a TCP address for the API beside the unix socket; empty: none.
	API string
	// UI is where Temporal's pages are; empty: none.
	UI string
	// Frontend is the port of the embedded Temporal server; 0: as last time, or any.
	Frontend int
	// Look is how often tallies are looked at while they are awaited.
	Look time.Duration
	// Now is the clock by which the calendar is kept [time.Now].
	Now     func() time.Time
	Version string
	Log     *zap.Logger

	// rebuilding says that the engine is new on purpose.
	rebuilding bool
}

// Defaults of a server that is started without flags.
const (
	DefaultUplink = "127.0.0.1:7440"
	DefaultUI     = "127.0.0.1:7441"
	DefaultFleet  = "patchcycle"
)

func (c Config) withDefaults() Config {
	if c.Look == 0 {
		c.Look = time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

func (c Config) validate() error {
	if c.Dir == "" {
		return errors.New("--data-dir: give the folder that holds the server's state")
	}
	host, _, err := net.SplitHostPort(c.Uplink)
	if err != nil {
		return fmt.Errorf("--uplink %q: want host:port: %w", c.Uplink, err)
	}
	if !loopback(host) && c.UplinkCert == "" {
		return fmt.Errorf("--uplink %s: machines would speak to it in the clear; give --uplink-cert and --uplink-key, or a loopback address", c.Uplink)
	}
	if c.API != "" {
		if host, _, err := net.SplitHostPort(c.API); err != nil || !loopback(host) {
			return fmt.Errorf("--api %s: tokens would travel in the clear; give an address of this machine, and a proxy that does TLS", c.API)
		}
	}
	if (c.UplinkCert == "") != (c.UplinkKey == "") {
		return errors.New("--uplink-cert and --uplink-key go together")
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Socket is where the API listens.
func (c Config) Socket() string { return filepath.Join(c.Dir, "patchcycle.sock") }

// AdminToken is the file that the first start writes.
func (c Config) AdminToken() string { return filepath.Join(c.Dir, "admin.token") }

// Reports is the folder of the reports.
func (c Config) Reports() string { return filepath.Join(c.Dir, "reports") }

// Tables is the folder of the house's own decision tables.
func (c Config) Tables() string { return filepath.Join(c.Dir, "tables") }

func (c Config) makeDirs() error {
	for _, d := range []string{c.Dir, c.Reports(), filepath.Join(c.Dir, "keys"), filepath.Join(c.Dir, "engine")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return fmt.Errorf("state folder: %w", err)
		}
	}
	return nil
}
