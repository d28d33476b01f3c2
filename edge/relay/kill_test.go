package relay_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
)

// The relay that other tests kill: this program, started once more.
func TestARelayToBeKilled(t *testing.T) {
	dir := os.Getenv("RELAY_TO_BE_KILLED")
	if dir == "" {
		return // nobody started it to be killed
	}
	require.NoError(t, beKilled(dir, os.Getenv("RELAY_SERVER")))
}

func beKilled(dir, url string) error {
	up, err := uplink.NewClient(uplink.ClientOptions{URL: url, Tries: 1})
	if err != nil {
		return err
	}
	r, err := relay.New(relay.Options{Name: "berlin", Up: up, Dir: dir, Gather: time.Millisecond, Grace: time.Millisecond})
	if err != nil {
		return err
	}
	line, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = r.Run(context.Background()) }()
	fmt.Fprintln(os.Stdout, "http://"+line.Addr().String())
	return (&http.Server{Handler: r.Handler(), ReadHeaderTimeout: time.Second}).Serve(line)
}

// process is such a relay.
type process struct {
	cmd  *exec.Cmd
	link *uplink.Client
}

func startProcess(t *testing.T, dir, server string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestARelayToBeKilled$")
	cmd.Env = append(os.Environ(), "RELAY_TO_BE_KILLED="+dir, "RELAY_SERVER="+server)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	url, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	p := &process{cmd: cmd}
	p.link, err = uplink.NewClient(uplink.ClientOptions{URL: strings.TrimSpace(url), Tries: 1})
	require.NoError(t, err)
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9.
func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		p.link.Close()
		p.cmd = nil
	}
}

// Serves Q5: machines deliver their receipts, the line is down, the relay is killed
// at any moment, the machines go away, and all the same each receipt arrives.
func TestReceiptsThatARelayKeptArriveAfterItWasKilledAtAnyMoment(t *testing.T) {
	s := newServer(t)
	door := http.Server{Handler: uplink.Serve(s, uplink.ServeOptions{MaxPolls: 100, MaxRequests: 100}), ReadHeaderTimeout: time.Second}
	line, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = door.Serve(line) }()
	t.Cleanup(func() { _ = door.Close() })
	s.do(func() { s.down = errors.New("no route") })

	dir, url := t.TempDir(), "http://"+line.Addr().String()
	var mu sync.Mutex
	answered := map[string]bool{}
	counter := 0
	for range 8 {
		p := startProcess(t, dir, url)
		for range 4 {
			counter++
			d := newDevice(counter)
			go func() {
				for {
					m := d.receipt(fmt.Sprint(d.id, "-", d.counter+1))
					_, err := p.link.Send(context.Background(), uplink.Batch{Messages: []uplink.Message{m}})
					var refused *uplink.Error
					if errors.As(err, &refused) { // it answered: it has it
						mu.Lock()
						answered[fmt.Sprint(m.Device, m.Counter)] = true
						mu.Unlock()
						continue
					}
					return
				}
			}()
		}
		time.Sleep(time.Duration(rand.IntN(int(150 * time.Millisecond))))
		p.kill()
	}
	require.Greater(t, len(answered), 20)
	s.do(func() { s.down = nil })
	startProcess(t, dir, url)
	eventually(t, "all receipts", func() bool {
		arrived := map[string]bool{}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, b := range s.batches {
			for _, m := range b.Messages {
				arrived[fmt.Sprint(m.Device, m.Counter)] = true
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for name := range answered {
			if !arrived[name] {
				return false
			}
		}
		return true
	})
	t.Logf("%d receipts, %d batches", len(answered), len(s.batches))
}
