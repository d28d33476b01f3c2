package inventories

import (
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// dpkgStatus is /var/lib/dpkg/status.
var dpkgStatus = format{
	name: "a dpkg status file",
	mine: func(text []byte) bool { return strings.HasPrefix(firstLine(text), "Package: ") },
	read: func(text []byte) (Host, error) {
		h := Host{Packages: patching.PackageSet{Manager: "apt"}}
		for n, stanza := range strings.Split(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n\n") {
			p, installed, err := readStanza(stanza)
			if err == nil && installed {
				err = h.add(p)
			}
			if err != nil {
				return Host{}, fmt.Errorf("stanza %d: %w", n+1, err)
			}
		}
		return h, nil
	},
}

func readStanza(text string) (p patching.Package, installed bool, err error) {
	for line := range strings.Lines(text) {
		if line[0] == ' ' || line[0] == '\t' || strings.TrimSpace(line) == "" {
			continue // a line goes on
		}
		field, value, ok := strings.Cut(line, ":")
		if !ok {
			return p, false, fmt.Errorf("%.60q is no field", strings.TrimSpace(line))
		}
		value = strings.TrimSpace(value)
		switch field {
		case "Package":
			p.Name = value
		case "Architecture":
			p.Arch = value
		case "Version":
			p.Version = value
		case "Status": // "install ok installed": wanted, error, state; of what is half installed files are there too
			installed = !strings.HasSuffix(value, " not-installed") && !strings.HasSuffix(value, " config-files")
		case "Source": // "glibc (2.36-9)": the version where it is another
			name, rest, other := strings.Cut(value, " ")
			p.Source = name
			if other {
				p.SourceVersion = strings.Trim(rest, "()")
			}
		}
	}
	if p.Name == "" && strings.TrimSpace(text) != "" {
		err = fmt.Errorf("it names no package")
	}
	return p, installed && err == nil, err
}

// dpkgQuery is what dpkg-query -W prints: name or name:architecture, a tab, version.
// Packages that are known and not installed have no version.
var dpkgQuery = format{
	name: "dpkg-query -W",
	mine: func(text []byte) bool { return strings.Contains(firstLine(text), "\t") },
	read: func(text []byte) (Host, error) {
		h := Host{Packages: patching.PackageSet{Manager: "apt"}}
		err := eachLine(text, func(line string) error {
			f := strings.Split(line, "\t")
			if len(f) != 2 {
				return fmt.Errorf("%.60q has %d fields, want name and version", line, len(f))
			}
			if f[1] == "" {
				return nil
			}
			name, arch, _ := strings.Cut(f[0], ":")
			return h.add(patching.Package{Name: name, Arch: arch, Version: f[1]})
		})
		return h, err
	},
}
