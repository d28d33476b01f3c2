package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

type enrolOptions struct {
	*env
	server, tokenFile, fingerprint, ca string
}

func newEnrol(e *env) *cobra.Command {
	o := enrolOptions{env: e}
	c := &cobra.Command{
		Use: "enrol", Short: "Ask a server to take this machine in", Args: edgecli.NoArgs,
		Long: `Ask a server to take this machine in. The key is made here and never leaves.

The token is read from --token-file, from PATCHCYCLE_TOKEN, or from standard
input: on the command line everyone on this machine could read it. Compare the
printed fingerprint with your server's, or give it with --fingerprint.

A machine that is enrolled may enrol again: it stays the same device, unless its
key or its journal is lost. Then it becomes a new one, and says so.`,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	f := c.Flags()
	f.StringVar(&o.server, "server", "", "the server's address, https://host:port")
	f.StringVar(&o.tokenFile, "token-file", "", "a file that holds the token")
	f.StringVar(&o.fingerprint, "fingerprint", "", "the fingerprint that the server's trust root must have")
	caFlag(c, &o.ca)
	return c
}

// maxToken bounds what is read of a token, in bytes: one has 52.
const maxToken = 4096

func (o enrolOptions) run(c *cobra.Command) error {
	switch {
	case o.server == "":
		return edgecli.Usage("name the server: --server https://host:port")
	case c.Flags().Changed("fingerprint") && !patching.Digest(o.fingerprint).Valid():
		// Whoever gives one does not mean to believe who answers; a variable may be empty.
		return edgecli.Usage("--fingerprint %q: want what \"patchcycle trust show\" prints, sha256: and 64 digits", o.fingerprint)
	}
	token, err := o.token(c.Context(), c.InOrStdin())
	if err != nil {
		return err
	}
	link, err := connect(o.server, o.ca)
	if err != nil {
		return edgecli.Misused(err)
	}
	defer link.Close()
	home := agent.Home(o.home)
	entry, err := home.Enter()
	if err != nil {
		return err
	}
	id, state, err := o.enrol(c.Context(), link, token, entry.Key)
	if err == nil {
		err = home.Settle(entry, id, o.server)
	}
	if err != nil {
		return interrupted(c.Context(), err)
	}
	status, err := home.Status(o.host())
	if err != nil {
		return err
	}
	out := enrolled{Status: status, State: state}
	if entry.Lost != nil {
		out.Before, out.Lost = entry.Before, entry.Lost.File+" "+entry.Lost.What
	}
	return o.print(c, out, out.words(entry))
}

type enrolled struct {
	agent.Status
	State patching.DeviceState `json:"state"`
	// Before is the device that the machine was and cannot be any more, Lost why.
	Before patching.DeviceID `json:"before,omitempty"`
	Lost   string            `json:"lost,omitempty"`
}

func (r enrolled) words(entry agent.Entry) string {
	words := fmt.Sprintf("Enrolled in %s as %s.", r.Fleet, r.Device)
	if entry.Lost == nil && entry.Before == r.Device {
		words = fmt.Sprintf("This machine was enrolled already: it stays %s of %s, at %s.", r.Device, r.Fleet, r.Server)
	}
	if r.State == patching.DevicePending {
		words += " It waits for somebody to accept it."
	}
	if entry.Lost != nil {
		words += fmt.Sprintf("\nIt is a new device with a new key, because %s.", edgecli.Line(r.Lost))
		if r.Before != "" {
			words += fmt.Sprintf(" Take the old one out of use on the server: patchcycle enrol revoke %s --reason WORDS", r.Before)
		}
	}
	return words + "\nFingerprint of the server's trust root: " + string(r.Fingerprint)
}

func (o enrolOptions) enrol(ctx context.Context, link uplink.Link, token string, key trust.Key) (agent.Identity, patching.DeviceState, error) {
	machine, err := o.Machine(Place{}, zap.NewNop()) // for it is only looked at yet
	if err != nil {
		return agent.Identity{}, "", err
	}
	facts, err := machine.Inventory(ctx)
	if err != nil {
		return agent.Identity{}, "", fmt.Errorf("look at this machine: %w", err)
	}
	id, state, err := agent.Enrol(ctx, link, token, key, facts, o.host(), patching.Digest(o.fingerprint))
	return id, state, o.unanswered(err)
}

// unanswered says what to check if it was the line that failed.
func (o enrolOptions) unanswered(err error) error {
	var (
		certificate *tls.CertificateVerificationError
		invalid     x509.CertificateInvalidError
		dial        *net.OpError
		line        *url.Error
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("the certificate of who answers at %s is not valid at the time that this machine shows, %s: set its clock right, or have the certificate renewed (%w)",
			o.server, o.Now().UTC().Format(time.RFC3339), err)
	case errors.As(err, &certificate):
		return fmt.Errorf("who answers at %s is not trusted: check the address, or give the server's certificate authority with --ca FILE (%w)", o.server, err)
	case errors.As(err, &dial) && dial.Op == "dial", errors.As(err, &line) && line.Timeout():
		return fmt.Errorf("nobody answers at %s: check the address and its port (those of the server's --uplink), that the server runs, and that no firewall is in between (%w)", o.server, err)
	case errors.As(err, &line):
		return fmt.Errorf("what answers at %s does not speak as a patchcycle server does: check the address and its port (those of the server's --uplink) (%w)", o.server, err)
	}
	return err
}

// token reads the token from where it was given.
func (o enrolOptions) token(ctx context.Context, in io.Reader) (string, error) {
	text := o.Env("PATCHCYCLE_TOKEN")
	if o.tokenFile != "" { // who names one means it: the variable may be a person's for the server's program
		b, err := unpack.ReadFile(o.tokenFile, maxToken)
		if err != nil {
			return "", fmt.Errorf("--token-file: %w", err)
		}
		text = string(b)
	}
	if text == "" && o.tokenFile == "" {
		b, err := read(ctx, in, maxToken)
		if err != nil {
			return "", interrupted(ctx, fmt.Errorf("token: %w", err))
		}
		text = string(b)
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", edgecli.Usage("no token: make one with \"patchcycle enrol token\" and give it in PATCHCYCLE_TOKEN, --token-file or on standard input")
	}
	return text, nil
}

func caFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "ca", "", "a file with the certificate authority of the server, if it is your own")
}

// connect returns the line to a server.
func connect(server, ca string) (*uplink.Client, error) {
	secure, err := authority(ca)
	if err != nil {
		return nil, err
	}
	return uplink.NewClient(uplink.ClientOptions{URL: server, TLS: secure})
}

// authority says who vouches for a server: those of a file, or nil for the machine's.
func authority(ca string) (*tls.Config, error) {
	secure, err := uplink.TrustFile(ca)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("%w: it is no secret, and the courier runs as a user of its own: chmod a+r %s", err, ca)
	}
	return secure, err
}
