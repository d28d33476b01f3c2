package host

import (
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
)

// firstNetwork reads the interfaces of the machine's first process from the files of
// proc(5) and sysfs(5), for a process that was given a network of its own and sees
// nothing of the machine's. What cannot be read is left out.
func firstNetwork(root fs.FS) []nic {
	read := func(name string) string {
		text, _ := fs.ReadFile(root, name)
		return string(text)
	}
	folders, _ := fs.ReadDir(root, "sys/class/net")
	var up []nic
	at := map[string]int{}
	for _, f := range folders {
		const isUp, isLoopback = 0x1, 0x8 // of netdevice(7)
		flags, err := strconv.ParseUint(strings.TrimSpace(read("sys/class/net/"+f.Name()+"/flags")), 0, 32)
		if err != nil || flags&isUp == 0 || flags&isLoopback != 0 {
			continue
		}
		at[f.Name()] = len(up)
		up = append(up, nic{name: f.Name(), mac: line(root, "sys/class/net/"+f.Name()+"/address")})
	}
	routes := parseRoutes(read("proc/1/net/route"))
	for _, a := range parseTrie(read("proc/1/net/fib_trie")) {
		if i, ok := at[interfaceOf(a, routes)]; ok {
			up[i].addrs = append(up[i].addrs, a)
		}
	}
	for a, name := range parseInet6(read("proc/1/net/if_inet6")) {
		if i, ok := at[name]; ok {
			up[i].addrs = append(up[i].addrs, a)
		}
	}
	return up
}

// interfaceOf returns the interface whose own network an address is of.
func interfaceOf(a netip.Addr, routes []route) (name string) {
	best := -1
	for _, r := range routes {
		if r.to.Contains(a) && r.to.Bits() > best {
			name, best = r.name, r.to.Bits()
		}
	}
	return name
}

// route is a network that an interface reaches without a gateway.
type route struct {
	name string
	to   netip.Prefix
}

// parseRoutes reads /proc/net/route, whose addresses are words of this machine's:
//
//	Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
//	eth0	00004D0A	00000000	0001	0	0	0	0000FFFF	0	0	0
func parseRoutes(text string) (routes []route) {
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		if len(f) < 8 || f[2] != "00000000" {
			continue
		}
		to, ok := hexAddr(f[1])
		mask, err := strconv.ParseUint(f[7], 16, 32)
		if !ok || err != nil {
			continue
		}
		ones := 0
		for ; mask != 0; mask &= mask - 1 {
			ones++
		}
		routes = append(routes, route{f[0], netip.PrefixFrom(to, ones).Masked()})
	}
	return routes
}

func hexAddr(s string) (netip.Addr, bool) {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 8 {
		return netip.Addr{}, false
	}
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b), true
}

// parseTrie reads the machine's own addresses out of /proc/net/fib_trie, where each is
// told once a table:
//
//	|-- 10.77.10.2
//	   /32 host LOCAL
func parseTrie(text string) (own []netip.Addr) {
	var last netip.Addr
	seen := map[netip.Addr]bool{}
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		if word, ok := strings.CutPrefix(l, "|-- "); ok {
			last, _ = netip.ParseAddr(word)
			continue
		}
		if strings.HasPrefix(l, "/32 ") && strings.HasSuffix(l, " LOCAL") && last.IsValid() && !seen[last] {
			seen[last] = true
			own = append(own, last)
		}
	}
	return own
}

// parseInet6 reads /proc/net/if_inet6, which tells addresses with their interfaces:
//
//	fe8000000000000084304cfffe5a75c6 02 40 20 80     eth0
func parseInet6(text string) map[netip.Addr]string {
	own := map[netip.Addr]string{}
	for l := range strings.Lines(text) {
		f := strings.Fields(l)
		if len(f) != 6 {
			continue
		}
		b, err := hex.DecodeString(f[0])
		if a, ok := netip.AddrFromSlice(b); err == nil && ok && len(b) == 16 {
			own[a] = f[5]
		}
	}
	return own
}
