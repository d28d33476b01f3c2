package snapshots

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/internal/deb"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// Told is what the changelogs of a snapshot's packages say.
type Told struct {
	// Advisories are in the order of the sources.
	Advisories []patching.Advisory
	// Sources counts source packages in their versions. Of those in Without, as "source
	// version", no package in the snapshot brings a changelog of Debian's; what it fixes is
	// not known.
	Sources int
	Without []string
	// Unread counts packages for which there was no time.
	Unread int
	// Broken are packages whose file or changelog could not be read, with the reason.
	Broken []string
}

// Bounds of the search for a source's changelog: packages of one source often link to the
// documents of one among them. The kernel's has 70 MB, and takes a minute to read through.
const (
	maxLooks = 4
	patience = 15 * time.Minute
	maxKept  = 64 << 20
)

// Fixes is what the packages in a cycle's snapshots say themselves that they fix; of those
// that are kept of any cycle, if none is named. It reads for so long at most, and then takes
// what was read before: the next time it goes on. Unread counts the packages that it did not
// come to.
func (k *Keeper) Fixes(ctx context.Context, c patching.CycleID, within time.Duration) (fixes []patching.Advisory, unread int, err error) {
	ids := k.Depot.Snapshots()
	if c != "" {
		if ids, err = k.of(ctx, c); err != nil {
			return nil, 0, err
		}
	}
	until := time.Now().Add(within)
	seen := map[string]bool{}
	for _, id := range ids {
		told, err := k.Advisories(ctx, id, until)
		if err != nil {
			return nil, 0, err
		}
		unread += told.Unread
		for _, a := range told.Advisories {
			if key := tellingOf(a); !seen[key] {
				seen[key], fixes = true, append(fixes, a)
			}
		}
	}
	return fixes, unread, nil
}

// Advisories reads what a snapshot's packages say themselves that they fix: for each source
// in each version the changelog of its smallest package that has one, unless that of a newer
// version tells it too. What was read of a package is kept under its hash, so the first time
// takes longest; called again after it broke off, it goes on. After until it opens no further
// package; zero: there is no end.
func (k *Keeper) Advisories(ctx context.Context, id depot.SnapshotID, until time.Time) (Told, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	s, ok := k.Depot.Snapshot(id)
	if !ok {
		return Told{}, fmt.Errorf("snapshot %s is not kept here", id.Short())
	}
	if told, ok := k.told.Load(id); ok {
		return told.(Told), nil
	}
	if err := os.MkdirAll(k.Cache, 0o700); err != nil {
		return Told{}, err
	}
	t := teller{keeper: k, until: until, releases: releasesOf(s), built: map[string]map[string][]depot.Had{}, told: map[string]bool{}}
	for _, p := range s.Packages {
		if err := t.sort(ctx, p); err != nil {
			return Told{}, err
		}
	}
	for _, source := range slices.Sorted(maps.Keys(t.built)) {
		if err := t.source(ctx, source); err != nil {
			return Told{}, err
		}
	}
	if t.Unread == 0 && len(t.Broken) == 0 { // what is broken may be so because the machine was busy
		k.told.Store(id, t.Told)
	}
	return t.Told, nil
}

// releasesOf says of which release of Debian a snapshot's generations are, as far as their
// suites tell.
func releasesOf(s *depot.Snapshot) map[string]string {
	all := map[string]string{}
	for _, g := range s.Generations {
		all[g.Generation] = advisories.DebianRelease(g.Suite)
	}
	return all
}

type teller struct {
	keeper   *Keeper
	until    time.Time
	releases map[string]string
	// built are the packages by their source and its version.
	built map[string]map[string][]depot.Had
	told  map[string]bool // advisories by name and release
	Told
}

// sort finds out what a package was built from: its index may not say it, itself does.
func (t *teller) sort(ctx context.Context, p depot.Had) error {
	r, err := t.look(ctx, p, false)
	if err != nil || r == nil {
		return err
	}
	if r.Broken != "" {
		t.broken(p, r.Broken)
		return nil
	}
	versions := t.built[r.Source]
	if versions == nil {
		versions = map[string][]depot.Had{}
		t.built[r.Source] = versions
	}
	versions[r.Version] = append(versions[r.Version], p)
	return nil
}

func (t *teller) broken(p depot.Had, why string) {
	t.Broken = append(t.Broken, fmt.Sprintf("%s %s: %s", p.Name, p.Version, why))
}

// source reads the changelogs of one source, the newest version first.
func (t *teller) source(ctx context.Context, source string) error {
	versions := slices.SortedFunc(maps.Keys(t.built[source]), func(a, b string) int {
		c, _ := version.Debian.Compare(b, a)
		return cmp.Or(c, strings.Compare(b, a))
	})
	var read [][]byte
	for _, v := range versions {
		t.Sources++
		entry := []byte("\n" + source + " (" + v + ") ")
		if slices.ContainsFunc(read, func(text []byte) bool { return bytes.Contains(text, entry) }) {
			continue
		}
		unread := t.Unread
		text, err := t.changelog(ctx, t.built[source][v])
		if err != nil {
			return err
		}
		if text == nil && t.Unread > unread {
			continue // whether one has it is not known yet
		}
		if text == nil {
			t.Without = append(t.Without, source+" "+v)
			continue
		}
		read = append(read, text)
	}
	return nil
}

// changelog takes what the first of some packages says that has a changelog, and returns its
// text; nil: none has.
func (t *teller) changelog(ctx context.Context, packages []depot.Had) ([]byte, error) {
	slices.SortStableFunc(packages, func(a, b depot.Had) int { return cmp.Compare(a.Size, b.Size) })
	for _, p := range packages[:min(len(packages), maxLooks)] {
		r, err := t.look(ctx, p, true)
		if err != nil {
			return nil, err
		}
		if r == nil {
			continue
		}
		text, err := r.text()
		if err != nil { // what was kept of it cannot be read
			t.broken(p, err.Error())
			continue
		}
		switch said, err := advisories.ReadChangelog(p.Name, text, t.release(p)); {
		case r.Broken != "":
			t.broken(p, r.Broken)
		case errors.Is(err, advisories.ErrUnknown): // none, or upstream's
		case err != nil:
			t.broken(p, err.Error())
		default:
			t.add(said)
			return text, nil
		}
	}
	return nil, nil
}

// release is the one whose suite has a package; empty: no suite tells.
func (t *teller) release(p depot.Had) string {
	for _, at := range p.Places {
		if r := t.releases[at.Generation]; r != "" {
			return r
		}
	}
	return ""
}

// add takes what was not told yet: sources of two releases have their history in common.
func (t *teller) add(said []patching.Advisory) {
	for _, a := range said {
		if key := tellingOf(a); !t.told[key] {
			t.told[key], t.Advisories = true, append(t.Advisories, a)
		}
	}
}

func tellingOf(a patching.Advisory) string { return string(a.ID) + " " + a.Affected[0].Release }

// look is the keeper's, as long as there is time; nil: there is none left for a package that
// was not read before.
func (t *teller) look(ctx context.Context, p depot.Had, changelog bool) (*reading, error) {
	if t.until.IsZero() {
		return t.keeper.look(ctx, p, changelog)
	}
	if known := t.keeper.known(p, changelog); known != nil {
		return known, nil
	}
	brief, cancel := context.WithDeadline(ctx, t.until)
	defer cancel()
	if brief.Err() == nil {
		if r, err := t.keeper.look(brief, p, changelog); err == nil || brief.Err() == nil {
			return r, err
		}
	}
	t.Unread++
	return nil, ctx.Err()
}

// reading is what was read of a package. It is kept as a file that is named by the
// package's hash: what it says does not change.
type reading struct {
	Source  string `json:"source"`
	Version string `json:"version"` // of the source
	// Read: the changelog was looked for; Changelog is its text, packed by gzip, or empty.
	Read      bool   `json:"read,omitempty"`
	Changelog []byte `json:"changelog,omitempty"`
	// Broken is why the package cannot be read.
	Broken string `json:"broken,omitempty"`
}

func (r *reading) text() ([]byte, error) {
	if len(r.Changelog) == 0 {
		return nil, nil
	}
	plain, err := unpack.Reader(bytes.NewReader(r.Changelog), int64(len(r.Changelog)), unpack.Bounds{Size: maxKept, Ratio: 1 << 10})
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return io.ReadAll(plain)
}

// look returns what a package says, with its changelog if that is asked for. A package that
// is broken is no error: only what may be otherwise the next time is.
func (k *Keeper) look(ctx context.Context, p depot.Had, changelog bool) (*reading, error) {
	if known := k.known(p, changelog); known != nil {
		return known, nil
	}
	file := filepath.Join(k.Cache, p.SHA256)
	in, err := k.Depot.Open(p.File)
	if err != nil {
		return &reading{Broken: err.Error()}, nil
	}
	defer in.Close()
	slow, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r, err := readPackage(slow, in, p.Size, changelog)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		r.Broken = err.Error()
	}
	if slow.Err() != nil { // the machine may be less busy the next time
		return r, nil
	}
	err = durable.Replace(file, 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(r) })
	if err != nil {
		return nil, fmt.Errorf("keep what package %s %s says: %w", p.Name, p.Version, err)
	}
	return r, nil
}

// known is what was read of a package before; nil: not what is asked for.
func (k *Keeper) known(p depot.Had, changelog bool) *reading {
	r := kept(filepath.Join(k.Cache, p.SHA256))
	if r != nil && (r.Read || !changelog || r.Broken != "") {
		return r
	}
	return nil
}

// kept returns what was read before; nil: nothing that can be used.
func kept(file string) *reading {
	text, err := unpack.ReadFile(file, 2*maxKept)
	var r reading
	if err != nil || json.Unmarshal(text, &r) != nil {
		return nil
	}
	return &r
}

func readPackage(ctx context.Context, in io.Reader, size int64, changelog bool) (*reading, error) {
	r := &reading{}
	p, err := deb.Open(ctx, in, size)
	if err != nil {
		return r, err
	}
	r.Source, r.Version = p.Source, p.SourceVersion
	if !changelog {
		return r, nil
	}
	text, err := p.Changelog()
	if r.Read = true; errors.Is(err, deb.ErrNoChangelog) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err = w.Write(text); err == nil {
		err = w.Close()
	}
	r.Changelog = packed.Bytes()
	return r, err
}

// forget removes what was read of packages that no snapshot has any more.
func (k *Keeper) forget() error {
	needed := map[string]bool{}
	for _, id := range k.Depot.Snapshots() {
		if s, ok := k.Depot.Snapshot(id); ok {
			for _, p := range s.Packages {
				needed[p.SHA256] = true
			}
		}
	}
	files, err := os.ReadDir(k.Cache)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		if !needed[f.Name()] { // half written ones too
			os.Remove(filepath.Join(k.Cache, f.Name()))
		}
	}
	return err
}
