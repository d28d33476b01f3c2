package sweep

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Target is an address that will be tried.
type Target struct {
	Addr    netip.Addr
	Network string
	Ports   []uint16
}

// Plan is what one sweep will do.
type Plan struct {
	Targets []Target
	// Rate is in probes a second, Time how long it may take.
	Rate int
	Time time.Duration
}

// Probes is how many are sent at most: one of each kind to each address.
func (p Plan) Probes() (n int) {
	for _, t := range p.Targets {
		n += 1 + len(t.Ports)
	}
	return n
}

// Plan says what a sweep of some networks would do. Own are the addresses of this machine
// with the networks that they are in: itself and what reaches all machines at once is
// left out. A sweep that would pass a limit is refused as a whole: half a sweep would look
// like a network of half the machines.
func (c Config) Plan(names []string, own []netip.Prefix) (Plan, error) {
	p := Plan{Rate: c.Rate, Time: c.Time}
	seen := map[netip.Addr]bool{}
	for _, name := range names {
		i := slices.IndexFunc(c.Networks, func(n Network) bool { return n.Name == name })
		if i < 0 {
			return Plan{}, fmt.Errorf("network %q is not listed: there are %s", name, strings.Join(c.Names(), ", "))
		}
		n := c.Networks[i]
		for _, r := range n.Ranges {
			size := r.Addr().BitLen() - r.Bits()
			if size > 20 || 1<<size > c.Addresses+2 {
				return Plan{}, fmt.Errorf("range %s of %s has more than the %d addresses that one sweep may try: list its parts as networks of their own, or raise \"addresses\" under \"limits\" (at most %d)", r, name, c.Addresses, mostAddresses)
			}
			for a := r.Addr(); r.Contains(a); a = a.Next() {
				if !seen[a] && !n.leftOut(a, r, own) {
					seen[a] = true
					p.Targets = append(p.Targets, Target{a, name, n.Ports})
				}
			}
		}
	}
	if len(p.Targets) > c.Addresses {
		return Plan{}, fmt.Errorf("these are %d addresses, and one sweep may try %d: name fewer networks, or raise \"addresses\" under \"limits\" (at most %d)", len(p.Targets), c.Addresses, mostAddresses)
	}
	if need := time.Duration(p.Probes()) * time.Second / time.Duration(c.Rate); need > c.Time {
		return Plan{}, fmt.Errorf("%d probes at %d a second take %s, and a sweep may take %s: name fewer networks or ports, or raise \"rate\" or \"minutes\" under \"limits\"", p.Probes(), c.Rate, need.Round(time.Minute), c.Time)
	}
	return p, nil
}

// Names are the networks that are listed.
func (c Config) Names() (all []string) {
	for _, n := range c.Networks {
		all = append(all, n.Name)
	}
	return all
}

// leftOut reports whether an address of a range is not tried: excluded, our own, or the
// first or last of an IPv4 network, which mean all machines of it.
func (n Network) leftOut(a netip.Addr, in netip.Prefix, own []netip.Prefix) bool {
	if slices.ContainsFunc(n.Exclude, func(p netip.Prefix) bool { return p.Contains(a) }) || atEnd(a, in) {
		return true
	}
	return slices.ContainsFunc(own, func(p netip.Prefix) bool {
		return p.Addr().Unmap() == a || p.Contains(a) && atEnd(a, p.Masked())
	})
}

func atEnd(a netip.Addr, in netip.Prefix) bool {
	if !a.Is4() || in.Bits() > 30 {
		return false
	}
	next := a.Next()
	return a == in.Addr() || !next.IsValid() || !in.Contains(next)
}
