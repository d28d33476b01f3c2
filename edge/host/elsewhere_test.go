package host

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// From a Debian 12 under systemd-nspawn, with a container engine's bridge added.
var firstProcess = fstest.MapFS{
	"proc/1/net/route": file("Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t01004D0A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"docker0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n" +
		"eth0\t00004D0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"),
	"proc/1/net/fib_trie": file("Main:\n  +-- 0.0.0.0/1 2 0 2\n           |-- 10.77.0.0\n              /16 link UNICAST\n           |-- 10.77.10.2\n              /32 host LOCAL\n" +
		"        |-- 10.77.255.255\n           /32 link BROADCAST\n        |-- 172.17.0.1\n           /32 host LOCAL\n           |-- 127.0.0.1\n              /32 host LOCAL\n" +
		"Local:\n           |-- 10.77.10.2\n              /32 host LOCAL\n"),
	"proc/1/net/if_inet6":      file("00000000000000000000000000000001 01 80 10 80       lo\nfe8000000000000084304cfffe5a75c6 02 40 20 80     eth0\n20010db8000000000000000000000007 02 40 00 80     eth0\n"),
	"sys/class/net/eth0/flags": file("0x1003\n"), "sys/class/net/eth0/address": file("02:fc:00:00:00:01\n"),
	"sys/class/net/docker0/flags": file("0x1003\n"), "sys/class/net/docker0/address": file("02:42:00:00:00:01\n"),
	"sys/class/net/ifb0/flags": file("0x82\n"), "sys/class/net/ifb0/address": file("62:b4:de:4f:37:1e\n"),
	"sys/class/net/lo/flags": file("0x9\n"), "sys/class/net/lo/address": file("00:00:00:00:00:00\n"),
}

// Serves G1, Q13: a hand without a network still says where its machine is.
func TestAProcessWithoutANetworkReadsTheMachinesFromItsFirstProcess(t *testing.T) {
	addresses, macs := reachable(firstNetwork(firstProcess))
	require.Equal(t, []string{"10.77.10.2", "2001:db8::7"}, addresses)
	require.Equal(t, []string{"02:fc:00:00:00:01"}, macs)
	require.Empty(t, firstNetwork(fstest.MapFS{}))
}

// This machine may have a network or none: both ways see the same.
func TestBothWaysSeeTheSameInterfacesHere(t *testing.T) {
	all, err := interfaces()
	require.NoError(t, err)
	addresses, macs := reachable(all)
	files := fstest.MapFS{}
	for _, name := range []string{"proc/1/net/route", "proc/1/net/fib_trie", "proc/1/net/if_inet6"} {
		out, err := exec.CommandContext(t.Context(), "cat", "/"+strings.Replace(name, "/1/", "/self/", 1)).Output()
		if err != nil {
			return // not Linux, or no such protocol
		}
		files[name] = file(string(out))
	}
	links, err := filepath.Glob("/sys/class/net/*/*")
	require.NoError(t, err)
	for _, l := range links {
		if base := filepath.Base(l); base == "flags" || base == "address" {
			out, err := exec.CommandContext(t.Context(), "cat", l).Output()
			require.NoError(t, err)
			files[l[1:]] = file(string(out))
		}
	}
	seen, cards := reachable(firstNetwork(files))
	require.Equal(t, addresses, seen)
	require.Equal(t, macs, cards)
}
