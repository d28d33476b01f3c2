package packages

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"

	"github.com/patchcycle/patchcycle/patching"
)

// foreign finds out which installed packages come from elsewhere than the distribution, by
// the machine's own lists: those of a snapshot have not all that the machine's sources have.
// It is nil, which is not known, where the distribution does not offer dpkg itself: then its
// lists are not there, or not whole, and everything would look foreign.
func (a *APT) foreign(ctx context.Context) ([]patching.Foreign, error) {
	vendor, err := a.vendor()
	if err != nil || vendor == "" {
		return nil, err
	}
	has, err := a.Installed(ctx)
	if err != nil {
		return nil, err
	}
	heads, err := a.run(ctx, aptQuick, "apt-cache", "policy")
	if err != nil {
		return nil, fmt.Errorf("ask where packages come from: %w", aptError(err, heads))
	}
	args := []string{"policy", "--"}
	for _, p := range has {
		args = append(args, aptName(p.Package))
	}
	tables, err := a.run(ctx, aptQuick, "apt-cache", args...)
	if err != nil {
		return nil, fmt.Errorf("ask where packages come from: %w", aptError(err, tables))
	}
	known, offered := parsePolicy(heads), parseTables(tables)
	ours := func(r release) bool { return patching.OfDistribution(vendor, r.source) }
	if i := slices.IndexFunc(has, func(p Installed) bool { return p.Name == "dpkg" }); i < 0 ||
		!slices.ContainsFunc(offered.of(has[i].Package, known), ours) {
		return nil, nil
	}
	var all []patching.Foreign
	for _, p := range has {
		from := offered.of(p.Package, known)
		if slices.ContainsFunc(from, ours) {
			continue
		}
		f := patching.Foreign{Name: p.Name}
		if len(from) > 0 {
			f.Origin = from[0].publisher()
		}
		if !slices.Contains(all, f) {
			all = append(all, f)
		}
	}
	return all[:min(len(all), patching.MaxForeign)], nil
}

// vendor is who makes the distribution, as dpkg-vendor(1) finds it; empty: not known.
func (a *APT) vendor() (string, error) {
	text, err := fs.ReadFile(a.root, "etc/dpkg/origins/default")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read whose distribution this is: %w", err)
	}
	for _, line := range lines(text) {
		if name, ok := strings.CutPrefix(line, "Vendor:"); ok {
			return strings.TrimSpace(name), nil
		}
	}
	return "", nil
}

// aptName names a package so that apt means no other architecture's.
func aptName(p patching.Package) string {
	if p.Arch == "all" {
		return p.Name
	}
	return p.Name + ":" + p.Arch
}

// tables are, by package as apt names it and by version, the lists that have it.
type tables map[string]map[string][]string

// parseTables reads the tables of versions that apt-cache policy prints of packages:
//
//	appstream:
//	  Installed: 0.16.1-2
//	  Candidate: 0.16.1-2+b1
//	  Version table:
//	     0.16.1-2+b1 500
//	        500 http://mirror.example/debian bookworm/main amd64 Packages
//	 *** 0.16.1-2 100
//	        100 /var/lib/dpkg/status
func parseTables(out []byte) tables {
	all := tables{}
	var name, version string
	for _, line := range lines(out) {
		switch {
		case line != "" && line[0] != ' ':
			name, version = strings.TrimSuffix(line, ":"), ""
			all[name] = map[string][]string{}
		case name == "":
		case strings.HasPrefix(line, " *** "), strings.HasPrefix(line, "     ") && !strings.HasPrefix(line, "       "):
			version, _, _ = strings.Cut(line[5:], " ")
		case version != "" && strings.HasPrefix(line, "       "):
			_, list, _ := strings.Cut(strings.TrimSpace(line), " ")
			all[name][version] = append(all[name][version], list)
		}
	}
	return all
}

// of are the releases from which the installed version comes; where no list has that one, as
// when the archive has moved on, from which the package comes at all.
func (t tables) of(p patching.Package, known releases) (all []release) {
	// apt leaves the architecture out where it is the machine's own.
	versions, ok := t[p.Name+":"+p.Arch]
	if !ok {
		versions = t[p.Name]
	}
	known = slices.DeleteFunc(slices.Clone(known), func(r release) bool { return r.archive == "now" }) // what is installed
	for _, r := range known {
		if slices.Contains(versions[p.Version], r.list) {
			all = append(all, r)
		}
	}
	if len(all) > 0 {
		return all
	}
	for _, r := range known {
		for _, lists := range versions {
			if slices.Contains(lists, r.list) {
				all = append(all, r)
				break
			}
		}
	}
	return all
}

// publisher names who publishes the release: where it does not say so itself, by its host.
func (r release) publisher() string {
	return oneLine(cmp.Or(r.source, r.label, r.host, "a repository without a name"))
}

// oneLine makes a short line of what a repository says of itself: a tab in it would make the
// whole inventory unreadable.
func oneLine(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return -1
	}, strings.Join(strings.Fields(text), " "))
	return strings.ToValidUTF8(text[:min(len(text), 100)], "")
}
