package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/lab/sim"
)

// patience bounds a start: a first one on PostgreSQL makes the engine's schema.
const patience = 2 * time.Minute

// server is a running "patchcycle server".
type server struct {
	dir      string
	uplink   string
	temporal string
	took     time.Duration // from the start of the process until it served
	cmd      *exec.Cmd
	done     chan struct{}
	measures *http.Client
}

// startServer starts the program as a user would and returns when it serves.
func startServer(ctx context.Context, o options, dir, databaseURL string) (*server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "m.sock")
	s := &server{dir: dir, done: make(chan struct{}), measures: overSocket(socket)}
	s.cmd = exec.Command(o.program, "server", "--data-dir", dir, "--uplink", cmp.Or(o.uplink, "127.0.0.1:0"), "--ui", "127.0.0.1:0",
		"--log-level", "warn", "--measures", socket)
	s.cmd.Env = append(os.Environ(), "PATCHCYCLE_DATABASE_URL="+databaseURL)
	out, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	serving := make(chan struct{})
	go s.attend(out, log, began, serving)
	select {
	case <-serving:
		return s, nil
	case <-s.done:
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("the server ended before it served: %s", text)
	case <-time.After(patience):
		s.stop()
		return nil, fmt.Errorf("the server does not serve after %s", patience)
	case <-ctx.Done():
		s.stop()
		return nil, ctx.Err()
	}
}

// attend reads where the server is from the lines that it greets people with.
func (s *server) attend(out io.Reader, log *os.File, began time.Time, serving chan<- struct{}) {
	defer close(s.done)
	defer log.Close()
	lines := bufio.NewScanner(io.TeeReader(out, log))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) != 2 || s.temporal != "" {
			continue
		}
		switch f[0] {
		case "uplink":
			s.uplink = f[1]
		case "Temporal": // the last of them
			s.took, s.temporal = time.Since(began), f[1]
			close(serving)
		}
	}
	_ = s.cmd.Wait() // a killed one has nothing to say
}

func (s *server) pid() int { return s.cmd.Process.Pid }

// stop asks the server to end, and makes it after a while.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		s.kill()
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.done
}

// writes is how many rows the server has written to its store.
func (s *server) writes(ctx context.Context) (int64, error) {
	var c struct{ Writes int64 }
	err := get(ctx, s.measures, "/counts", func(r io.Reader) error { return json.NewDecoder(r).Decode(&c) })
	return c.Writes, err
}

func overSocket(path string) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}}}
}

func get(ctx context.Context, c *http.Client, path string, read func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://measures"+path, http.NoBody)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, res.Status)
	}
	return read(res.Body)
}

// fleet is a running simulated fleet.
type fleet struct {
	dir   string
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	once  sync.Once
}

// startFleet starts the fleet's process and returns when all machines have
// enrolled. More are arguments beside the usual ones, or in their place.
func startFleet(ctx context.Context, o options, dir, uplink, profile, tokens string, more ...string) (*fleet, error) {
	f := &fleet{dir: dir, done: make(chan struct{})}
	// The machines take next to no time over anything, and leave the durability of
	// their own logs to the system: what is measured is the server.
	f.cmd = exec.Command(o.program, append([]string{
		"sim", "-dir", dir, "-server", uplink, "-profile", profile, "-tokens", tokens,
		"-speed", "1000", "-sync", "-1",
	}, more...)...)
	log, err := os.Create(dir + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	f.cmd.Stderr = log
	if f.stdin, err = f.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	go func() {
		defer close(f.done)
		lines := bufio.NewScanner(out)
		for first := true; lines.Scan(); {
			var r sim.Ready
			if json.Unmarshal(lines.Bytes(), &r) == nil && r.Ready && first {
				first = false
				close(ready)
			}
		}
		_ = f.cmd.Wait() // how it ended stands in its log
	}()
	select {
	case <-ready:
		return f, nil
	case <-f.done:
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("the fleet ended before it was ready: %s", text)
	case <-ctx.Done():
		f.stop()
		return nil, fmt.Errorf("enrolment: %w", context.Cause(ctx))
	}
}

func (f *fleet) pid() int { return f.cmd.Process.Pid }

func (f *fleet) stop() {
	f.once.Do(func() {
		_ = f.stdin.Close()
		select {
		case <-f.done:
		case <-time.After(30 * time.Second):
			_ = f.cmd.Process.Kill()
			<-f.done
		}
	})
}
