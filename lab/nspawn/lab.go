//go:build linux

package nspawn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/lab/netns"
)

// Gateway is the server's address in every lab. Labs have networks of their own,
// so that two at once do not meet.
const Gateway = "10.77.0.1"

// upstreamAddr is where the archive is for a server that runs in the lab's
// network: on its loopback, which machines cannot reach.
const upstreamAddr = "127.0.0.1:3142"

// Options say what lab to make. The zero value of all but the name will do.
type Options struct {
	// Name of small letters, digits and dashes; one that stands is refused.
	Name string
	// Port is the server's, at [Gateway]: all that machines can reach. 8080 if 0.
	Port int
	// Packages is the path under which the server serves packages: machines
	// have http://<gateway>:<port><path>/debian in apt's lists.
	Packages string
	// OwnServer says that somebody else will listen at the server's address.
	// Otherwise the lab serves the archive there itself.
	OwnServer bool
	// Repositories returns what every machine knows beside Debian's archive.
	// It gets [Folder] to keep it in.
	Repositories func(folder string) ([]Repository, error)
	// Log gets what takes long, and what failed.
	Log io.Writer
}

// Repository is a signed archive beside Debian's, reached as <packages>/<name>.
type Repository struct {
	Name, Suite string
	// Key is the binary OpenPGP key that machines trust for it.
	Key []byte
	// Handler serves it below its name.
	Handler http.Handler
}

// Lab is one that stands. Take it down with [Lab.Down].
type Lab struct {
	// Base is what its machines are made from.
	Base Base
	// Network is the lab's own: the server's end of the bridge.
	Network netns.Namespace

	options      Options
	dir          string
	repositories []Repository
	servers      []*http.Server
	door         *http.Server // at the server's address, nil if that is another's

	mu     sync.Mutex
	state  State
	sealed bool
	hosts  []*Host
}

// Up makes a lab without machines. Labs whose process is gone are removed first.
// Machines of the lab live no longer than this process.
func Up(ctx context.Context, o Options) (*Lab, error) {
	if o.Port == 0 {
		o.Port = 8080
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	l, err := claim(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := l.build(ctx); err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(fmt.Errorf("lab %s: %w", o.Name, err), l.Down(clean))
	}
	return l, nil
}

// claim notes that the lab is ours before anything of it is made.
func claim(ctx context.Context, o Options) (*Lab, error) {
	if !names.MatchString(o.Name) {
		return nil, fmt.Errorf("%q is no name of a lab: write small letters, digits and dashes", o.Name)
	}
	if err := os.MkdirAll(filepath.Join(Cache(), "labs"), 0o755); err != nil {
		return nil, err
	}
	if err := Sweep(ctx); err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, filepath.Join(Cache(), "labs.lock"))
	if err != nil {
		return nil, err
	}
	defer unlock()
	l := &Lab{
		options: o, dir: labDir(o.Name),
		state: State{Name: o.Name, Keeper: os.Getpid(), Began: startOf(os.Getpid())},
	}
	if err := os.Mkdir(l.dir, 0o755); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lab %s stands already: take it down first, or choose another name", o.Name)
	} else if err != nil {
		return nil, err
	}
	return l, l.state.save()
}

// Sweep removes the labs whose process is gone.
func Sweep(ctx context.Context) error {
	if !exists(Cache()) {
		return nil
	}
	unlock, err := lock(ctx, filepath.Join(Cache(), "labs.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	all, err := Labs()
	if err != nil {
		return err
	}
	for _, s := range all {
		if !s.Alive() {
			if err := removeLab(ctx, s.Name); err != nil {
				return fmt.Errorf("remove what is left of lab %s: %w", s.Name, err)
			}
		}
	}
	return nil
}

func (l *Lab) build(ctx context.Context) error {
	var err error
	l.Base, err = prepareBase(ctx, Cache(), l.options.Log, func(b Base) error {
		l.state.Base = b.Dir
		return l.state.save()
	})
	if err != nil {
		return err
	}
	if err := raiseLimit(ctx); err != nil {
		return err
	}
	if l.Network, err = netns.Create(ctx, filepath.Join(l.dir, "net")); err != nil {
		return err
	}
	if err := l.wire(ctx); err != nil {
		return err
	}
	if l.options.Repositories != nil {
		if err := os.Mkdir(Folder(l.options.Name), 0o755); err != nil {
			return err
		}
		if l.repositories, err = l.options.Repositories(Folder(l.options.Name)); err != nil {
			return err
		}
	}
	if _, err := l.serve(upstreamAddr, l.handler("")); err != nil {
		return err
	}
	if l.door, err = l.serve(l.Server(), l.handler(l.options.Packages)); err != nil {
		return err
	}
	if err := l.prepareLayer(ctx); err != nil {
		return err
	}
	if l.options.OwnServer {
		return l.CloseDoor()
	}
	return nil
}

// wire makes the bridge. From it, one port of the gateway can be reached and
// nothing else; machines cannot reach each other at all.
func (l *Lab) wire(ctx context.Context) error {
	for _, args := range [][]string{
		{"ip", "link", "add", "br0", "type", "bridge"},
		{"ip", "addr", "add", Gateway + "/16", "dev", "br0"},
		{"ip", "link", "set", "br0", "up"},
	} {
		if err := l.Network.Run(ctx, args...); err != nil {
			return err
		}
	}
	c := l.Network.Command(ctx, "nft", "-f", "-")
	c.Stdin = strings.NewReader(fmt.Sprintf(`table inet lab {
	chain input {
		type filter hook input priority filter; policy accept;
		iifname "br0" ct state established,related accept
		iifname "br0" ip daddr %s tcp dport %d accept
		iifname "br0" drop
	}
	chain forward { type filter hook forward priority filter; policy drop; }
}
`, Gateway, l.options.Port))
	return runCommand(l.options.Log, c)
}

// Server is the address that machines can reach.
func (l *Lab) Server() string { return net.JoinHostPort(Gateway, strconv.Itoa(l.options.Port)) }

// Upstream is the URL of the archive (with debian, debian-security and the
// lab's repositories below) for a server in the lab's network.
func (l *Lab) Upstream() string { return "http://" + upstreamAddr }

// packages is the URL in the machines' lists.
func (l *Lab) packages() string { return "http://" + l.Server() + l.options.Packages }

func (l *Lab) handler(prefix string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", l.Base.Archive())
	for _, r := range l.repositories {
		mux.Handle("/"+r.Name+"/", http.StripPrefix("/"+r.Name, r.Handler))
	}
	return http.StripPrefix(prefix, mux)
}

// serve answers at an address in the lab's network, from this process.
func (l *Lab) serve(addr string, h http.Handler) (*http.Server, error) {
	listener, err := l.Network.Listen(addr)
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	l.servers = append(l.servers, s)
	go func() { _ = s.Serve(listener) }()
	return s, nil
}

// CloseDoor stops serving the archive at the server's address: for machines, the
// server is down.
func (l *Lab) CloseDoor() error {
	if l.door == nil {
		return nil
	}
	door := l.door
	l.door = nil
	return door.Close()
}

// OpenDoor serves the archive at the server's address again.
func (l *Lab) OpenDoor() (err error) {
	if l.door == nil {
		l.door, err = l.serve(l.Server(), l.handler(l.options.Packages))
	}
	return err
}

// Command returns a program that runs in the lab's network: a patchcycle server,
// say, that listens at [Lab.Server].
func (l *Lab) Command(ctx context.Context, args ...string) *exec.Cmd {
	return l.Network.Command(ctx, args...)
}

// Dir is the lab's own folder; it goes with the lab.
func (l *Lab) Dir() string { return l.dir }

// Folder is where a lab keeps its repositories; it goes with the lab.
func Folder(lab string) string { return filepath.Join(labDir(lab), "repositories") }

// NetworkOf is the network of a lab that another process keeps.
func NetworkOf(lab string) (netns.Namespace, error) {
	if _, err := Load(lab); err != nil {
		return "", fmt.Errorf("lab %s: %w", lab, err)
	}
	return netns.Namespace(filepath.Join(labDir(lab), "net")), nil
}

// Hosts are the machines in the order of their making.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.hosts)
}

// Ready notes for other processes that all machines have started.
func (l *Lab) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.Ready = true
	return l.state.save()
}

// Down removes the lab with everything in it. It can be called twice.
func (l *Lab) Down(ctx context.Context) error {
	l.mu.Lock()
	hosts := l.hosts
	l.sealed = true
	l.mu.Unlock()
	for _, h := range hosts {
		h.retire()
	}
	for _, s := range l.servers {
		_ = s.Close()
	}
	if err := removeAlone(ctx, l.options.Name); err != nil {
		return err
	}
	for _, h := range hosts {
		if err := h.ended(ctx); err != nil {
			return err
		}
	}
	return nil
}
