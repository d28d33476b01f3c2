package patching

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"strings"
)

// SnapshotPath is below which a server, or a relay for it, serves snapshots.
const SnapshotPath = "/snapshot/"

// Sources is the snapshot that a plan was made from, as far as a package manager
// needs it: where each signed index is. What the indexes say counts only by their
// own signatures.
type Sources struct {
	// Snapshot is its name in paths: 32 digits of its digest.
	Snapshot string
	Indexes  []SourceIndex
}

// SourceIndex is one signed index of a repository's suite.
type SourceIndex struct {
	Repository, Generation, Suite string
	Components, Architectures     []string
}

// Path is where the index's repository is on the server.
func (s Sources) Path(i SourceIndex) string {
	return path.Join(SnapshotPath, s.Snapshot, i.Repository, i.Generation)
}

// Canonical returns the text whose digest addresses the sources.
func (s Sources) Canonical() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "sources v1\t%s\n", s.Snapshot)
	for _, i := range s.Indexes {
		fmt.Fprintf(&out, "%s\t%s\t%s\t%s\t%s\n", i.Repository, i.Generation, i.Suite, strings.Join(i.Components, " "), strings.Join(i.Architectures, " "))
	}
	return out.Bytes()
}

// ParseSources reads what [Sources.Canonical] wrote. It refuses whatever would
// mean more than a name in a package manager's list of sources.
func ParseSources(text []byte) (Sources, error) {
	lines, head, err := canonicalLines(text, "sources v1")
	if err != nil {
		return Sources{}, err
	}
	s := Sources{Snapshot: head[1]}
	if !snapshotName.MatchString(s.Snapshot) {
		return Sources{}, fmt.Errorf("sources: %.40q is not the name of a snapshot", s.Snapshot)
	}
	for n, l := range lines {
		f := strings.Split(l, "\t")
		if len(f) != 5 {
			return Sources{}, fmt.Errorf("sources, line %d: %d fields, want 5", n+2, len(f))
		}
		i := SourceIndex{Repository: f[0], Generation: f[1], Suite: f[2], Components: strings.Split(f[3], " "), Architectures: strings.Split(f[4], " ")}
		for _, word := range append(append([]string{i.Repository, i.Generation, i.Suite}, i.Components...), i.Architectures...) {
			if err := sourceWord(word); err != nil {
				return Sources{}, fmt.Errorf("sources, line %d: %w", n+2, err)
			}
		}
		s.Indexes = append(s.Indexes, i)
	}
	return s, same("sources", s.Canonical(), text)
}

// ValidSnapshot reports whether a snapshot can be called so in paths.
func ValidSnapshot(name string) bool { return snapshotName.MatchString(name) }

var (
	snapshotName = regexp.MustCompile(`^[0-9a-f]{32}$`)
	sourceName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~+/-]{0,99}$`)
)

func sourceWord(w string) error {
	if !sourceName.MatchString(w) || path.Clean(w) != w {
		return fmt.Errorf("%.40q is not the name of a part of a repository", w)
	}
	return nil
}
