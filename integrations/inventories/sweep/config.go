// Package sweep looks which addresses of given networks answer, so that machines that
// nobody manages are found. It sends little, slowly, and only to ranges that a file of the
// network's owner lists; nothing starts it but a person who names the networks.
package sweep

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcycle/patchcycle/internal/plainyaml"
)

// Network is a part of the network that may be swept.
type Network struct {
	Name            string
	Ranges, Exclude []netip.Prefix
	// Ports are tried by a TCP connection that is closed at once.
	Ports []uint16
	// Public: its owner says that addresses of the Internet are theirs to sweep.
	Public bool
}

// Config is the file that lists networks, with the limits that hold for every sweep.
type Config struct {
	Networks []Network
	// Rate is how many probes a second are sent, Addresses how many one sweep may try,
	// Time how long it may take.
	Rate      int
	Addresses int
	Time      time.Duration
}

// The limits where the file names none, and those that no file can pass: beyond them a
// sweep is a burden to others, or an attack.
const (
	defaultRate, mostRate           = 50, 1000
	defaultAddresses, mostAddresses = 4096, 65536
	defaultMinutes, mostMinutes     = 120, 24 * 60
)

// defaultPorts are where machines listen that are looked after from afar: SSH, RPC and
// SMB of Windows, HTTPS, RDP, WinRM.
var defaultPorts = []uint16{22, 135, 443, 445, 3389, 5985}

// maxPorts keeps a sweep from being a scan of ports.
const maxPorts = 16

var nameShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)

type entry struct {
	Name    plainyaml.Word   `yaml:"name"`
	Ranges  []plainyaml.Word `yaml:"ranges"`
	Exclude []plainyaml.Word `yaml:"exclude"`
	Ports   []plainyaml.Word `yaml:"ports"`
	Public  plainyaml.Word   `yaml:"public"`
}

// ReadConfig reads the file. Its errors, all at once, name the line, the value and the way
// out.
func ReadConfig(file string) (Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return Config{}, fmt.Errorf("networks: %w", err)
	}
	defer f.Close()
	var listed struct {
		Networks []entry `yaml:"networks"`
		Limits   struct {
			Rate      plainyaml.Word `yaml:"rate"`
			Addresses plainyaml.Word `yaml:"addresses"`
			Minutes   plainyaml.Word `yaml:"minutes"`
		} `yaml:"limits"`
	}
	if err := plainyaml.Decode(f, &listed, yaml.Strict()); err != nil {
		return Config{}, fmt.Errorf("%s: %w (docs/inventories.md has an example)", file, err)
	}
	if len(listed.Networks) == 0 {
		return Config{}, fmt.Errorf("%s: no networks: write a list under \"networks:\" (docs/inventories.md has an example)", file)
	}
	c := checker{plainyaml.Problems{File: file}}
	out := Config{
		Rate: c.number(listed.Limits.Rate, "rate", defaultRate, mostRate), Addresses: c.number(listed.Limits.Addresses, "addresses", defaultAddresses, mostAddresses),
		Time: time.Duration(c.number(listed.Limits.Minutes, "minutes", defaultMinutes, mostMinutes)) * time.Minute,
	}
	for _, e := range listed.Networks {
		n := c.network(e)
		if slices.ContainsFunc(out.Networks, func(o Network) bool { return o.Name == n.Name }) {
			c.Add(e.Name, "name", "another network has this name: choose another")
		}
		out.Networks = append(out.Networks, n)
	}
	return out, c.Err()
}

// checker collects what is wrong with a file.
type checker struct{ plainyaml.Problems }

func (c *checker) number(w plainyaml.Word, field string, otherwise, most int) int {
	if w.Text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(w.Text)
	if err != nil || n < 1 || n > most {
		c.Add(w, field, fmt.Sprintf("want 1 to %d", most))
	}
	return n
}

func (c *checker) network(e entry) Network {
	n := Network{Name: e.Name.Text, Ports: slices.Clone(defaultPorts)}
	if !nameShape.MatchString(n.Name) {
		c.Add(e.Name, "name", "want 1 to 64 lower-case letters, digits, dots and dashes")
	}
	switch e.Public.Text {
	case "", "false":
	case "true":
		n.Public = true
	default:
		c.Add(e.Public, "public", "want true or false")
	}
	if len(e.Ranges) == 0 {
		c.Add(e.Name, "network", "it has no ranges: write some under \"ranges:\", such as 10.1.0.0/24")
	}
	for _, w := range e.Ranges {
		p, ok := c.prefix(w, "range")
		switch {
		case !ok:
		case p.Addr().IsLoopback() || p.Addr().IsMulticast() || p.Addr().IsUnspecified():
			c.Add(w, "range", "no machine of a network has such addresses")
		case !private(p) && !n.Public:
			c.Add(w, "range", "these are addresses of the Internet: write \"public: true\" beside it if they are yours to sweep")
		default:
			n.Ranges = append(n.Ranges, p)
		}
	}
	for _, w := range e.Exclude {
		if p, ok := c.prefix(w, "exclude"); ok {
			n.Exclude = append(n.Exclude, p)
		}
	}
	if len(e.Ports) > 0 {
		n.Ports = nil
	}
	for _, w := range e.Ports {
		port, err := strconv.ParseUint(w.Text, 10, 16)
		if err != nil || port == 0 {
			c.Add(w, "port", "want 1 to 65535")
		}
		n.Ports = append(n.Ports, uint16(port))
	}
	if len(n.Ports) > maxPorts {
		c.Add(e.Name, "network", fmt.Sprintf("it has more than %d ports: this looks for machines, not for services", maxPorts))
	}
	return n
}

// prefix reads a range, or a single address.
func (c *checker) prefix(w plainyaml.Word, field string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(w.Text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(w.Text)
	switch {
	case err != nil:
		c.Add(w, field, "want a range such as 10.1.0.0/24, or an address")
		return p, false
	case p.Masked() != p:
		c.Add(w, field, fmt.Sprintf("the range that it is in begins at %s: write that, or the address alone", p.Masked()))
		return p, false
	}
	return p, true
}

// privates are the ranges that nobody has on the Internet: RFC 1918, RFC 6598, RFC 3927,
// RFC 4193, RFC 4291.
var privates = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("fe80::/10"),
}

func private(p netip.Prefix) bool {
	return slices.ContainsFunc(privates, func(of netip.Prefix) bool { return of.Bits() <= p.Bits() && of.Contains(p.Addr()) })
}
