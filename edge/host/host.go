// Package host reads what a machine says of itself: who it is, what runs on it
// and who else patches it. It changes nothing and needs no privilege, except
// that Linux shows a serial number to root only.
package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"runtime"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// maxText and maxList bound what is reported, by what the uplink takes.
const (
	maxText = 256
	maxList = 256
)

// Read returns the host's part of an asset; root is the machine's file system.
// What a machine does not tell stays empty.
func Read(root fs.FS) (patching.Asset, error) {
	name, err := os.Hostname()
	if err != nil {
		return patching.Asset{}, fmt.Errorf("read the host's name: %w", err)
	}
	nics, err := interfaces()
	if err != nil {
		return patching.Asset{}, fmt.Errorf("read the host's addresses: %w", err)
	}
	if len(nics) == 0 { // or this process alone has none
		nics = firstNetwork(root)
	}
	a := patching.Asset{
		Hostname: clip(name), OS: readOS(root), Zone: readZone(root), OtherManagers: readUpdaters(root),
	}
	a.Addresses, a.MACs = reachable(nics)
	a.Vendor, a.Model, a.Serial = readHardware(root)
	return a, nil
}

// Boot returns the id of the running boot. Uptime would not do: in a container
// it is the host's.
func Boot(root fs.FS) (string, error) {
	text, err := fs.ReadFile(root, "proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("tell this boot from others: %w", err)
	}
	id := strings.TrimSpace(string(text))
	if id == "" {
		return "", errors.New("tell this boot from others: the kernel's boot_id is empty")
	}
	return clip(id), nil
}

// Kernel returns the release of the running kernel, as uname -r gives it; empty
// where the system does not tell.
func Kernel(root fs.FS) string { return line(root, "proc/sys/kernel/osrelease") }

// readOS reads /etc/os-release (os-release(5)) and what stands beside it.
func readOS(root fs.FS) patching.OS {
	text, err := fs.ReadFile(root, "etc/os-release")
	if err != nil {
		text, _ = fs.ReadFile(root, "usr/lib/os-release")
	}
	said := parseOSRelease(text)
	o := patching.OS{
		Family: family(said, runtime.GOOS), Name: clip(said["NAME"]), Release: clip(said["VERSION_ID"]),
		Kernel: Kernel(root), Arch: runtime.GOARCH,
	}
	o.Revision = clip(revision(said, line(root, "etc/debian_version")))
	return o
}

// parseOSRelease reads a file of shell assignments:
//
//	PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
//	VERSION_ID="12"
//	ID=debian
func parseOSRelease(text []byte) map[string]string {
	fields := map[string]string{}
	for l := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(l), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		}
		fields[name] = unescape.ReplaceAllString(value, "$1")
	}
	return fields
}

var unescape = regexp.MustCompile("\\\\([\"$`'\\\\])")

// families are the words for kinds of system, by os-release's ID and ID_LIKE.
var families = map[string]string{
	"debian": "debian", "ubuntu": "debian",
	"rhel": "rhel", "fedora": "rhel", "centos": "rhel", "amzn": "rhel",
	"suse": "suse", "sles": "suse", "opensuse": "suse", "sles_sap": "suse",
}

func family(said map[string]string, goos string) string {
	for _, id := range strings.Fields(said["ID"] + " " + said["ID_LIKE"]) {
		if f, ok := families[id]; ok {
			return f
		}
	}
	if said["ID"] != "" {
		return clip(said["ID"])
	}
	if goos == "darwin" {
		return "macos"
	}
	return goos
}

var numbered = regexp.MustCompile(`^[0-9]+(\.[0-9]+)+$`)

// revision returns the point release. Debian keeps it in a file of its own
// (12.15; "trixie/sid" before the release), Ubuntu at the beginning of VERSION
// (24.04.1 LTS), the others in VERSION_ID.
func revision(said map[string]string, debianVersion string) string {
	first, _, _ := strings.Cut(said["VERSION"], " ")
	for _, v := range []string{debianVersion, first, said["VERSION_ID"]} {
		if numbered.MatchString(v) && (v == said["VERSION_ID"] || strings.HasPrefix(v, said["VERSION_ID"]+".")) {
			return v
		}
	}
	return ""
}

var zoneName = regexp.MustCompile(`^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$`)

// readZone returns the IANA zone: /etc/localtime points to it, and Debian also
// writes its name.
func readZone(root fs.FS) string {
	target, _ := fs.ReadLink(root, "etc/localtime")
	_, zone, _ := strings.Cut(target, "/zoneinfo/")
	if !zoneName.MatchString(zone) {
		zone = line(root, "etc/timezone")
	}
	if !zoneName.MatchString(zone) {
		return ""
	}
	return zone
}

// line returns a file's first line; empty without the file.
func line(root fs.FS, path string) string {
	text, err := fs.ReadFile(root, path)
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return clip(strings.TrimSpace(first))
}

// clip bounds a text that somebody else wrote.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return s
}
