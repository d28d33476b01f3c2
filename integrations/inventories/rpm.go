package inventories

import (
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// rpmQuery is what rpm -qa prints: name-version-release.architecture. It tells no epoch,
// so a package that has one cannot be compared with advisories: take
// rpm -qa --qf '%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH} %{SOURCERPM} %{MODULARITYLABEL}\n',
// which is read too.
var rpmQuery = format{
	name: "rpm -qa",
	mine: func(text []byte) bool {
		f := strings.Fields(firstLine(text))
		return len(f) == 1 && strings.Count(f[0], "-") >= 2 || len(f) >= 3 && strings.Contains(f[1], ":")
	},
	read: func(text []byte) (Host, error) {
		var h Host
		err := eachLine(text, func(line string) error {
			p, err := readRPM(line)
			if err != nil {
				return err
			}
			return h.add(p)
		})
		return h, err
	},
}

func readRPM(line string) (p patching.Package, err error) {
	f := strings.Fields(line)
	if len(f) >= 3 {
		p = patching.Package{Name: f[0], Version: strings.TrimPrefix(f[1], "0:"), Arch: f[2]}
		if len(f) > 3 && f[3] != "(none)" {
			p.Source = withoutRelease(strings.TrimSuffix(f[3], ".src.rpm"))
		}
		if len(f) > 4 && f[4] != "(none)" {
			p.Module = patching.ModuleStream(f[4])
		}
		return p, nil
	}
	// From the end: names have dashes and dots, versions and releases no dash.
	rest := line
	if i := strings.LastIndexByte(rest, '.'); i > 0 && !strings.Contains(rest[i:], "-") {
		rest, p.Arch = rest[:i], rest[i+1:]
	}
	release := strings.LastIndexByte(rest, '-')
	if release <= 0 {
		return p, fmt.Errorf("%.60q is no name-version-release.architecture", line)
	}
	version := strings.LastIndexByte(rest[:release], '-')
	if version <= 0 {
		return p, fmt.Errorf("%.60q is no name-version-release.architecture", line)
	}
	p.Name, p.Version = rest[:version], rest[version+1:]
	if p.Arch == "(none)" {
		p.Arch = "noarch"
	}
	return p, nil
}
