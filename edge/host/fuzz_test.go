package host

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// What a machine's own files and systemctl say of it, whatever that is.
func FuzzMachine(f *testing.F) {
	f.Add([]byte("PRETTY_NAME=\"Debian \\\"12\\\"\"\nID=debian\nVERSION_ID='12'\n"))
	f.Add([]byte("tb-svc.service loaded failed failed tb\n"))
	f.Add([]byte("eth0\t00004D0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"))
	f.Add([]byte("|-- 10.77.10.2\n   /32 host LOCAL\n"))
	f.Add([]byte("fe8000000000000084304cfffe5a75c6 02 40 20 80     eth0\n"))
	f.Add([]byte("NRestarts=3\nId=tb-svc.service\n\nId=x\nNRestarts=-1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_ = parseOSRelease(text)
		_ = parseUnits(text)
		_, _, _ = parseRoutes(string(text)), parseTrie(string(text)), parseInet6(string(text))
		for unit, n := range parseRestarts(text) {
			require.Positive(t, n, unit)
		}
		all := fstest.MapFS{}
		for _, name := range []string{
			"etc/os-release", "etc/hostname", "etc/timezone", "etc/machine-id", "proc/sys/kernel/osrelease",
			"sys/class/dmi/id/sys_vendor", "sys/class/dmi/id/product_name", "sys/class/dmi/id/product_serial",
		} {
			all[name] = &fstest.MapFile{Data: text}
		}
		_, _ = Read(all)
	})
}
