package fetch_test

import (
	"context"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
)

// host is the name in the certificate of the test's server.
const host = "example.com"

// house is a publisher with a real TLS server, a name server, and a client.
type house struct {
	t      *testing.T
	server *httptest.Server
	names  *names
	client fetch.Options
	source fetch.Source
	waits  []time.Duration
	file   string
	asked  []*http.Request
	mu     sync.Mutex
}

func newHouse(t *testing.T, answer http.HandlerFunc) *house {
	t.Helper()
	h := &house{t: t, names: serveNames(t), file: filepath.Join(t.TempDir(), "document")}
	h.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.asked = append(h.asked, r)
		h.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(h.server.Close)
	h.names.is(host, "127.0.0.1")
	pool := x509.NewCertPool()
	pool.AddCert(h.server.Certificate())
	h.source = fetch.Source{Hosts: []string{fetch.HostPort(h.url("/"))}, Private: true, Authorities: pool}
	h.client = fetch.Options{
		Resolver: h.names.resolver(), Idle: 20 * time.Second, Pause: time.Nanosecond,
		Wait: func(ctx context.Context, d time.Duration) error {
			h.waits = append(h.waits, d)
			return ctx.Err()
		},
	}
	return h
}

func (h *house) url(path string) *url.URL {
	h.t.Helper()
	at, err := url.Parse(h.server.URL)
	require.NoError(h.t, err)
	u, err := url.Parse("https://" + net.JoinHostPort(host, at.Port()) + path)
	require.NoError(h.t, err)
	return u
}

func (h *house) get(have fetch.Validators) (fetch.Got, error) {
	h.t.Helper()
	return h.getFrom(h.url("/feed.json"), have)
}

func (h *house) getFrom(at *url.URL, have fetch.Validators) (fetch.Got, error) {
	h.t.Helper()
	v := fetch.New(h.client).Visit(h.source)
	defer v.Close()
	return v.Get(h.t.Context(), at, have, h.file)
}

func (h *house) has(want string) {
	h.t.Helper()
	text, err := os.ReadFile(h.file)
	require.NoError(h.t, err)
	require.Equal(h.t, want, string(text))
	require.NoFileExists(h.t, h.file+".part")
	require.NoFileExists(h.t, h.file+".part.json")
}

// names is a name server on loopback that can change its mind.
type names struct {
	address string
	mu      sync.Mutex
	of      map[string][]netip.Addr
}

func serveNames(t *testing.T) *names {
	t.Helper()
	line, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { line.Close() })
	n := &names{address: line.LocalAddr().String(), of: map[string][]netip.Addr{}}
	go func() {
		packet := make([]byte, 1500)
		for {
			size, from, err := line.ReadFrom(packet)
			if err != nil {
				return
			}
			if reply := n.answer(packet[:size]); reply != nil {
				_, _ = line.WriteTo(reply, from)
			}
		}
	}()
	return n
}

func (n *names) is(name string, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.of[name+"."] = nil
	for _, a := range addresses {
		n.of[name+"."] = append(n.of[name+"."], netip.MustParseAddr(a))
	}
}

func (n *names) answer(packet []byte) []byte {
	var m dnsmessage.Message
	if m.Unpack(packet) != nil || len(m.Questions) != 1 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	q := m.Questions[0]
	all, known := n.of[q.Name.String()]
	m.Header = dnsmessage.Header{ID: m.ID, Response: true, RecursionAvailable: true}
	m.Additionals = nil
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range all {
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	reply, err := m.Pack()
	if err != nil {
		return nil
	}
	return reply
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", n.address)
	}}
}
