package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/patching"
)

// door is a listener with what is served behind it.
type door struct {
	name   string
	server *http.Server
	line   net.Listener
}

func (d *door) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if d.server.Shutdown(ctx) != nil {
		_ = d.server.Close() // long polls do not end by themselves
	}
}

func (s *Server) openDoors() error {
	handler := s.api()
	if err := s.openSocket(handler); err != nil {
		return err
	}
	if s.Config.API != "" {
		if err := s.open("api", s.Config.API, handler, nil); err != nil {
			return err
		}
	}
	var secure *tls.Config
	if s.Config.UplinkCert != "" {
		cert, err := tls.LoadX509KeyPair(s.Config.UplinkCert, s.Config.UplinkKey)
		if err != nil {
			return fmt.Errorf("--uplink-cert %s with --uplink-key %s: %w", s.Config.UplinkCert, s.Config.UplinkKey, err)
		}
		secure = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}
	}
	if err := s.open("uplink", s.Config.Uplink, s.uplink(), secure); err != nil {
		return err
	}
	if ui := s.Engine.UIHandler(); ui != nil && s.Config.UI != "" {
		return s.open("ui", s.Config.UI, ui, nil)
	}
	return nil
}

// uplink is the way that machines have to the server: the protocol, and beside it
// the packages, for those that have no other way out.
func (s *Server) uplink() http.Handler {
	if s.depot == nil {
		return s.root.Handler()
	}
	mux := http.NewServeMux()
	mux.Handle("/", s.root.Handler())
	mux.Handle(depot.MirrorPath, s.depot.Handler())
	mux.Handle(patching.SnapshotPath, s.depot.Handler())
	return mux
}

// openSocket opens the API's unix socket, which only its owner can reach. One
// that a killed server left behind is replaced; the store's lock has made sure
// that no other server runs on this folder.
func (s *Server) openSocket(h http.Handler) error {
	path := s.Config.Socket()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("api socket: %w", err)
	}
	line, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("api socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = line.Close()
		return fmt.Errorf("api socket: %w", err)
	}
	s.serve("socket", line, h)
	return nil
}

func (s *Server) open(name, addr string, h http.Handler, secure *tls.Config) error {
	line, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s: %w (choose another address with --%s)", name, err, name)
	}
	if secure != nil {
		line = tls.NewListener(line, secure)
	}
	s.serve(name, line, h)
	return nil
}

func (s *Server) serve(name string, line net.Listener, h http.Handler) {
	d := &door{name: name, line: line, server: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}}
	s.doors = append(s.doors, d)
	go func() {
		if err := d.server.Serve(line); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// Address returns where a door is ("uplink", "api", "ui"); empty: it is closed.
func (s *Server) Address(name string) string {
	for _, d := range s.doors {
		if d.name == name {
			return d.line.Addr().String()
		}
	}
	return ""
}
