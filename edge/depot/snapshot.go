package depot

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/edge/blobs"
	"github.com/patchcycle/patchcycle/patching"
)

// File is bytes by their hash and size, as an archive's index names them.
type File = blobs.File

// SnapshotID is the digest of a snapshot's manifest.
type SnapshotID = patching.Digest

// Wanted is a package version that a snapshot should have.
type Wanted struct {
	Name    string `json:"name"`
	Arch    string `json:"arch"`
	Version string `json:"version"`
}

func compareWanted(a, b Wanted) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Arch, b.Arch), strings.Compare(a.Version, b.Version))
}

// Snapshot is what was frozen: signed indexes, and packages that they name. It
// is a value of its manifest: the same request to the same indexes gives the
// same one.
type Snapshot struct {
	ID SnapshotID `json:"-"`
	// Generations are by repository and suite, the newest first. Apt prefers
	// none of them: it is told which version to install.
	Generations []Frozen `json:"generations"`
	// Packages are those that the snapshot has, by name, architecture and version.
	Packages []Had `json:"packages"`
	// Missing are those that were asked for and could not be had.
	Missing []Missing `json:"missing,omitempty"`

	// at finds packages by the names under which machines ask for them.
	at map[Place]File
}

// Frozen is a generation in a snapshot.
type Frozen struct {
	Repository string  `json:"repository"`
	Generation string  `json:"generation"`
	Suite      string  `json:"suite"`
	Release    File    `json:"release"`
	Indexes    []Index `json:"indexes"`
}

// Had is a package version that the snapshot has.
type Had struct {
	Wanted
	File
	// Places are all names of the file in the frozen indexes: apt asks for
	// whichever it read first.
	Places []Place `json:"places"`
}

// Place is a package file's name in a generation.
type Place struct {
	Generation string `json:"generation"`
	Path       string `json:"path"`
}

// Missing is a package version that could not be had.
type Missing struct {
	Wanted
	Why Why `json:"why"`
}

// Why says why a package version could not be had. It is part of the manifest,
// so it does not say more; the log does.
type Why string

// The reasons.
const (
	NotNamed   Why = "no signed index that is kept names this version"
	Gone       Why = "a signed index names it, and the archive no longer has the file"
	WrongBytes Why = "the archive's file is not the one that was signed"
	NotFetched Why = "it could not be fetched"
)

// Has reports whether the snapshot has a package version.
func (s *Snapshot) Has(name, arch, version string) bool {
	_, ok := s.Find(name, arch, version)
	return ok
}

// Find returns a package version that the snapshot has.
func (s *Snapshot) Find(name, arch, version string) (Had, bool) {
	at, ok := slices.BinarySearchFunc(s.Packages, Wanted{name, arch, version}, func(h Had, w Wanted) int { return compareWanted(h.Wanted, w) })
	if !ok {
		return Had{}, false
	}
	return s.Packages[at], true
}

// Sources says where the depot serves the snapshot's indexes.
func (s *Snapshot) Sources() patching.Sources {
	out := patching.Sources{Snapshot: pathOf(s.ID)}
	for _, g := range s.Generations {
		i := patching.SourceIndex{Repository: g.Repository, Generation: g.Generation, Suite: g.Suite}
		for _, x := range g.Indexes {
			i.Components, i.Architectures = append(i.Components, x.Component), append(i.Architectures, x.Architecture)
		}
		i.Components, i.Architectures = once(i.Components), once(i.Architectures)
		out.Indexes = append(out.Indexes, i)
	}
	return out
}

// once returns what is in a list, in order, each one once.
func once(all []string) []string {
	slices.Sort(all)
	return slices.Compact(all)
}

// Bytes is what the packages take.
func (s *Snapshot) Bytes() (sum int64) {
	for _, p := range s.Packages {
		sum += p.Size
	}
	return sum
}

// manifest returns the canonical text, whose digest is the id.
func (s *Snapshot) manifest() ([]byte, error) {
	text, err := json.MarshalIndent(s, "", " ")
	return append(text, '\n'), err
}

// ReadSnapshot reads a manifest; its id is the digest of the text.
func ReadSnapshot(text []byte) (*Snapshot, error) {
	s := &Snapshot{ID: patching.DigestOf(text)}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	again, err := s.manifest()
	if err != nil {
		return nil, err
	}
	if string(again) != string(text) {
		return nil, errors.New("it is not as it was written")
	}
	s.index()
	return s, nil
}

// index is made once: among 2,000 packages a search for each request would cost as much
// as opening the file.
func (s *Snapshot) index() {
	s.at = make(map[Place]File, len(s.Packages))
	for _, p := range s.Packages {
		for _, name := range p.Places {
			s.at[name] = p.File
		}
	}
}

// Files returns all that the snapshot needs.
func (s *Snapshot) Files() []File {
	var all []File
	for _, g := range s.Generations {
		all = append(all, g.Release)
		for _, i := range g.Indexes {
			all = append(all, i.File)
		}
	}
	for _, p := range s.Packages {
		all = append(all, p.File)
	}
	return all
}

// pathDigits is how much of an id is in a path. Apt makes one file name of a
// whole address, which must stay below 255 letters.
const pathDigits = 32

func pathOf(id SnapshotID) string {
	return strings.TrimPrefix(string(id), "sha256:")[:pathDigits]
}

// Path is the snapshot's name in paths, see [patching.Sources].
func (s *Snapshot) Path() string { return pathOf(s.ID) }

// byPath returns the snapshot that a path names.
func (d *Depot) byPath(digits string) (*Snapshot, bool) {
	if _, err := hex.DecodeString(digits); err != nil || len(digits) != pathDigits {
		return nil, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, s := range d.snapshots {
		if pathOf(id) == digits {
			return s, true
		}
	}
	return nil, false
}

// Snapshot returns a snapshot that is kept.
func (d *Depot) Snapshot(id SnapshotID) (*Snapshot, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, ok := d.snapshots[id]
	return s, ok
}

// Snapshots returns the ids of those that are kept, in order.
func (d *Depot) Snapshots() []SnapshotID {
	d.mu.Lock()
	defer d.mu.Unlock()
	var ids []SnapshotID
	for id := range d.snapshots {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Open opens a file that a snapshot has, after it was checked. Close it.
func (d *Depot) Open(f File) (*os.File, error) { return d.blobs.Open(f) }

// Check reads a snapshot's files through. Its error names each one that is lost
// or was changed.
func (d *Depot) Check(id SnapshotID) error {
	s, ok := d.Snapshot(id)
	if !ok {
		return fmt.Errorf("snapshot %s is not kept here", id.Short())
	}
	var wrong []error
	for _, f := range s.Files() {
		if file, err := d.blobs.Open(f); err != nil {
			wrong = append(wrong, err)
		} else {
			file.Close()
		}
	}
	return errors.Join(wrong...)
}
