package sweep

import (
	"bufio"
	"net/netip"
	"os"
	"strings"
)

// neighbours adds what the kernel came to know of machines on the same wire while they
// were tried: a machine that answers nothing else still says who has its address.
func (s *sweep) neighbours() {
	f, err := os.Open("/proc/net/arp")
	if err != nil {
		return // another system than Linux: less is known
	}
	defer f.Close()
	asked := make(map[netip.Addr]Target, len(s.plan.Targets))
	for _, t := range s.plan.Targets {
		asked[t.Addr] = t
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		a, mac, ok := neighbour(lines.Text())
		t, ours := asked[a]
		if !ok || !ours {
			continue
		}
		s.note(t, Neighbour, 0)
		s.seen[a].MAC = mac
	}
}

// neighbour reads a line of the cache: "10.0.0.2  0x1  0x2  52:54:00:12:34:56  *  eth0".
// An entry whose flags lack 0x2 is a question without an answer.
func neighbour(line string) (a netip.Addr, mac string, ok bool) {
	f := strings.Fields(line)
	if len(f) < 4 || f[2] != "0x2" && f[2] != "0x6" || f[3] == "00:00:00:00:00:00" {
		return a, "", false
	}
	a, err := netip.ParseAddr(f[0])
	return a, f[3], err == nil
}
