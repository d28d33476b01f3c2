package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
)

// errForbidden is in the error of whatever was not asked, because it must not be.
var errForbidden = errors.New("it is not asked")

// notPublic are the addresses that lead elsewhere than into the internet, by the
// registries of special addresses of IANA: of IPv4 all that stand there as not global;
// of IPv6 whatever is no global unicast address, and in that what is reserved, or
// carries an IPv4 address in it (Teredo, 6to4): a gateway would translate that into a
// private one.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
)

// inHouse are those of them that an own mirror may have.
var inHouse = prefixes("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")

var globalUnicast = netip.MustParsePrefix("2000::/3")

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, p := range all {
		out[i] = netip.MustParsePrefix(p)
	}
	return out
}

// mayDial says why an address is not dialled; nil: it may be. It is asked with what a
// name resolved to, at the moment of the connection: what it resolved to a moment
// before proves nothing. An IPv4 address that is written as one of IPv6 comes here as
// what it is.
func mayDial(address netip.Addr, private bool) error {
	in := func(all []netip.Prefix) bool {
		return slices.ContainsFunc(all, func(p netip.Prefix) bool { return p.Contains(address) })
	}
	switch {
	case address.Is4In6() || address.Zone() != "":
	case !in(notPublic) && (address.Is4() || globalUnicast.Contains(address)), private && in(inHouse):
		return nil
	}
	if private {
		return fmt.Errorf("%s is no address of a mirror: %w", address, errForbidden)
	}
	return fmt.Errorf("%s is no address in the internet: %w; if it is a mirror of your own, say \"private: true\" of the feed", address, errForbidden)
}

// dial connects to hosts of the source alone.
func (v *Visitor) dial(ctx context.Context, network, hostPort string) (net.Conn, error) {
	own := slices.Contains(v.source.Hosts, hostPort)
	proxy := v.client.Proxy != nil && hostPort == HostPort(v.client.Proxy)
	if !own && !proxy && !slices.Contains(v.source.Redirects, hostPort) {
		return nil, fmt.Errorf("%s is not configured: %w", hostPort, errForbidden)
	}
	d := net.Dialer{Timeout: v.client.Idle, Resolver: v.client.Resolver, Control: func(_, address string, _ syscall.RawConn) error {
		if proxy {
			return nil // it is in the house, and named as such
		}
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%q: %w: %w", address, err, errForbidden)
		}
		return mayDial(to.Addr(), own && v.source.Private)
	}}
	return d.DialContext(ctx, network, hostPort)
}

// HostPort is the host of an address as it is compared: in small letters, with its port.
func HostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}
