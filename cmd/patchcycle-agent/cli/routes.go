package cli

import (
	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/uplink"
)

// routes are the ways to the server that a machine was told: relays by preference, and
// after them the server itself.
type routes struct {
	addresses []string
	clients   []*uplink.Client
	ways      *uplink.Ways
	rate      int64
}

// routes opens the ways. All of them are known by the same authority.
func (o runOptions) routes(server string) (*routes, error) {
	r := &routes{addresses: append(append([]string{}, o.relays...), server), rate: o.fallbackRate * 1000}
	secure, err := authority(o.ca)
	if err != nil {
		return nil, err
	}
	for i, address := range r.addresses {
		opts := uplink.ClientOptions{URL: address, TLS: secure}
		if i < len(o.relays) {
			opts.Tries = 2 // and then the next way
		}
		c, err := uplink.NewClient(opts)
		if err != nil {
			r.Close()
			return nil, edgecli.Misused(err)
		}
		r.clients = append(r.clients, c)
	}
	r.ways = uplink.NewWays(len(r.clients), 0, 0, o.Now)
	return r, nil
}

// link is the way to the server.
func (r *routes) link() uplink.Link {
	if len(r.clients) == 1 {
		return r.clients[0]
	}
	links := make([]uplink.Link, len(r.clients))
	for i, c := range r.clients {
		links[i] = c
	}
	return uplink.NewRoutes(r.ways, links...)
}

// packages says where packages are fetched from now, and how many bytes of them a
// second: by the way that the machine is heard on. Any but the preferred one is
// another's line.
func (r *routes) packages() (server string, rate int64) {
	now := r.ways.Current()
	if now > 0 {
		rate = r.rate
	}
	return r.addresses[now], rate
}

// Close drops idle connections.
func (r *routes) Close() {
	for _, c := range r.clients {
		c.Close()
	}
}
