// Package inventories reads what is installed on machines that no agent of ours looks
// at: what package managers, systeminfo and other tools wrote into a file.
package inventories

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
)

// Host is a machine as a file describes it. What the file does not say is empty.
type Host struct {
	Hostname string
	// OS is by os-release(5): ID and the whole VERSION_ID. Of Windows it is the
	// product's name, and Build the full build.
	OS           patching.Platform
	Build        string
	Arch, Kernel string

	Exposure    patching.Exposure
	Criticality patching.Criticality
	DataClass   string

	Packages patching.PackageSet
	// KBs are the updates of Windows that are installed, as KB and digits.
	KBs []string
	// Others counts components of a bill of materials that no package manager of the
	// system installed, by the type of their purl (npm, golang, maven).
	Others map[string]int
	// Guessed is how the system was found out where the file does not name it; empty:
	// it does.
	Guessed string
}

// maxBytes is ten times what the largest installations have.
const maxBytes = 64 << 20

// format is one way in which inventories are written.
type format struct {
	name string
	mine func(text []byte) bool
	read func(text []byte) (Host, error)
}

// formats in the order in which they are tried.
var formats = []format{cycloneJSON, spdxJSON, ours, jsonLines, cycloneXML, spdxTags, dpkgStatus, systemInfo, hotFixes, dpkgQuery, rpmQuery}

// Formats names them.
func Formats() (all []string) {
	for _, f := range formats {
		all = append(all, f.name)
	}
	return all
}

// whole reads a file, packed or not, of at most maxBytes. The ratio is that of [unpack.Bounds]:
// what repeats itself, as reports do, packs better.
func whole(in io.Reader, ratio int64) ([]byte, error) {
	plain, err := unpack.Reader(in, maxBytes, unpack.Bounds{Size: maxBytes, Ratio: ratio})
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	text, err := io.ReadAll(plain)
	if err != nil {
		return nil, fmt.Errorf("%w (more than %d MB are not read)", err, maxBytes>>20)
	}
	return text, nil
}

// Read reads an inventory in whichever format it is, packed or not. Its errors name the
// line and the value.
func Read(in io.Reader) (Host, error) {
	text, err := whole(in, 1)
	if err != nil {
		return Host{}, err
	}
	if text, err = plainText(text); err != nil {
		return Host{}, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return Host{}, errors.New("it is empty")
	}
	i := slices.IndexFunc(formats, func(f format) bool { return f.mine(text) })
	if i < 0 {
		return Host{}, fmt.Errorf("it is no inventory that we can read: want one of %s", strings.Join(Formats(), ", "))
	}
	h, err := formats[i].read(text)
	if err != nil {
		return Host{}, fmt.Errorf("as %s: %w", formats[i].name, err)
	}
	if h.OS.ID == "" {
		h.guess()
	}
	if len(h.Packages.Packages) == 0 && h.OS.ID != "windows" {
		return Host{}, fmt.Errorf("as %s: it lists no package that is installed", formats[i].name)
	}
	if h.Packages.Manager == "" {
		h.Packages.Manager = managerOf(h.OS.ID)
	}
	h.Packages.Sort()
	return h, nil
}

// managers by the families of systems.
func managerOf(id string) string {
	switch id {
	case "debian", "ubuntu":
		return "apt"
	case "sles", "opensuse-leap", "opensuse-tumbleweed":
		return "zypper"
	case "windows", "macos", "":
		return ""
	}
	return "dnf"
}

// add appends a package, if it can be one.
func (h *Host) add(p patching.Package) error {
	if p.Name == "gpg-pubkey" { // a key, which rpm keeps like a package
		return nil
	}
	arch := p.Arch
	if arch == "" {
		arch = "all" // not every tool says it
	}
	if err := patching.ValidatePackage(p.Name, arch, p.Version); err != nil {
		return err
	}
	h.Packages.Packages = append(h.Packages.Packages, p)
	return nil
}

// eachLine calls f for each line that is not empty, with its number.
func eachLine(text []byte, f func(line string) error) error {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), " \r")
		if line == "" {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return lines.Err()
}

// firstLine is the first that is not empty.
func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimLeft(text, " \t\r\n"), []byte("\n"))
	return strings.TrimRight(string(line), " \r")
}

// carriers are the packages that carry a system's name, by whose version its release is
// known.
var carriers = []struct {
	pack string
	id   string
}{
	{"almalinux-release", "almalinux"},
	{"rocky-release", "rocky"},
	{"redhat-release", "rhel"},
	{"redhat-release-server", "rhel"},
	{"centos-stream-release", "centos"},
	{"centos-linux-release", "centos"},
	{"centos-release", "centos"},
	{"oraclelinux-release", "ol"},
	{"fedora-release-common", "fedora"},
	{"sles-release", "sles"},
	{"openSUSE-release", "opensuse-leap"},
	{"Leap-release", "opensuse-leap"},
}

// ubuntus are Ubuntu's releases by the version of base-files that they carry, which is
// all that a list of packages tells: https://packages.ubuntu.com/base-files.
var ubuntus = map[string]string{
	"9.4ubuntu": "16.04", "10.1ubuntu": "18.04", "11ubuntu5": "20.04", "12ubuntu4": "22.04", "13ubuntu10": "24.04",
}

// guess finds the system out, where the file does not name it, by packages that only it has.
func (h *Host) guess() {
	for _, p := range h.Packages.Packages {
		for _, c := range carriers {
			if p.Name == c.pack {
				v := p.Version[strings.IndexByte(p.Version, ':')+1:]
				v, _, _ = strings.Cut(v, "-")
				h.OS, h.Guessed = patching.Platform{ID: c.id, Release: v}, p.Name+" "+p.Version
				return
			}
		}
		if p.Name != "base-files" {
			continue
		}
		for begin, release := range ubuntus {
			if strings.HasPrefix(p.Version, begin) {
				h.OS, h.Guessed = patching.Platform{ID: "ubuntu", Release: release}, p.Name+" "+p.Version
				return
			}
		}
		if major, _, ok := strings.Cut(p.Version, "."); ok && !strings.Contains(p.Version, "ubuntu") {
			h.OS, h.Guessed = patching.Platform{ID: "debian", Release: major}, p.Name+" "+p.Version
			return
		}
	}
	for _, p := range h.Packages.Packages { // of a part of a list
		if m := builtFor.FindStringSubmatch(p.Version); m != nil {
			h.OS, h.Guessed = patching.Platform{ID: "debian", Release: m[1]}, p.Name+" "+p.Version
			if m[2] != "" {
				h.OS = patching.Platform{ID: "ubuntu", Release: m[2]}
			}
			return
		}
	}
}

// builtFor is what updates of a stable release have in their versions: +deb12u9,
// ubuntu0.24.04.1.
var builtFor = regexp.MustCompile(`\+deb([0-9]+)u[0-9]|ubuntu[0-9]+(?:\.[0-9])*\.([12][0-9]\.(?:04|10))`)
