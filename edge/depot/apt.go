package depot

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Sources writes the list by which apt takes a snapshot from the depot at base
// (http://server:7440), in the form of sources.list(5) that ends in .sources.
// signedBy is the file with the archive's keys on the machine; empty: whatever
// the machine trusts already.
//
// The end of an index's validity was judged when it was frozen, and only here is
// apt told not to judge it again. Signatures and hashes it checks as ever.
func (s *Snapshot) Sources(base, signedBy string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", fmt.Errorf("depot address %q: want http://host:port or https://host:port", base)
	}
	if signedBy != "" && (!filepath.IsAbs(signedBy) || strings.ContainsFunc(signedBy, func(r rune) bool { return r <= ' ' || r == ',' })) {
		return "", fmt.Errorf("keyring %q: want an absolute path without blanks and commas", signedBy)
	}
	var b strings.Builder
	for _, g := range s.Generations {
		var components, architectures []string
		for _, i := range g.Indexes {
			components, architectures = append(components, i.Component), append(architectures, i.Architecture)
		}
		fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\nArchitectures: %s\n",
			u.JoinPath(SnapshotPath, pathOf(s.ID), g.Repository, g.Generation), g.Suite, once(components), once(architectures))
		// The frozen index has the packages alone: no translations, no contents.
		b.WriteString("Targets: Packages\nLanguages: none\nCheck-Valid-Until: no\n")
		if signedBy != "" {
			fmt.Fprintf(&b, "Signed-By: %s\n", signedBy)
		}
		b.WriteByte('\n')
	}
	return b.String(), nil
}

// once joins what is in a list, in order, each one once.
func once(all []string) string {
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

// AptOptions returns the options by which apt works with a snapshot's sources
// and nothing else, and keeps its lists in a folder of their own: the machine's
// own lists are not touched. The folder "lists/partial" in dir must be there.
func AptOptions(sources, dir string) []string {
	return []string{
		"-o", "Dir::Etc::SourceList=" + sources,
		"-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "Dir::State::Lists=" + filepath.Join(dir, "lists"),
		"-o", "Dir::Cache::pkgcache=" + filepath.Join(dir, "pkgcache.bin"),
		"-o", "Dir::Cache::srcpkgcache=" + filepath.Join(dir, "srcpkgcache.bin"),
		// Without it an update that fetched nothing ends as if all was well.
		"-o", "APT::Update::Error-Mode=any",
	}
}
