package sweep

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/patchcycle/patchcycle/lab/netns"
)

// inside is where a plan stands that this test program is to carry out, see
// TestSweepAsAskedByAnotherProcess.
const inside = "PATCHCYCLE_SWEEP_INSIDE"

// The sweep of the other tests runs as a process of its own within a network namespace.
func TestSweepAsAskedByAnotherProcess(t *testing.T) {
	dir := os.Getenv(inside)
	if dir == "" {
		return // asked by nobody
	}
	text, err := os.ReadFile(filepath.Join(dir, "plan.json"))
	require.NoError(t, err)
	var p Plan
	require.NoError(t, json.Unmarshal(text, &p))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last [2]int
	r, err := Run(ctx, p, Options{Progress: func(done, of int) {
		last = [2]int{done, of}
		if os.Getenv("INTERRUPT") != "" && done == 3 {
			cancel()
		}
	}, Names: func(_ context.Context, a netip.Addr) string { return "name of " + a.String() }})
	require.NoError(t, err)
	if r.Broken == "" {
		require.Equal(t, p.Probes(), last[0])
	}
	text, err = json.Marshal(r)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "result.json"), text, 0o600))
}

// street is a wire between two namespaces: on one end somebody sweeps, on the other
// machines have addresses.
type street struct {
	t          *testing.T
	here, over netns.Namespace
	heard      chan []packet
	stop       func()
}

// packet is one that came to the other end.
type packet struct {
	to   netip.Addr
	what string
	at   time.Time
}

func newStreet(t *testing.T, ping bool) *street {
	t.Helper()
	if os.Geteuid() != 0 {
		require.NotEqual(t, "true", os.Getenv("CI"), "network namespaces need root")
		t.Skip("network namespaces need root: sudo -E go test ./integrations/inventories/sweep")
	}
	s := &street{t: t, heard: make(chan []packet, 1)}
	for _, n := range []*netns.Namespace{&s.here, &s.over} {
		made, err := netns.Create(t.Context(), filepath.Join(t.TempDir(), "net"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, made.Remove()) })
		*n = made
	}
	s.run(s.here, "ip", "link", "add", "wire", "type", "veth", "peer", "name", "far", "netns", string(s.over))
	s.run(s.here, "ip", "addr", "add", "10.99.0.1/27", "dev", "wire")
	s.run(s.over, "ip", "addr", "add", "10.99.0.2/27", "dev", "far")
	for _, last := range []string{"3", "4", "5", "6", "20"} {
		s.run(s.over, "ip", "addr", "add", "10.99.0."+last+"/27", "dev", "far")
	}
	s.run(s.here, "ip", "link", "set", "wire", "up")
	s.run(s.over, "ip", "link", "set", "far", "up")
	allowed := "1 0"
	if ping {
		allowed = "0 2147483647"
	}
	s.feed(s.here, allowed, "tee", "/proc/sys/net/ipv4/ping_group_range")
	// .3 answers pings alone, .4 refuses connections, .5 answers nothing.
	s.feed(s.over, `table inet t {
  chain in {
    type filter hook input priority 0;
    ip daddr 10.99.0.3 meta l4proto tcp drop
    ip daddr 10.99.0.4 meta l4proto icmp drop
    ip daddr 10.99.0.5 drop
  }
}
`, "nft", "-f", "-")
	l, err := s.over.Listen("10.99.0.2:2200")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	s.listen()
	return s
}

func (s *street) run(n netns.Namespace, args ...string) { s.feed(n, "", args...) }

func (s *street) feed(n netns.Namespace, in string, args ...string) {
	s.t.Helper()
	c := n.Command(s.t.Context(), args...)
	c.Stdin = strings.NewReader(in)
	out, err := c.CombinedOutput()
	require.NoError(s.t, err, "%v: %s", args, out)
}

// listen writes down what comes to the other end, until stop.
func (s *street) listen() {
	s.t.Helper()
	var fd int
	require.NoError(s.t, s.over.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_IP))); err != nil {
			return err
		}
		far, err := net.InterfaceByName("far")
		if err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_IP), Ifindex: far.Index})
	}))
	// A read ends now and then, so that the ear can be closed.
	require.NoError(s.t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}))
	done := make(chan struct{})
	s.stop = sync.OnceFunc(func() { close(done) })
	s.t.Cleanup(s.stop)
	go func() {
		defer unix.Close(fd)
		var all []packet
		buffer := make([]byte, 2000)
		for {
			n, _, err := unix.Recvfrom(fd, buffer, 0)
			if p, ok := parse(buffer[:max(n, 0)]); err == nil && ok {
				all = append(all, p)
				continue
			}
			select {
			case <-done:
				s.heard <- all
				return
			default:
			}
		}
	}()
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// parse reads what the sweep began: an echo request, or the first packet of a connection.
func parse(b []byte) (packet, bool) {
	if len(b) < 28 || b[0]>>4 != 4 {
		return packet{}, false
	}
	head := int(b[0]&15) * 4
	p := packet{to: netip.AddrFrom4([4]byte(b[16:20])), at: time.Now()}
	switch rest := b[head:]; {
	case b[9] == unix.IPPROTO_ICMP && rest[0] == 8:
		p.what = "ping"
	case b[9] == unix.IPPROTO_TCP && len(rest) > 13 && rest[13]&0x3f == 2: // SYN alone
		p.what = fmt.Sprint("tcp ", int(rest[2])<<8|int(rest[3]))
	default:
		return packet{}, false
	}
	return p, true
}

// sweep carries a plan out on this end.
func (s *street) sweep(p Plan, env ...string) (Result, []packet) { return s.sweepBy(nil, p, env...) }

// sweepBy lets another program start it.
func (s *street) sweepBy(starter []string, p Plan, env ...string) (Result, []packet) {
	s.t.Helper()
	dir := s.t.TempDir()
	text, err := json.Marshal(p)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(filepath.Join(dir, "plan.json"), text, 0o600))
	self, err := os.Executable()
	require.NoError(s.t, err)
	c := s.here.Command(s.t.Context(), append(starter, self, "-test.run=^TestSweepAsAskedByAnotherProcess$", "-test.v")...)
	c.Env = append(os.Environ(), append(env, inside+"="+dir)...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	require.NoError(s.t, c.Run(), "%s", &out)
	text, err = os.ReadFile(filepath.Join(dir, "result.json"))
	require.NoError(s.t, err)
	var r Result
	require.NoError(s.t, json.Unmarshal(text, &r))
	s.stop()
	return r, firsts(<-s.heard)
}

// firsts leaves out what the kernel repeats after a second: that is a probe which this
// process gave up later than it should have, on a machine that had no time for it.
func firsts(heard []packet) (out []packet) {
	for _, p := range heard {
		again := strings.HasPrefix(p.what, "tcp ") && slices.ContainsFunc(out, func(o packet) bool {
			return o.to == p.to && o.what == p.what && p.at.Sub(o.at) > patience
		})
		if !again {
			out = append(out, p)
		}
	}
	return out
}

func plan(t *testing.T, rate int, exclude string) Plan {
	t.Helper()
	c, err := config(t, fmt.Sprintf("networks:\n- name: street\n  ranges: [10.99.0.0/28]\n  exclude: [%s]\n  ports: [2200, 2201]\nlimits: {rate: %d}\n", exclude, rate))
	require.NoError(t, err)
	p, err := c.Plan([]string{"street"}, []netip.Prefix{netip.MustParsePrefix("10.99.0.1/27")})
	require.NoError(t, err)
	return p
}

// Serves G1, L2.
func TestASweepFindsWhoAnswersAndSaysHow(t *testing.T) {
	s := newStreet(t, true)
	r, heard := s.sweep(plan(t, 200, "10.99.0.6"))
	require.Empty(t, r.Broken)
	require.Empty(t, r.NoPing)
	require.Equal(t, 12*3, r.Probes)
	got := map[string]string{}
	for _, one := range r.Seen {
		got[one.Addr.String()] = fmt.Sprint(one.How, one.Open)
		require.Equal(t, "name of "+one.Addr.String(), one.Name)
		require.Regexp(t, "^([0-9a-f]{2}:){5}[0-9a-f]{2}$", one.MAC)
	}
	require.Equal(t, map[string]string{
		"10.99.0.2": fmt.Sprint([]Way{Echoed, Neighbour, Refused, Answered}, []uint16{2200}),
		"10.99.0.3": fmt.Sprint([]Way{Echoed, Neighbour}, []uint16{}),
		"10.99.0.4": fmt.Sprint([]Way{Neighbour, Refused}, []uint16{}),
		"10.99.0.5": fmt.Sprint([]Way{Neighbour}, []uint16{}),
	}, got)

	counts := map[string]int{}
	for _, p := range heard {
		counts[p.to.String()+" "+p.what]++
	}
	require.Len(t, counts, 4*3, "nobody else was tried: neither what is excluded, nor what is not listed: %v", counts)
	for what, n := range counts {
		require.Equal(t, 1, n, "%s: a probe is one packet", what)
	}
}

func TestASweepKeepsItsRate(t *testing.T) {
	s := newStreet(t, true)
	const rate = 20
	r, heard := s.sweep(plan(t, rate, "10.99.0.6"))
	require.Equal(t, 36, r.Probes)
	// Only what answers on the wire is heard: 12 of the 36. Between the first and the
	// last of them lie 24 others at least, since addresses take turns. A slow machine
	// makes it longer; half of it is what only a sweep without a limit could undercut.
	require.Len(t, heard, 12)
	took := heard[len(heard)-1].at.Sub(heard[0].at)
	require.Greater(t, took, 24*time.Second/rate/2)
}

func TestASweepWithoutLeaveToPingSaysSoAndTriesTheRest(t *testing.T) {
	s := newStreet(t, false)
	r, heard := s.sweepBy([]string{"setpriv", "--bounding-set", "-net_raw"}, plan(t, 200, "10.99.0.6"))
	require.Contains(t, r.NoPing, "ping_group_range")
	require.Len(t, heard, 8)
	require.Len(t, r.Seen, 4, "the wire tells who is there")

	s = newStreet(t, false)
	r, heard = s.sweep(plan(t, 200, "10.99.0.6"))
	require.Empty(t, r.NoPing, "root may by a raw socket")
	require.Len(t, heard, 12)
	require.Contains(t, r.Seen[1].How, Echoed)
}

// Serves Q7.
func TestASweepThatIsInterruptedKeepsWhatItSaw(t *testing.T) {
	s := newStreet(t, true)
	r, heard := s.sweep(plan(t, 20, "10.99.0.6"), "INTERRUPT=1")
	require.Equal(t, "interrupted", r.Broken)
	require.Less(t, r.Probes, 36)
	require.NotEmpty(t, r.Seen)
	require.Less(t, len(heard), 12)

	s = newStreet(t, true)
	p := plan(t, 20, "10.99.0.6")
	p.Time = 500 * time.Millisecond
	r, _ = s.sweep(p)
	require.Contains(t, r.Broken, "are over")
	require.NotEmpty(t, r.Seen)
}
