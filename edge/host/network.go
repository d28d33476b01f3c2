package host

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
)

// nic is a network interface that is up.
type nic struct {
	name  string
	mac   string
	addrs []netip.Addr
}

func interfaces() ([]nic, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	var up []nic
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagLoopback != 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", i.Name, err)
		}
		one := nic{name: i.Name, mac: i.HardwareAddr.String()}
		for _, a := range addrs {
			if prefix, err := netip.ParsePrefix(a.String()); err == nil {
				one.addrs = append(one.addrs, prefix.Addr())
			}
		}
		up = append(up, one)
	}
	return up, nil
}

// inner matches the networks that container and VM engines make inside a
// machine. They are the same on every machine: 172.17.0.1 is on each that runs
// Docker, and tells none of them apart.
var inner = regexp.MustCompile(`^(docker|br-[0-9a-f]{12}$|veth|virbr|vnet|cni|cali|flannel|lxcbr|lxdbr|podman|nerdctl)`)

// reachable returns the addresses by which others can know the machine, sorted.
func reachable(nics []nic) (addresses, macs []string) {
	var addrs []netip.Addr
	for _, n := range nics {
		if inner.MatchString(n.name) {
			continue
		}
		if n.mac != "" && n.mac != "00:00:00:00:00:00" {
			macs = append(macs, n.mac)
		}
		for _, a := range n.addrs {
			if a.IsGlobalUnicast() {
				addrs = append(addrs, a.Unmap())
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, a := range slices.Compact(addrs) {
		addresses = append(addresses, a.String())
	}
	slices.Sort(macs)
	macs = slices.Compact(macs)
	return addresses[:min(len(addresses), maxList)], macs[:min(len(macs), maxList)]
}
