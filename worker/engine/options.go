package engine

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// The gate's types: callers of this package need not import it.
type (
	// Account is who a token belongs to.
	Account = gate.Account
	// Accounts tells whose a token is.
	Accounts = gate.Accounts
)

// Defaults of [Options].
const (
	DefaultIP        = "127.0.0.1"
	DefaultNamespace = "patchcycle"
	// DefaultRetention keeps the histories of a quarter's cycles to look at.
	// The record that counts is the store's.
	DefaultRetention = 90 * 24 * time.Hour

	// minRetention is Temporal's own.
	minRetention = 24 * time.Hour
)

// Options say where the engine keeps its state and who may use it. Without
// Postgres and External it runs on a SQLite file in Dir.
type Options struct {
	// Dir is the state folder, made if absent. It holds the SQLite file with the
	// record of the server that made it, the lock, and the port of the last run.
	// Needed unless External is set.
	Dir string
	// Postgres keeps the state in PostgreSQL.
	Postgres *Postgres
	// External uses a cluster that runs elsewhere; Accounts, Commands and UI are
	// that cluster's business then.
	External *External

	// IP is the address to listen on. One that is not loopback needs TLSCert and
	// TLSKey, because tokens would travel in the clear.
	IP string
	// Port is the one to listen on; 0 is that of the last run if it is free, else
	// any.
	Port int
	// TLSCert and TLSKey are PEM files, read once.
	TLSCert, TLSKey string

	// UI serves Temporal's web pages through [Engine.UIHandler].
	UI bool
	// UIHelp is a sentence for somebody without a session: how to get one.
	UIHelp string

	// Namespace is made if absent.
	Namespace string
	// Retention is how long histories of ended workflows stay, a day at least.
	Retention time.Duration
	// SearchAttributes are registered if absent. Both databases hold ten of type
	// Keyword and three of each other type.
	SearchAttributes map[string]enums.IndexedValueType

	// Accounts knows people by their tokens; nil knows nobody.
	Accounts Accounts
	// Commands are the signals that holders of Account.Command may send, by
	// workflow type.
	Commands map[string][]string
	// ProductToken makes another process an equal of this one: whoever sends it
	// runs workflows and workers. Empty takes a new random one, which nobody
	// else learns.
	ProductToken string

	// Logger receives what the server has to say from warnings up, and all of it
	// if it logs at debug level. Nil is silence.
	Logger *zap.Logger
}

// Postgres says which databases to use. They are created if absent, where the
// user may do so, and their schema is brought up to date.
type Postgres struct {
	// URL is postgres://user:password@host:port/database?sslmode=…, as for the
	// store. Its own database is used only to create the two below.
	URL string
	// Database and Visibility are the names of the engine's two: "temporal" and
	// "temporal_visibility" if empty.
	Database, Visibility string
}

// External says how to reach a cluster that runs elsewhere.
type External struct {
	// Address is its frontend, host:port.
	Address string
	// Token is sent as a bearer token (an API key). It needs TLS, except to a
	// loopback address.
	Token string
	// TLS encrypts the connection; the files below imply it.
	TLS bool
	// CAFile verifies the cluster instead of the machine's authorities.
	CAFile string
	// CertFile and KeyFile are this client's certificate, for mutual TLS.
	CertFile, KeyFile string
	// ServerName is the one in the cluster's certificate, if not Address's host.
	ServerName string
	// Open accepts a cluster that asks nobody for credentials. Whoever reaches it
	// can then start, end and steer cycles.
	Open bool
}

// A FieldError says which option is wrong and what it should be.
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return "option " + e.Field + ": " + e.Problem }

func wrong(field, format string, args ...any) error {
	return &FieldError{field, fmt.Sprintf(format, args...)}
}

// complete checks o and fills in defaults.
func (o Options) complete() (Options, error) {
	o.IP = cmp.Or(o.IP, DefaultIP)
	o.Namespace = cmp.Or(o.Namespace, DefaultNamespace)
	o.Retention = cmp.Or(o.Retention, DefaultRetention)
	o.ProductToken = cmp.Or(o.ProductToken, gate.NewToken())
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if err := o.checkShared(); err != nil {
		return o, err
	}
	if o.External != nil {
		return o, o.checkExternal()
	}
	if o.Postgres != nil {
		p := *o.Postgres
		p.Database = cmp.Or(p.Database, "temporal")
		p.Visibility = cmp.Or(p.Visibility, "temporal_visibility")
		o.Postgres = &p
	}
	if err := o.checkEmbedded(); err != nil {
		return o, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, wrong("Dir", "%v", err)
	}
	o.Dir = dir
	return o, nil
}

// tokenLength is that of 128 random bits in hexadecimal.
const tokenLength = 32

var namespaceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$`)

func (o Options) checkShared() error {
	switch {
	case !namespaceName.MatchString(o.Namespace):
		return wrong("Namespace", "%q is not 2 to 255 letters, digits, dots, underscores and hyphens", o.Namespace)
	case strings.HasPrefix(o.Namespace, "temporal-"):
		return wrong("Namespace", "%q is reserved by Temporal", o.Namespace)
	case o.Retention < minRetention:
		return wrong("Retention", "%s is less than a day", o.Retention)
	case len(o.ProductToken) < tokenLength || strings.ContainsAny(o.ProductToken, " \t\r\n"):
		return wrong("ProductToken", "it must be %d characters or more, without white space", tokenLength)
	}
	for name, typ := range o.SearchAttributes {
		if _, known := enums.IndexedValueType_name[int32(typ)]; !known || typ == enums.INDEXED_VALUE_TYPE_UNSPECIFIED {
			return wrong("SearchAttributes", "%s has no type", name)
		}
	}
	return nil
}

func (o Options) checkEmbedded() error {
	ip := net.ParseIP(o.IP)
	switch {
	case o.Dir == "":
		return wrong("Dir", "the state folder is missing")
	case ip == nil:
		return wrong("IP", "%q is not an IP address", o.IP)
	case o.Port < 0 || o.Port > 65535:
		return wrong("Port", "%d is not between 0 and 65535", o.Port)
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return wrong("TLSCert", "TLSCert and TLSKey go together")
	case !ip.IsLoopback() && o.TLSCert == "":
		return wrong("IP", "%s is reachable from other machines, where tokens would travel in the clear: set TLSCert and TLSKey, or listen on %s", o.IP, DefaultIP)
	}
	if o.TLSCert != "" {
		if _, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey); err != nil {
			return wrong("TLSCert", "%v", err)
		}
	}
	if o.Postgres != nil {
		return o.Postgres.check()
	}
	return nil
}

func (o Options) checkExternal() error {
	x := o.External
	host, port, err := net.SplitHostPort(x.Address)
	switch {
	case o.Postgres != nil:
		return wrong("Postgres", "an external cluster has a database of its own: set Postgres or External, not both")
	case o.UI:
		return wrong("UI", "an external cluster has a UI of its own: set UI or External, not both")
	case err != nil || host == "" || port == "":
		return wrong("External.Address", "%q is not host:port", x.Address)
	case (x.CertFile == "") != (x.KeyFile == ""):
		return wrong("External.CertFile", "CertFile and KeyFile go together")
	case x.Token != "" && !x.encrypted() && !loopback(host):
		return wrong("External.Token", "it would travel in the clear to %s: set External.TLS", x.Address)
	}
	return nil
}

func (x External) encrypted() bool {
	return x.TLS || x.CAFile != "" || x.CertFile != "" || x.ServerName != ""
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
