package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/edge/visit"
	"github.com/patchcycle/patchcycle/patching"
)

type runOptions struct {
	*env
	server, ca, listen, cert, key, name string
	cache, spool, rate                  size
	// machines lists those that are visited, sshKey is what the relay is known by there.
	machines, sshKey string
}

func newRun(e *env) *cobra.Command {
	o := runOptions{env: e, cache: 20e9, spool: 256e6}
	c := &cobra.Command{
		Use: "run", Short: "Serve a site's machines until stopped", Args: edgecli.NoArgs,
		Example: "patchcycle-relay run --server https://patch.example:7440 --listen 0.0.0.0:7440 \\\n" +
			"  --cert /etc/patchcycle/relay.pem --key /etc/patchcycle/relay.key --rate 2MB",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	f := c.Flags()
	f.StringVar(&o.server, "server", "", "the server's address, https://host:port, or that of a relay before this one")
	f.StringVar(&o.ca, "ca", "", "a file with the certificate authority of the server, if it is your own")
	f.StringVar(&o.listen, "listen", "127.0.0.1:7440", "where machines find this relay: host:port, or unix:/path")
	f.StringVar(&o.cert, "cert", "", "the certificate by which machines know this relay (PEM)")
	f.StringVar(&o.key, "key", "", "its private key (PEM)")
	f.StringVar(&o.name, "name", "", "how the server calls this relay (default: this machine's name)")
	f.Var(&o.cache, "cache", "how much of packages is kept")
	f.Var(&o.spool, "spool", "how much of receipts is kept while the line is down; 0: none")
	f.StringVar(&o.machines, "machines", "", "a file that lists machines without a resident agent, to be visited over SSH")
	f.StringVar(&o.sshKey, "ssh-key", "", "the private key for these visits (default: ssh_key in --dir)")
	f.Var(&o.rate, "rate", "how much of packages is fetched a second; 0: as much as comes")
	return c
}

func (o runOptions) run(c *cobra.Command) error {
	name, err := o.check()
	if err != nil {
		return err
	}
	secure, err := uplink.TrustFile(o.ca)
	if err != nil {
		return err
	}
	// What fails is tried again by whoever asked, and by the relay itself: here once.
	up, err := uplink.NewClient(uplink.ClientOptions{URL: o.server, TLS: secure, Tries: 1})
	if err != nil {
		return edgecli.Misused(err)
	}
	defer up.Close()
	door, err := o.open()
	if err != nil {
		return err
	}
	log := o.Log(c.ErrOrStderr())
	spool := int64(o.spool)
	if spool == 0 {
		spool = -1
	}
	opts := relay.Options{
		Name: name, Up: up, Files: up, Dir: o.dir, Log: log, Now: o.Now, Cache: int64(o.cache), Spool: spool, Rate: int64(o.rate),
	}
	if opts.Machines, opts.Key, err = o.visits(); err != nil {
		return errors.Join(err, door.Close())
	}
	r, err := relay.New(opts)
	if err != nil {
		return errors.Join(err, door.Close())
	}
	log.Info("patchcycle-relay "+o.Build.Version, zap.String("name", name), zap.String("server", o.server), zap.String("at", door.Addr().String()))
	return serve(c.Context(), r, door)
}

// check returns the relay's name.
func (o runOptions) check() (string, error) {
	switch {
	case o.server == "":
		return "", edgecli.Usage("name the server: --server https://host:port")
	case (o.cert == "") != (o.key == ""):
		return "", edgecli.Usage("--cert and --key go together")
	case o.cache < 100e6:
		return "", edgecli.Usage("--cache %s: a kernel alone has 70 MB; write 100MB or more", o.cache.String())
	}
	name := o.name
	if name == "" {
		host, err := o.Hostname()
		if err != nil {
			return "", fmt.Errorf("this machine's name: %w; give the relay one with --name", err)
		}
		name, _, _ = strings.Cut(strings.ToLower(host), ".")
	}
	if !patching.ValidName(name) {
		return "", edgecli.Usage("%q is no name for a relay: give one with --name, of lower-case letters, digits, dots and dashes", name)
	}
	return name, nil
}

// visits returns who is visited, and with which key; nobody if there is no list.
func (o runOptions) visits() ([]visit.Machine, ssh.Signer, error) {
	if o.machines == "" {
		return nil, nil, nil
	}
	machines, err := visit.ReadMachines(o.machines)
	if err != nil {
		return nil, nil, edgecli.Misused(err)
	}
	file := o.sshKey
	if file == "" {
		file = filepath.Join(o.dir, "ssh_key")
	}
	key, err := visit.ReadKey(file)
	return machines, key, err
}

// open opens the door for machines.
func (o runOptions) open() (net.Listener, error) {
	if path, ok := strings.CutPrefix(o.listen, "unix:"); ok {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("--listen: %w", err)
		}
		return net.Listen("unix", path)
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return nil, edgecli.Usage("--listen %q: want host:port, or unix:/path", o.listen)
	}
	if ip := net.ParseIP(host); o.cert == "" && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, edgecli.Usage("--listen %s: machines would speak to it in the clear; give --cert and --key, or a loopback address", o.listen)
	}
	door, err := net.Listen("tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("%w (choose another address with --listen)", err)
	}
	if o.cert == "" {
		return door, nil
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--cert %s with --key %s: %w", o.cert, o.key, err), door.Close())
	}
	return tls.NewListener(door, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}), nil
}

// serve serves until ctx ends. What is under way then is asked for again.
func serve(ctx context.Context, r *relay.Relay, door net.Listener) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	ran := make(chan error, 1)
	go func() { ran <- r.Run(life) }()
	web := &http.Server{Handler: r.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	served := make(chan error, 1)
	go func() { served <- web.Serve(door) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	end() // long polls are answered
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if web.Shutdown(stopping) != nil {
		_ = web.Close()
	}
	return errors.Join(err, <-ran)
}
