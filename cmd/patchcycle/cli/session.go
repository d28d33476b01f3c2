package cli

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/patching"
)

// Socket is where the API of a data directory listens.
func Socket(dataDir string) string { return filepath.Join(dataDir, "patchcycle.sock") }

// AdminToken is the file in which the first start leaves the administrator's
// token, readable by its owner alone.
func AdminToken(dataDir string) string { return filepath.Join(dataDir, "admin.token") }

// env is what all commands share.
type env struct {
	Options
	server, token, caFile, data string
}

func (e *env) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.Var(named{&e.data}, "data-dir", "where a server of this machine keeps its data (PATCHCYCLE_DATA_DIR)")
	f.StringVar(&e.server, "server", "", "another server to ask: https://host:port (PATCHCYCLE_SERVER)")
	f.StringVar(&e.token, "token", "", "token of your account; others can see it here, rather set PATCHCYCLE_TOKEN")
	f.StringVar(&e.caFile, "ca-file", "", "who vouches for that server, in PEM (PATCHCYCLE_CA_FILE; default: as the machine says)")
}

// dataDir is the directory that is meant where none is named: the system's for
// root, else one's own.
func (e *env) dataDir() string {
	state := e.Env("XDG_STATE_HOME")
	if state == "" {
		state = filepath.Join(e.Env("HOME"), ".local", "state")
	}
	own := filepath.Join(state, "patchcycle")
	if os.Geteuid() == 0 {
		own = "/var/lib/patchcycle"
	}
	return cmp.Or(e.data, e.Env("PATCHCYCLE_DATA_DIR"), own)
}

// session is one run of a command.
type session struct {
	*env
	printer
	cmd *cobra.Command
}

func (e *env) session(c *cobra.Command) *session {
	out := c.OutOrStdout()
	return &session{env: e, cmd: c, printer: printer{out: out, errs: c.ErrOrStderr(), width: e.Terminal(out), zone: e.Zone, now: e.Now(), hint: hints(c.Root())}}
}

// client connects to the server that is meant.
func (s *session) client() (*client.Client, error) {
	o := client.Options{Server: cmp.Or(s.server, s.Env("PATCHCYCLE_SERVER")), Retry: s.Patience}
	local := o.Server == ""
	if local {
		path, err := filepath.Abs(Socket(s.dataDir()))
		if err != nil {
			return nil, fmt.Errorf("data directory: %w", err)
		}
		o.Server = (&url.URL{Scheme: "unix", Path: path}).String()
	}
	var err error
	if o.Token, err = s.findToken(local); err != nil {
		return nil, err
	}
	if file := cmp.Or(s.caFile, s.Env("PATCHCYCLE_CA_FILE")); file != "" {
		if o.Transport, err = s.trusting(file); err != nil {
			return nil, err
		}
	}
	c, err := client.New(o)
	if err != nil {
		return nil, usage(s.cmd, "%s", err)
	}
	return c, nil
}

// findToken never takes the administrator's file for a server that is not the
// data directory's own: it would hand the token to a stranger.
func (s *session) findToken(local bool) (string, error) {
	if token := cmp.Or(s.token, s.Env("PATCHCYCLE_TOKEN")); token != "" {
		return token, nil
	}
	if !local {
		return "", Fail(ExitNotAllowed, "Set PATCHCYCLE_TOKEN; an administrator makes tokens with: patchcycle user add.", "no token for %s", cmp.Or(s.server, s.Env("PATCHCYCLE_SERVER")))
	}
	file := AdminToken(s.dataDir())
	text, err := s.readFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(Socket(s.dataDir())); errors.Is(err, fs.ErrNotExist) {
			return "", Fail(ExitAway, "Start one with \"patchcycle server\" or \"patchcycle demo\", or name another: --data-dir, --server.", "no server has run in %s", s.dataDir())
		}
		return "", Fail(ExitNotAllowed, "Set PATCHCYCLE_TOKEN to the token of your account.", "no token: there is no %s", file)
	case errors.Is(err, fs.ErrPermission):
		return "", Fail(ExitNotAllowed, "Set PATCHCYCLE_TOKEN to the token of your own account.", "%s is for another user", file)
	case err != nil:
		return "", fmt.Errorf("the administrator's token: %w", err)
	}
	if info, err := os.Stat(file); err == nil && info.Mode().Perm()&0o077 != 0 {
		s.note("Warning: others can read %s, and with it everything patchcycle may do is theirs. Run: chmod 600 %s", file, file)
	}
	return strings.TrimSpace(string(text)), nil
}

func (s *session) trusting(file string) (*http.Transport, error) {
	text, err := s.readFile(file)
	if err != nil {
		return nil, fmt.Errorf("the certificate authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}
	return t, nil
}

// clientFor connects to the server and finds the cycle that is meant.
func (s *session) clientFor(args []string) (*client.Client, patching.CycleID, error) {
	c, err := s.client()
	if err != nil {
		return nil, "", err
	}
	id, err := s.theCycle(c, args)
	return c, id, err
}

// theCycle is the one that is named, or the only one that runs.
func (s *session) theCycle(c *client.Client, args []string) (patching.CycleID, error) {
	if len(args) > 0 {
		return cycleNamed(args[0])
	}
	open, err := c.Cycles(s.cmd.Context(), client.CycleQuery{Open: true})
	if err != nil {
		return "", err
	}
	if len(open.Items) == 1 {
		return open.Items[0].ID, nil
	}
	if len(open.Items) == 0 {
		return "", Fail(ExitNotFound, "Name one that has closed: patchcycle cycle list", "no cycle runs")
	}
	var ids []string
	for _, one := range open.Items {
		ids = append(ids, string(one.ID))
	}
	return "", Fail(ExitUsage, "Name one of them: "+strings.Join(ids, ", "), "several cycles run")
}

func cycleNamed(text string) (patching.CycleID, error) {
	parts := strings.Split(text, "/")
	// It becomes a part of a path: dots would lead elsewhere.
	if len(parts) != 3 || slices.ContainsFunc(parts, func(p string) bool { return strings.Trim(p, ".") == "" }) {
		return "", Fail(ExitUsage, "See: patchcycle cycle list", "%q is no cycle's id: one looks like cycle/servers/2026-11.1 or emergency/servers/openssl", text)
	}
	return patching.CycleID(text), nil
}

// machine finds the one that a person means by its id or its hostname. A name
// that nobody has is left for the server to refuse.
func (s *session) machine(c *client.Client, name string) (patching.AssetID, error) {
	page, err := c.Assets(s.cmd.Context(), client.AssetQuery{Text: name, Limit: namesakesAtMost})
	if err != nil {
		return "", err
	}
	var ids []string
	for _, a := range page.Items {
		if string(a.ID) == name {
			return a.ID, nil
		}
		if strings.EqualFold(a.Hostname, name) {
			ids = append(ids, string(a.ID))
		}
	}
	switch len(ids) {
	case 0:
		return patching.AssetID(name), nil
	case 1:
		return patching.AssetID(ids[0]), nil
	}
	return "", Fail(ExitUsage, "Name one of them: "+strings.Join(ids, ", "), "several machines are called %s", name)
}

// namesakesAtMost bounds among how many machines a hostname is looked for: names
// of others may contain it.
const namesakesAtMost = 1000

// completeIn is how long the shell waits for what may come next.
const completeIn = time.Second
