package packages

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// dpkgFormat makes dpkg-query print one line a package.
const dpkgFormat = `${db:Status-Abbrev}\t${binary:Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n`

// parseDpkgQuery reads dpkg-query's answer to [dpkgFormat]:
//
//	ii 	bind9-libs:amd64	1:9.18.49-1~deb12u1	amd64	bind9	1:9.18.49-1~deb12u1
//	iF 	tb-badpost	1.1	all	tb-badpost	1.1
//	rc 	libold1:amd64	1.0-1	amd64	libold	1.0-1
//
// Advisories are about source packages, whose versions may differ from their binaries'.
// The first letter is what somebody wants of it, h to hold it; the second is its
// state (dpkg-query(1)); of what was removed only its settings may be left (c).
// A third letter R, or H for the state: its files are in disorder.
func parseDpkgQuery(out []byte) ([]Installed, error) {
	all := []Installed{} // never nil, which would mean that nobody looked
	for _, line := range lines(out) {
		f := strings.Split(line, "\t")
		if len(f) < 6 || len(f[0]) < 2 {
			return nil, fmt.Errorf("dpkg-query: %q is not a line of it", line)
		}
		state, version := f[0][1], f[2]
		if state == 'n' || state == 'c' || version == "" {
			continue
		}
		name, _, _ := strings.Cut(f[1], ":")
		p := patching.Package{Name: name, Arch: f[3], Version: version}
		if f[4] != name {
			p.Source = f[4]
		}
		if f[5] != version {
			p.SourceVersion = f[5]
		}
		if err := patching.ValidatePackage(p.Name, p.Arch, p.Version); err != nil {
			return nil, fmt.Errorf("dpkg-query: %w", err)
		}
		damaged := state == 'H' || strings.Contains(f[0][2:], "R")
		all = append(all, Installed{Package: p, Broken: state != 'i' || damaged, Damaged: damaged, Held: f[0][0] == 'h'})
	}
	slices.SortFunc(all, func(a, b Installed) int {
		return strings.Compare(a.Name+"\x00"+a.Arch+"\x00"+a.Version, b.Name+"\x00"+b.Arch+"\x00"+b.Version)
	})
	return all, nil
}

// simulation is what apt-get -s says it would do.
type simulation struct {
	installs []install
	removals []removal
	keptBack []string // sorted
}

type install struct {
	said       string // the name as apt writes it: libc6:i386 where that is foreign
	name, arch string
	from, to   string
	sources    string // "Debian:12.15/oldstable, Debian-Security:12/oldstable-security"
}

type removal struct{ said, from string }

var (
	instLine = regexp.MustCompile(`^Inst (\S+)(?: \[(\S+)\])? \((\S+) (.*) \[([a-z0-9-]+)\]\)`)
	remvLine = regexp.MustCompile(`^(?:Remv|Purg) (\S+)(?: \[(\S+)\])?`)
)

// parseSimulation reads apt-get -s: the names that are kept back, and what it
// would install and remove.
//
//	The following packages have been kept back:
//	  curl libcurl4 openssl
//	Inst libgcrypt20 [1.10.1-3] (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64]) []
//	Inst python3-packaging (20.3-1 Ubuntu:20.04/focal [all])
//	Remv tcl [8.6.13] [tcl8.6:amd64 ]
//
// After the bracket stands what is not configured at that moment.
func parseSimulation(out []byte) (simulation, error) {
	var s simulation
	keeping := false
	for _, line := range lines(out) {
		if keeping && strings.HasPrefix(line, "  ") {
			for name := range strings.FieldsSeq(line) {
				name, _, _ = strings.Cut(name, ":")
				s.keptBack = append(s.keptBack, name)
			}
			continue
		}
		keeping = strings.HasSuffix(line, "have been kept back:") || strings.HasSuffix(line, "deferred due to phasing:")
		switch {
		case strings.HasPrefix(line, "Inst "):
			m := instLine.FindStringSubmatch(line)
			if m == nil {
				return s, fmt.Errorf("apt-get: %q is not a line of it", line)
			}
			name, _, _ := strings.Cut(m[1], ":")
			s.installs = append(s.installs, install{said: m[1], name: name, from: m[2], to: m[3], sources: m[4], arch: m[5]})
		case strings.HasPrefix(line, "Remv "), strings.HasPrefix(line, "Purg "):
			m := remvLine.FindStringSubmatch(line)
			if m == nil {
				return s, fmt.Errorf("apt-get: %q is not a line of it", line)
			}
			s.removals = append(s.removals, removal{said: m[1], from: m[2]})
		}
	}
	s.keptBack = sortedOnce(s.keptBack)
	return s, nil
}

// candidate says what the install offers, and where that is from.
func (i install) candidate(known releases) patching.Candidate {
	r := known.of(i.sources)
	return patching.Candidate{
		Name: i.name, Arch: i.arch, From: i.from, To: i.to,
		Origin: oneLine(r.origin()), Codename: oneLine(r.codename()), Security: r.security(),
		NeedsReboot: needsReboot(i.name),
	}
}

// change completes a removal by the architecture, which apt leaves out for the
// machine's own and for "all".
func (r removal) change(has []Installed) patching.Change {
	name, arch, foreign := strings.Cut(r.said, ":")
	for _, p := range has {
		if p.Name == name && p.Version == r.from && (!foreign || p.Arch == arch) {
			arch = p.Arch
			break
		}
	}
	return patching.Change{Name: name, Arch: arch, From: r.from}
}

// release is where a list of packages comes from, by its Release file. The list is as apt
// names it, and the host the one that it came from.
type release struct{ version, source, archive, name, label, list, host string }

type releases []release

var policyFields = regexp.MustCompile(`(?:^|,)([vnaolcb])=`)

// parsePolicy reads the heads of the lists that apt-cache policy prints:
//
//	500 http://mirror.example/debian-security bookworm-security/main amd64 Packages
//	    release v=12,o=Debian,a=oldstable-security,n=bookworm-security,l=Debian-Security,c=main,b=amd64
//
// A value may hold a comma, hence not simply a list.
func parsePolicy(out []byte) releases {
	var all releases
	list := ""
	for _, line := range lines(out) {
		line = strings.TrimSpace(line)
		if host, ok := strings.CutPrefix(line, "origin "); ok && len(all) > 0 {
			all[len(all)-1].host = host
			continue
		}
		text, ok := strings.CutPrefix(line, "release ")
		if !ok {
			_, list, _ = strings.Cut(line, " ") // behind its priority
			continue
		}
		fields := map[string]string{}
		at := policyFields.FindAllStringSubmatchIndex(text, -1)
		for n, m := range at {
			end := len(text)
			if n+1 < len(at) {
				end = at[n+1][0]
			}
			fields[text[m[2]:m[3]]] = text[m[1]:end]
		}
		all = append(all, release{
			version: fields["v"], source: fields["o"], archive: fields["a"], name: fields["n"], label: fields["l"], list: list,
		})
	}
	return all
}

// of finds the release that apt-get's words name: label:version/archive. Of
// several that carry the same version a security archive counts: that it is
// published there says what it is.
func (all releases) of(sources string) release {
	var found *release
	for n := range all {
		r := &all[n]
		if !slices.Contains(strings.Split(sources, ", "), r.said()) && sources != r.said() {
			continue
		}
		if found == nil || r.security() && !found.security() {
			found = r
		}
	}
	if found != nil {
		return *found
	}
	// A list without a Release file: apt says label and host, or the host alone.
	label, _, _ := strings.Cut(sources, ":")
	return release{label: label}
}

// said words the release as apt-get -s does (pkgcache.cc, RelStr).
func (r release) said() string {
	s := r.archive
	if r.version != "" {
		s = r.version + "/" + s
	}
	if r.label != "" {
		s = r.label + ":" + s
	}
	return s
}

func (r release) origin() string {
	if r.label != "" {
		return r.label
	}
	return r.source
}

var alias = regexp.MustCompile(`^(stable|(old)*stable|testing|unstable|experimental|devel|rolling|lts)([-/]|$)`)

// codename returns the name that does not move. Ubuntu gives the codename
// "noble" to noble, noble-updates and noble-security alike; their archive names
// begin with it and tell them apart.
func (r release) codename() string {
	switch {
	case r.name != "" && strings.HasPrefix(r.archive, r.name+"-"):
		return r.archive
	case r.name != "":
		return r.name
	case alias.MatchString(r.archive):
		return ""
	default:
		return r.archive
	}
}

// security reports whether the release is a vendor's security archive: Debian's
// by its label (its alias moves, and before bookworm read "stable/updates"),
// Ubuntu's and its ESM's by the pocket.
func (r release) security() bool {
	return r.label == "Debian-Security" || strings.HasSuffix(r.codename(), "-security")
}

type fileKey struct{ name, arch, version string }

type file struct {
	size     int64
	unpacked int64 // bytes
	sha256   string
}

func (f file) of() (int64, string) { return f.size, f.sha256 }

// parseShow reads the stanzas of apt-cache show:
//
//	Package: libssl3
//	Version: 3.0.22-1~deb12u2
//	Architecture: amd64
//	Installed-Size: 6021
//	Size: 2026632
//	SHA256: 3eb1ea6d85488f488cc2a163b98ad640ef88cee4c79287cf14e361aaf6206f47
func parseShow(out []byte) map[fileKey]file {
	files := map[fileKey]file{}
	fields := map[string]string{}
	for _, line := range append(lines(out), "") {
		if line != "" {
			if name, value, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(name, " ") {
				fields[name] = value
			}
			continue
		}
		if fields["Package"] == "" {
			continue
		}
		size, _ := strconv.ParseInt(fields["Size"], 10, 64)                // 0: unknown
		kibibytes, _ := strconv.ParseInt(fields["Installed-Size"], 10, 64) // likewise
		key := fileKey{fields["Package"], fields["Architecture"], fields["Version"]}
		if _, twice := files[key]; !twice { // the first is the one that apt would take
			files[key] = file{size, kibibytes << 10, fields["SHA256"]}
		}
		fields = map[string]string{}
	}
	return files
}

// parseAudit reads dpkg --audit: under each explanation the packages, one space
// in. An architecture stands with those that may be there twice.
//
//	The following packages are only half configured, probably due to problems
//	configuring them the first time.  The configuration should be retried using
//	dpkg --configure <package> or the configure menu option in dselect:
//	 tb-badpost           testbed tb-badpost
//
// Some explanations are of packages that are whole: their checksums are missing,
// or their architecture is one that nobody added. No transaction minds.
func parseAudit(out []byte) []string {
	var names []string
	why, listed := "", false
	for _, line := range lines(out) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case !strings.HasPrefix(line, " "):
			if listed {
				why, listed = "", false
			}
			why += " " + line
		default:
			listed = true
			if !strings.Contains(why, "md5sums control file") && !strings.Contains(why, "architecture") {
				name, _, _ := strings.Cut(f[0], ":")
				names = append(names, name)
			}
		}
	}
	return names
}

var unattendedLine = regexp.MustCompile(`(?m)^APT::Periodic::Unattended-Upgrade "(.*)";$`)

// unattended reads apt-config dump: a number of days, "always", or 0 for off.
//
//	APT::Periodic::Unattended-Upgrade "1";
func unattended(out []byte) bool {
	m := unattendedLine.FindSubmatch(out)
	if m == nil {
		return false
	}
	every := string(m[1])
	return every != "" && every != "0"
}

// restarts are packages whose new version runs only after a restart: the kernel
// is loaded at boot, microcode before it; every process keeps the C library that
// it started with; and the message bus cannot be restarted under a running
// system (Debian's own dbus asks for a restart instead).
var restarts = regexp.MustCompile(`^(linux-image-.+|(intel|amd64)-microcode|libc6|dbus|dbus-daemon)$`)

func needsReboot(name string) bool { return restarts.MatchString(name) }

// newerKernel returns an installed kernel that is newer than the running one
// and of its flavour; none if the running one is not from a package, as in a
// container.
func newerKernel(has []Installed, running string) string {
	newest, flavour := splitKernel(running)
	var name string
	ours := false
	for _, p := range has {
		release, ok := strings.CutPrefix(p.Name, "linux-image-")
		release = strings.TrimPrefix(release, "unsigned-")
		if !ok || p.Broken {
			continue
		}
		ours = ours || release == running
		v, f := splitKernel(release)
		if v == "" || f != flavour {
			continue
		}
		if version.Debian.Older(newest, v) {
			newest, name = v, p.Name
		}
	}
	if !ours {
		return ""
	}
	return name
}

// splitKernel takes a kernel's release apart: 6.1.0-29-cloud-amd64 is version
// 6.1.0-29 and flavour cloud-amd64. linux-image-amd64 has no version.
func splitKernel(release string) (version, flavour string) {
	parts := strings.Split(release, "-")
	n := 0
	for n < len(parts) && parts[n] != "" && parts[n][0] >= '0' && parts[n][0] <= '9' {
		n++
	}
	return strings.Join(parts[:n], "-"), strings.Join(parts[n:], "-")
}

// lines returns the lines without their ends.
func lines(out []byte) []string {
	text := strings.TrimRight(string(out), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}
