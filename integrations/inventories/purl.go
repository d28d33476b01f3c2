package inventories

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/patchcycle/patchcycle/patching"
)

// bill is a bill of materials on its way to becoming a machine.
type bill struct {
	host Host
	// systems are those that its components say they belong to.
	systems map[patching.Platform]int
	// named is the system as a component of its own names it.
	named patching.Platform
}

// part is a component as far as one format tells it and its purl does not.
type part struct {
	purl string
	// source and sourceVersion are of the package that it was built from; empty: not told.
	source, sourceVersion, module string
}

// add takes a component in: one of the system's package manager becomes a package, others
// are counted by their type.
func (b *bill) add(p part) error {
	if p.purl == "" {
		return nil // a file, a licence text, an application without a name in any ecosystem
	}
	u, err := packageurl.FromString(p.purl)
	if err != nil {
		return fmt.Errorf("purl %.100q: %w", p.purl, err)
	}
	if u.Type != packageurl.TypeDebian && u.Type != packageurl.TypeRPM {
		if b.host.Others == nil {
			b.host.Others = map[string]int{}
		}
		b.host.Others[u.Type]++
		return nil
	}
	q := u.Qualifiers.Map()
	out := patching.Package{Name: u.Name, Arch: q["arch"], Version: withEpoch(u.Version, q["epoch"]), Source: p.source, SourceVersion: p.sourceVersion, Module: p.module}
	if out.Module == "" {
		out.Module = patching.ModuleStream(q["rpmmod"])
	}
	if up := q["upstream"]; up != "" && out.Source == "" {
		out.Source, out.SourceVersion = upstream(u.Type, up)
	}
	if out.SourceVersion == out.Version {
		out.SourceVersion = ""
	}
	if out.Arch == "src" || out.Arch == "source" {
		return nil // what was built from, not what is installed
	}
	b.systems[system(u.Namespace, q["distro"])]++
	return b.host.add(out)
}

// withEpoch puts an epoch in front, unless the version has it already.
func withEpoch(version, epoch string) string {
	if epoch == "" || epoch == "0" || strings.HasPrefix(version, epoch+":") {
		return strings.TrimPrefix(version, "0:")
	}
	return epoch + ":" + version
}

// upstream reads the source package as syft writes it: glibc, glibc@2.36-9, or a source
// rpm's file name.
func upstream(kind, text string) (name, version string) {
	if plain, err := url.QueryUnescape(strings.ReplaceAll(text, "+", "%2B")); err == nil {
		text = plain
	}
	if file, ok := strings.CutSuffix(text, ".src.rpm"); ok && kind == packageurl.TypeRPM {
		return withoutRelease(file), ""
	}
	name, version, _ = strings.Cut(text, "@")
	return name, version
}

// systemIDs are what others call a system, by what os-release(5) does.
var systemIDs = map[string]string{
	"redhat": "rhel", "alma": "almalinux", "oracle": "ol", "oraclelinux": "ol", "amazon": "amzn", "rockylinux": "rocky", "opensuse.leap": "opensuse-leap", "opensuse": "opensuse-leap",
	"opensuse.tumbleweed": "opensuse-tumbleweed", "suse linux enterprise server": "sles", "suse.linux.enterprise.server": "sles", "suse": "sles",
}

// codenames are of releases that purls name by their word alone, as the purl
// specification's own example does (distro=jessie).
var codenames = map[string]patching.Platform{
	"buster": {ID: "debian", Release: "10"}, "bullseye": {ID: "debian", Release: "11"}, "bookworm": {ID: "debian", Release: "12"}, "trixie": {ID: "debian", Release: "13"},
	"xenial": {ID: "ubuntu", Release: "16.04"}, "bionic": {ID: "ubuntu", Release: "18.04"}, "focal": {ID: "ubuntu", Release: "20.04"},
	"jammy": {ID: "ubuntu", Release: "22.04"}, "noble": {ID: "ubuntu", Release: "24.04"},
}

// system is the platform of a purl's namespace and its qualifier distro: debian-12,
// redhat-7.7, opensuse.leap-15.1, bookworm.
func system(namespace, distro string) patching.Platform {
	if p, ok := codenames[strings.ToLower(distro)]; ok {
		return p
	}
	id, release := namespace, ""
	if i := strings.LastIndexByte(distro, '-'); i > 0 {
		id, release = distro[:i], distro[i+1:]
	} else if distro != "" {
		release = distro
	}
	return platformOf(id, release)
}

func platformOf(id, release string) patching.Platform {
	id = strings.ToLower(id)
	p := patching.Platform{ID: cmp.Or(systemIDs[id], id), Release: strings.ToLower(release)}
	if p.ID == "debian" { // its point releases share their advisories
		p.Release, _, _ = strings.Cut(p.Release, ".")
	}
	return p
}

// done is the machine. A bill of several systems is none of one machine.
func (b *bill) done() (Host, error) {
	known := slices.SortedFunc(maps.Keys(b.systems), func(x, y patching.Platform) int {
		return cmp.Or(strings.Compare(x.ID, y.ID), strings.Compare(x.Release, y.Release))
	})
	known = slices.DeleteFunc(known, func(p patching.Platform) bool { return p.Release == "" })
	switch {
	case len(known) > 1:
		return Host{}, fmt.Errorf("its packages are of several systems, %s %s and %s %s: give one file for each", known[0].ID, known[0].Release, known[1].ID, known[1].Release)
	case len(known) == 1:
		b.host.OS = known[0]
	default:
		b.host.OS = b.named
	}
	return b.host, nil
}
