package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/edge/visit"
	"github.com/patchcycle/patchcycle/internal/deb"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
)

type bootstrapOptions struct {
	*env
	server, ca, user, name, identity, fingerprint, sshKey, pack, program, keys string
}

func newBootstrap(e *env) *cobra.Command {
	o := bootstrapOptions{env: e}
	c := &cobra.Command{
		Use: "bootstrap HOST[:PORT]", Short: "Prepare a machine without a resident agent for visits",
		Long: `Prepare a machine without a resident agent for visits, over SSH, with your own
credentials: those of your ssh-agent, or a key file. They are used for this session and
kept nowhere.

The package patchcycle-agent has to be installed there, or is with --package, by the
machine's own dpkg. Its agent is kept from staying and enrolled with a token, which is
read from standard input; its key is made there. The relay's public key goes into your
account's authorized_keys, bound to the agent. The result is the machine's entry for the
list of run --machines.

Without --fingerprint nothing is done, and the machine's is shown, to be compared.`,
		Example: "patchcycle-relay bootstrap db1.example --server https://patch.example:7440 --package patchcycle-agent_0.2.0_amd64.deb \\\n" +
			"  --fingerprint SHA256:… < token >> /etc/patchcycle/machines.yaml",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return edgecli.Usage("name one machine: patchcycle-relay bootstrap HOST")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return o.run(c, args[0]) },
	}
	f := c.Flags()
	f.StringVar(&o.server, "server", "", "the server's or a relay's address, by which the machine is enrolled")
	f.StringVar(&o.ca, "ca", "", "a file with the certificate authority of the server, if it is your own")
	f.StringVar(&o.user, "user", "root", "the account there")
	f.StringVar(&o.name, "name", "", "what the list calls the machine (default: the first part of its host)")
	f.StringVar(&o.identity, "identity", "", "your private key (default: those of your ssh-agent)")
	f.StringVar(&o.fingerprint, "fingerprint", "", "the fingerprint of the machine's host key, as ssh-keygen -l prints it there")
	f.StringVar(&o.sshKey, "ssh-key", "", "the relay's key for visits; its .pub file is enough (default: ssh_key in --dir)")
	f.StringVar(&o.pack, "package", "", "the agent's Debian package, to be installed there; without: it is there already")
	f.StringVar(&o.program, "program", "/usr/bin/patchcycle-agent", "the agent there")
	f.StringVar(&o.keys, "authorized-keys", ".ssh/authorized_keys", "the file there that lists who may log in, from the account's home")
	return c
}

func (o bootstrapOptions) run(c *cobra.Command, host string) error {
	b := visit.Bootstrap{Address: host, User: o.user, Fingerprint: o.fingerprint, Program: o.program, AuthorizedKeys: o.keys}
	if _, _, err := net.SplitHostPort(host); err != nil {
		b.Address = net.JoinHostPort(strings.Trim(host, "[]"), "22")
	}
	name, err := o.check(b.Address)
	if err != nil {
		return err
	}
	if b.Relay, err = o.relayKey(); err != nil {
		return err
	}
	if b.Package, err = o.agentPackage(c.Context()); err != nil {
		return err
	}
	secure, err := uplink.TrustFile(o.ca)
	if err != nil {
		return err
	}
	up, err := uplink.NewClient(uplink.ClientOptions{URL: o.server, TLS: secure, Tries: 1})
	if err != nil {
		return edgecli.Misused(err)
	}
	defer up.Close()
	b.Uplink = uplink.Serve(up, uplink.ServeOptions{MaxPolls: 1, MaxRequests: 4})
	auth, end, err := o.credentials()
	if err != nil {
		return err
	}
	defer end()
	b.Auth = []ssh.AuthMethod{auth}
	if o.fingerprint != "" { // else a person would type a token for nothing
		if b.Token, err = token(o.In); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(c.Context(), 5*time.Minute)
	defer cancel()
	m, said, err := b.Do(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	m.Name = name
	fmt.Fprintln(c.ErrOrStderr(), edgecli.Clean(strings.TrimSpace(said)))
	return o.print(c, map[string]string{"name": m.Name, "address": m.Address, "user": m.User, "host_key": ssh.FingerprintSHA256(m.Host), "entry": m.Entry()}, strings.TrimSuffix(m.Entry(), "\n"))
}

// check returns what the list calls the machine.
func (o bootstrapOptions) check(address string) (string, error) {
	if o.server == "" {
		return "", edgecli.Usage("name the server or a relay: --server https://host:port")
	}
	name := o.name
	if name == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return "", edgecli.Misused(err)
		}
		name = strings.ToLower(host)
		if net.ParseIP(host) == nil {
			name, _, _ = strings.Cut(name, ".")
		}
	}
	if !patching.ValidName(name) {
		return "", edgecli.Usage("%q is no name for a machine: give one with --name, of lower-case letters, digits, dots and dashes", name)
	}
	return name, nil
}

// relayKey reads the public half of the relay's key, which others may read.
func (o bootstrapOptions) relayKey() (ssh.PublicKey, error) {
	file := o.sshKey
	if file == "" {
		file = filepath.Join(o.dir, "ssh_key")
	}
	file = strings.TrimSuffix(file, ".pub") + ".pub"
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the relay's SSH key: %w (ssh-keygen -t ed25519 makes one, with its .pub; docs/relay.md)", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text) //nolint:dogsled // comment, options and rest say nothing of the key
	if err != nil {
		return nil, fmt.Errorf("the relay's SSH key: %s: %w", file, err)
	}
	return key, nil
}

// maxPackage bounds the agent's package, in bytes: it has a tenth of that.
const maxPackage = 128 << 20

// agentPackage is what is to be installed there, nil if nothing is. That it is another
// package, or none, is said before anybody logs in.
func (o bootstrapOptions) agentPackage(ctx context.Context) ([]byte, error) {
	if o.pack == "" {
		return nil, nil
	}
	text, err := unpack.ReadFile(o.pack, maxPackage)
	if err != nil {
		return nil, fmt.Errorf("--package: %w", err)
	}
	p, err := deb.Open(ctx, bytes.NewReader(text), int64(len(text)))
	if err != nil {
		return nil, fmt.Errorf("--package %s: %w", o.pack, err)
	}
	if p.Name != agentName {
		return nil, edgecli.Usage("--package %s: it is %s %s, want %s", o.pack, p.Name, p.Version, agentName)
	}
	return text, nil
}

const agentName = "patchcycle-agent"

// credentials are the administrator's own.
func (o bootstrapOptions) credentials() (ssh.AuthMethod, func(), error) {
	if o.identity != "" {
		key, err := visit.ReadKey(o.identity)
		if err != nil {
			return nil, nil, fmt.Errorf("--identity: %w; one with a passphrase goes by ssh-agent: ssh-add it", err)
		}
		return ssh.PublicKeys(key), func() {}, nil
	}
	socket := o.Env("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil, edgecli.Usage("no ssh-agent answers here: start one, or name your key with --identity FILE")
	}
	line, err := net.Dial("unix", socket)
	if err != nil {
		return nil, nil, fmt.Errorf("your ssh-agent: %w", err)
	}
	return ssh.PublicKeysCallback(agent.NewClient(line).Signers), func() { _ = line.Close() }, nil
}

func token(in io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return "", fmt.Errorf("token: %w", err)
	}
	if len(strings.TrimSpace(string(text))) == 0 {
		return "", edgecli.Usage("no token: make one with \"patchcycle enrol token\" and give it on standard input")
	}
	return string(text), nil
}
