package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

type enrolOptions struct {
	*env
	server, tokenFile, fingerprint, ca string
}

func newEnrol(e *env) *cobra.Command {
	o := enrolOptions{env: e}
	c := &cobra.Command{
		Use: "enrol", Short: "Ask a server to take this machine in", Args: noArgs,
		Long: `Ask a server to take this machine in. The key is made here and never leaves.

The token is read from PATCHCYCLE_TOKEN, from --token-file, or from standard
input: on the command line everyone on this machine could read it. Compare the
printed fingerprint with your server's, or give it with --fingerprint.`,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	f := c.Flags()
	f.StringVar(&o.server, "server", "", "the server's address, https://host:port")
	f.StringVar(&o.tokenFile, "token-file", "", "a file that holds the token")
	f.StringVar(&o.fingerprint, "fingerprint", "", "the fingerprint that the server's trust root must have")
	caFlag(c, &o.ca)
	return c
}

func (o enrolOptions) run(c *cobra.Command) error {
	if o.server == "" {
		return usage("name the server: --server https://host:port")
	}
	token, err := o.token(c.InOrStdin())
	if err != nil {
		return err
	}
	link, err := connect(o.server, o.ca)
	if err != nil {
		return usageError{err}
	}
	defer link.Close()
	id, state, err := o.enrol(c.Context(), link, token)
	if err != nil {
		return err
	}
	status, err := agent.Home(o.home).Status()
	if err != nil {
		return err
	}
	words := fmt.Sprintf("Enrolled in %s as %s.", status.Fleet, id.Device)
	if state == patching.DevicePending {
		words += " It waits for somebody to accept it."
	}
	return o.print(c, struct {
		agent.Status
		State patching.DeviceState `json:"state"`
	}{status, state}, words+"\nFingerprint of the server's trust root: "+string(status.Fingerprint))
}

func (o enrolOptions) enrol(ctx context.Context, link uplink.Link, token string) (agent.Identity, patching.DeviceState, error) {
	machine, err := o.Machine(Place{}, zap.NewNop()) // for it is only looked at yet
	if err != nil {
		return agent.Identity{}, "", err
	}
	facts, err := machine.Inventory(ctx)
	if err != nil {
		return agent.Identity{}, "", fmt.Errorf("look at this machine: %w", err)
	}
	home := agent.Home(o.home)
	key, err := home.Key()
	if err != nil {
		return agent.Identity{}, "", err
	}
	id, state, err := agent.Enrol(ctx, link, token, key, facts, o.host(), patching.Digest(o.fingerprint))
	if err != nil {
		return id, "", err
	}
	return id, state, home.Keep(id, o.server)
}

// token reads the token from where it was given.
func (o enrolOptions) token(in io.Reader) (string, error) {
	text := o.Env("PATCHCYCLE_TOKEN")
	if text == "" && o.tokenFile != "" {
		b, err := os.ReadFile(o.tokenFile)
		if err != nil {
			return "", fmt.Errorf("token: %w", err)
		}
		text = string(b)
	}
	if text == "" {
		b, err := io.ReadAll(io.LimitReader(in, 4096))
		if err != nil {
			return "", fmt.Errorf("token: %w", err)
		}
		text = string(b)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", usage("no token: make one with \"patchcycle enrol token\" and give it in PATCHCYCLE_TOKEN, --token-file or on standard input")
	}
	return text, nil
}

func caFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "ca", "", "a file with the certificate authority of the server, if it is your own")
}

// connect returns the line to a server.
func connect(server, ca string) (*uplink.Client, error) {
	opts := uplink.ClientOptions{URL: server}
	if ca != "" {
		text, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("certificate authority: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return nil, errors.New("certificate authority: the file holds no PEM certificate")
		}
		opts.TLS = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return uplink.NewClient(opts)
}
