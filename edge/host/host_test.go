package host

import (
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

func file(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func link(to string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink}
}

// Serves G1, L1.
func TestTheSystemIsReadFromItsOwnFiles(t *testing.T) {
	for name, c := range map[string]struct {
		root fstest.MapFS
		want patching.OS
	}{
		"Debian": {
			fstest.MapFS{
				"etc/os-release":     file("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"),
				"etc/debian_version": file("12.15\n"), "proc/sys/kernel/osrelease": file("6.1.0-40-amd64\n"),
			},
			patching.OS{Family: "debian", Name: "Debian GNU/Linux", Release: "12", Revision: "12.15", Kernel: "6.1.0-40-amd64"},
		},
		"Debian testing": {
			fstest.MapFS{"etc/os-release": file("NAME=\"Debian GNU/Linux\"\nID=debian\n"), "etc/debian_version": file("forky/sid\n")},
			patching.OS{Family: "debian", Name: "Debian GNU/Linux"},
		},
		"Ubuntu": {
			fstest.MapFS{
				"usr/lib/os-release": file("PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nNAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\nVERSION=\"24.04.1 LTS (Noble Numbat)\"\nID=ubuntu\nID_LIKE=debian\n"),
				"etc/os-release":     link("../usr/lib/os-release"), "etc/debian_version": file("trixie/sid\n"),
			},
			patching.OS{Family: "debian", Name: "Ubuntu", Release: "24.04", Revision: "24.04.1"},
		},
		"Rocky": {
			fstest.MapFS{"etc/os-release": file("NAME=\"Rocky Linux\"\nVERSION=\"9.4 (Blue Onyx)\"\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n")},
			patching.OS{Family: "rhel", Name: "Rocky Linux", Release: "9.4", Revision: "9.4"},
		},
		"openSUSE": {
			fstest.MapFS{"etc/os-release": file("NAME=\"openSUSE Leap\"\nVERSION=\"15.6\"\nID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\nVERSION_ID=\"15.6\"\n")},
			patching.OS{Family: "suse", Name: "openSUSE Leap", Release: "15.6", Revision: "15.6"},
		},
		"Alpine, which we do not speak to": {
			fstest.MapFS{"etc/os-release": file("NAME='Alpine Linux'\nID=alpine\nVERSION_ID=3.20.3\n")},
			patching.OS{Family: "alpine", Name: "Alpine Linux", Release: "3.20.3", Revision: "3.20.3"},
		},
	} {
		got := readOS(c.root)
		require.NotEmpty(t, got.Arch)
		got.Arch = ""
		require.Equal(t, c.want, got, name)
	}
	require.Equal(t, "macos", family(nil, "darwin"))
	require.Equal(t, "windows", family(nil, "windows"))
	require.Equal(t, `a "b" $c`, parseOSRelease([]byte(`X="a \"b\" \$c"`))["X"])
}

func TestTheZoneIsWhatLocaltimePointsTo(t *testing.T) {
	require.Equal(t, "Europe/Zurich", readZone(fstest.MapFS{"etc/localtime": link("/usr/share/zoneinfo/Europe/Zurich"), "etc/timezone": file("Etc/UTC\n")}))
	require.Equal(t, "America/Argentina/Ushuaia", readZone(fstest.MapFS{"etc/localtime": file("TZif2"), "etc/timezone": file("America/Argentina/Ushuaia\n")}))
	require.Empty(t, readZone(fstest.MapFS{"etc/timezone": file("../../etc/passwd\n")}))
	require.Empty(t, readZone(fstest.MapFS{}), "then it is its site's")
}

// Serves G1.
func TestWhatAVendorLeftUnsetIdentifiesNoMachine(t *testing.T) {
	dmi := func(vendor, product, serial string) fstest.MapFS {
		return fstest.MapFS{
			"sys/class/dmi/id/sys_vendor": file(vendor + "\n"), "sys/class/dmi/id/product_name": file(product + "\n"),
			"sys/class/dmi/id/product_serial": file(serial + "\n"),
		}
	}
	vendor, model, serial := readHardware(dmi("Dell Inc.", "PowerEdge R650", "7XK2LM3"))
	require.Equal(t, []string{"Dell Inc.", "PowerEdge R650", "7XK2LM3"}, []string{vendor, model, serial})
	for _, s := range []string{"To Be Filled By O.E.M.", "Default string", "System Serial Number", "0", "None", "Not Specified", " ", "...", "XXXXXXXX", "0123456789"} {
		vendor, model, serial = readHardware(dmi(s, s, s))
		require.Empty(t, vendor+model+serial, s)
	}
	vendor, model, serial = readHardware(fstest.MapFS{
		"sys/firmware/devicetree/base/model": file("Raspberry Pi 4 Model B Rev 1.4\x00"), "sys/firmware/devicetree/base/serial-number": file("100000003d1d1c36\x00"),
	})
	require.Equal(t, []string{"", "Raspberry Pi 4 Model B Rev 1.4", "100000003d1d1c36"}, []string{vendor, model, serial})
}

// Serves G1.
func TestNetworksInsideTheMachineTellNothingOfIt(t *testing.T) {
	ip := netip.MustParseAddr
	addresses, macs := reachable([]nic{
		{"eth0", "52:54:00:12:34:56", []netip.Addr{ip("10.0.0.7"), ip("fe80::1"), ip("2001:db8::7")}},
		{"br0", "52:54:00:12:34:56", []netip.Addr{ip("10.0.0.7")}},
		{"docker0", "02:42:ac:11:00:01", []netip.Addr{ip("172.17.0.1")}},
		{"br-0a1b2c3d4e5f", "02:42:00:00:00:01", []netip.Addr{ip("172.18.0.1")}},
		{"veth12ab", "aa:bb:cc:00:00:01", nil},
		{"tun0", "", []netip.Addr{ip("10.8.0.2")}},
		{"dummy", "00:00:00:00:00:00", []netip.Addr{ip("169.254.1.1")}},
	})
	require.Equal(t, []string{"10.0.0.7", "10.8.0.2", "2001:db8::7"}, addresses)
	require.Equal(t, []string{"52:54:00:12:34:56"}, macs)
}

// Serves G18.
func TestOtherUpdatersCountWhereTheyInstall(t *testing.T) {
	timer := link("/usr/lib/systemd/system/x.timer")
	require.Equal(t, []string{"dnf-automatic", "landscape"}, readUpdaters(fstest.MapFS{
		"etc/systemd/system/timers.target.wants/dnf-automatic.timer":         timer,
		"etc/systemd/system/timers.target.wants/dnf-automatic-install.timer": timer,
		"etc/dnf/automatic.conf":    file("[commands]\ndownload_updates = yes\napply_updates = yes\n"),
		"etc/landscape/client.conf": file("[client]\n"),
	}))
	only := fstest.MapFS{"etc/systemd/system/timers.target.wants/dnf-automatic.timer": timer}
	only["etc/dnf/automatic.conf"] = file("# apply_updates = yes\napply_updates = no\n")
	require.Empty(t, readUpdaters(only), "it only downloads")
}

// Serves G13.
func TestFailedUnitsAreNamed(t *testing.T) {
	require.Equal(t, []string{"nginx.service", "tb-svc.service"}, parseUnits([]byte("tb-svc.service loaded failed failed tb\nnginx.service loaded failed failed A high performance web server\n")))
	require.Empty(t, parseUnits(nil))
	none, err := Failing(t.Context(), fstest.MapFS{})
	require.NoError(t, err)
	require.Empty(t, none, "no systemd here")
}

// Serves G13.
func TestServicesThatSystemdStartsAgainAreCounted(t *testing.T) {
	require.Equal(t, map[string]int{"lab-loops.service": 4}, parseRestarts([]byte("NRestarts=0\nId=cron.service\n\nNRestarts=4\nId=lab-loops.service\n\nNRestarts=0\nId=dbus.service\n")))
	calm := parseRestarts([]byte("NRestarts=0\nId=cron.service\n"))
	require.NotNil(t, calm, "it counts, and there was nothing to count")
	require.Empty(t, calm)
	require.Nil(t, parseRestarts([]byte("Id=cron.service\n\nId=dbus.service\n")), "systemd 219 does not count")
	none, err := Restarts(t.Context(), fstest.MapFS{})
	require.NoError(t, err)
	require.Nil(t, none, "no systemd here")
}

func TestABootIsNotTakenForAnother(t *testing.T) {
	_, err := Boot(fstest.MapFS{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = Boot(fstest.MapFS{"proc/sys/kernel/random/boot_id": file("\n")})
	require.Error(t, err)
}

// Serves G1.
func TestThisMachineSaysWhoItIs(t *testing.T) {
	root := os.DirFS("/")
	a, err := Read(root)
	require.NoError(t, err)
	t.Logf("%+v", a)
	require.NoError(t, uplink.FactsOf(a).Validate())
	kernel, err := exec.CommandContext(t.Context(), "uname", "-r").Output()
	require.NoError(t, err)
	if a.OS.Kernel != "" { // Linux
		require.Equal(t, strings.TrimSpace(string(kernel)), a.OS.Kernel)
		boot, err := Boot(root)
		require.NoError(t, err)
		require.Len(t, boot, 36)
	}
}

// Serves Q13: who carries patchcycle goes alone, without anybody having to say so.
func TestAMachineOnWhichTheServerOrARelayIsEnabledCarriesPatchcycle(t *testing.T) {
	for name, want := range map[string]bool{
		"etc/systemd/system/multi-user.target.wants/patchcycle.service":       true,
		"etc/systemd/system/multi-user.target.wants/patchcycle-relay.service": true,
		"etc/systemd/system/multi-user.target.wants/patchcycle-agent.service": false,
		"lib/systemd/system/patchcycle.service":                               false,
	} {
		require.Equal(t, want, CarriesPatchcycle(fstest.MapFS{name: &fstest.MapFile{}}), name)
	}
}
