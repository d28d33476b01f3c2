package depot

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/patchcycle/patchcycle/edge/blobs"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/disk"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/internal/unpack"
)

// Generation is one signed index of a suite with the package indexes that it
// names, as far as they are mirrored. It was whole when it was accepted.
type Generation struct {
	ID         string    `json:"id"` // sixteen hexadecimal digits
	Repository string    `json:"repository"`
	Suite      string    `json:"suite"`
	Release    File      `json:"release"`
	Date       time.Time `json:"date"`
	ValidUntil time.Time `json:"validUntil,omitzero"`
	// Accepted is when the dates were judged.
	Accepted time.Time `json:"accepted"`
	Indexes  []Index   `json:"indexes"`

	parse  sync.Mutex
	parsed *apt.Release // once it was needed
}

// Index is a Packages index as it was fetched.
type Index struct {
	Component    string `json:"component"`
	Architecture string `json:"architecture"`
	// Path is below dists/SUITE.
	Path string `json:"path"`
	File
}

func (g *Generation) key() suiteKey { return suiteKey{g.Repository, g.Suite} }

// identify names a generation by all that its content hangs on.
func (g *Generation) identify() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\n%s\n%s\n", g.Repository, g.Suite, g.Release.SHA256)
	for _, i := range g.Indexes {
		fmt.Fprintf(sum, "%s %s\n", i.Path, i.SHA256)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

func (g *Generation) hashes() []string {
	all := []string{g.Release.SHA256}
	for _, i := range g.Indexes {
		all = append(all, i.SHA256)
	}
	return all
}

// newestFirst orders the generations of a suite.
func newestFirst(a, b *Generation) int {
	return cmp.Or(b.Date.Compare(a.Date), b.Accepted.Compare(a.Accepted), strings.Compare(a.ID, b.ID))
}

// of returns a suite's generations, newest first.
func (d *Depot) of(key suiteKey) []*Generation {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []*Generation
	for _, g := range d.generations {
		if g.key() == key {
			all = append(all, g)
		}
	}
	return all
}

// head returns the newest generation of a suite; nil: there is none yet.
func (d *Depot) head(key suiteKey) *Generation {
	if all := d.of(key); len(all) > 0 {
		return all[0]
	}
	return nil
}

// refresh asks the archive for a suite's index, unless it did so a moment ago,
// and accepts it if everything about it is right. What was accepted before stays
// until then, and after a refusal.
func (d *Depot) refresh(ctx context.Context, r *Repository, suite string) error {
	key := suiteKey{r.Name, suite}
	d.mu.Lock()
	last := d.asked[key]
	d.mu.Unlock()
	life := cmp.Or(r.Refresh, d.opts.Refresh)
	if last.err != nil { // a fleet that asks must not wait for a dead archive one by one
		life = min(life, 15*time.Second)
	}
	if age := d.opts.Now().Sub(last.at); age >= 0 && age < life {
		return last.err
	}
	return d.once(ctx, "refresh "+r.Name+" "+suite, func(ctx context.Context) error {
		err := d.accept(ctx, r, suite)
		if err != nil {
			err = fmt.Errorf("index of %s %s: %w", r.Name, suite, err)
			d.log.Warn("an index was not accepted; the last good one stays", zap.Error(err))
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.asked[key] = answer{at: d.opts.Now(), err: err}
		return err
	})
}

func (d *Depot) accept(ctx context.Context, r *Repository, suite string) error {
	text, err := d.fetchRelease(ctx, r, suite)
	if err != nil {
		return err
	}
	now := d.opts.Now().UTC()
	release, err := r.Keys.Verify(text, now)
	if err != nil {
		return err
	}
	if err := release.Judge(suite, now); err != nil {
		return err
	}
	if last := d.head(suiteKey{r.Name, suite}); last != nil && release.Date.Before(last.Date) {
		return fmt.Errorf("it went back in time: its date is %s, and one of %s was accepted before", apt.Stamp(release.Date), apt.Stamp(last.Date))
	}
	sum := sha256.Sum256(text)
	g := &Generation{
		Repository: r.Name, Suite: suite, Release: File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))},
		Date: release.Date, ValidUntil: release.ValidUntil, Accepted: now,
	}
	unpinRelease := d.blobs.Pin(g.Release.SHA256)
	defer unpinRelease()
	if !d.blobs.Has(g.Release) { // its time on the disk is when it was new, and apt asks for that
		if err := d.blobs.Put(g.Release, bytes.NewReader(text)); err != nil {
			return err
		}
	}
	unpin, err := d.fetchIndexes(ctx, r, release, g)
	defer unpin()
	if err != nil {
		return err
	}
	return d.keep(g)
}

// fetchIndexes completes a generation. Its indexes stay until unpin is called.
func (d *Depot) fetchIndexes(ctx context.Context, r *Repository, release *apt.Release, g *Generation) (unpin func(), err error) {
	var pins []func()
	unpin = func() {
		for _, p := range pins {
			p()
		}
	}
	for _, component := range r.Components {
		for _, arch := range r.Architectures {
			index, pin, err := d.fetchIndex(ctx, r, g.Suite, release, component, arch)
			pins = append(pins, pin)
			if err != nil {
				return unpin, err
			}
			g.Indexes = append(g.Indexes, index)
		}
	}
	return unpin, nil
}

func (d *Depot) fetchRelease(ctx context.Context, r *Repository, suite string) ([]byte, error) {
	body, err := d.upstream.open(ctx, r.URL, "dists/"+suite+"/InRelease")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	text, err := io.ReadAll(io.LimitReader(body, maxRelease+1))
	if err == nil && len(text) > maxRelease {
		err = fmt.Errorf("InRelease has more than %d bytes", maxRelease)
	}
	return text, err
}

// packings are the forms of an index that can be read, the smallest first, as
// apt prefers them too.
var packings = []string{".xz", ".gz", ""}

// fetchIndex fetches the Packages index of a component in the first form that
// the archive has, and reads it: an index that cannot be read is not accepted.
func (d *Depot) fetchIndex(ctx context.Context, r *Repository, suite string, release *apt.Release, component, arch string) (Index, func(), error) {
	plain := component + "/binary-" + arch + "/Packages"
	why := fmt.Errorf("InRelease names no SHA256 of %s in a form that can be read (%s)", plain, strings.Join(packings, ", "))
	for _, packing := range packings {
		file, ok := release.File(plain + packing)
		if !ok {
			continue
		}
		index := Index{Component: component, Architecture: arch, Path: plain + packing, File: file}
		unpin := d.blobs.Pin(file.SHA256)
		if why = d.fetch(ctx, r, file, maxPacked, release.Paths(suite, index.Path)...); why == nil {
			expanded, _ := release.File(plain)
			if _, err := d.catalogues.get(d.blobs, index, expanded); err != nil {
				return index, unpin, fmt.Errorf("%s: %w", index.Path, err)
			}
			return index, unpin, nil
		}
		unpin()
		if !errors.Is(why, errGone) {
			break
		}
	}
	return Index{}, func() {}, why
}

// keep makes a generation durable and the newest of its suite.
func (d *Depot) keep(g *Generation) error {
	g.ID = g.identify()
	if slices.ContainsFunc(d.of(g.key()), func(other *Generation) bool { return other.ID == g.ID }) {
		return nil
	}
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if err := d.write(d.generationFile(g), text); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.generations = append(d.generations, g)
	slices.SortFunc(d.generations, newestFirst)
	d.catalogues.fit(searched(d.generations))
	d.log.Info("accepted an index", zap.String("repository", g.Repository), zap.String("suite", g.Suite), zap.Time("date", g.Date), zap.String("generation", g.ID))
	return nil
}

func (d *Depot) generationFile(g *Generation) string {
	return filepath.Join(d.opts.Dir, "generations", g.ID+".json")
}

func (d *Depot) write(file string, text []byte) error {
	err := durable.Replace(file, 0o600, func(w io.Writer) error { _, err := w.Write(text); return err })
	if disk.FullHere(err) {
		return &blobs.FullError{Dir: d.opts.Dir}
	}
	return err
}

// load reads generations and snapshots. What is unreadable is an error: a lost
// snapshot must not look like one that never was.
func (d *Depot) load() error {
	err := eachFile(filepath.Join(d.opts.Dir, "generations"), func(text []byte) error {
		g := &Generation{}
		if err := json.Unmarshal(text, g); err != nil {
			return err
		}
		// One that a lost key signed must not keep better ones out by its date.
		if err := d.trust(g); err != nil {
			d.log.Warn("an index that was accepted before is no longer used", zap.String("generation", g.ID), zap.Error(err))
			return nil
		}
		d.generations = append(d.generations, g)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(d.generations, newestFirst)
	d.catalogues.fit(searched(d.generations))
	return eachFile(filepath.Join(d.opts.Dir, "snapshots"), func(text []byte) error {
		s, err := ReadSnapshot(text)
		if err == nil {
			d.snapshots[s.ID] = s
		}
		return err
	})
}

// depthSearched is in how many of a suite's newest generations a file is searched.
const depthSearched = 2

// searched counts the indexes that a search for a file may come by, of
// generations by age.
func searched(all []*Generation) (n int) {
	deep := map[suiteKey]int{}
	for _, g := range all {
		if deep[g.key()]++; deep[g.key()] <= depthSearched {
			n += len(g.Indexes)
		}
	}
	return n
}

// trust checks a kept index again: its bytes, and its signature against the keys
// that count today, as of when it was accepted.
func (d *Depot) trust(g *Generation) error {
	r, ok := d.repository(g.Repository)
	if !ok {
		return fmt.Errorf("repository %q is not in the list of repositories", g.Repository)
	}
	text, err := d.blobs.Read(g.Release)
	if err != nil {
		return err
	}
	if _, err := r.Keys.Verify(text, g.Accepted); err != nil {
		return err
	}
	for _, i := range g.Indexes {
		if !d.blobs.Has(i.File) {
			return fmt.Errorf("its %s is lost or was changed", i.Path)
		}
	}
	return nil
}

// eachFile reads the files of a folder, and removes those that were half written
// when the power went.
func eachFile(dir string, take func(text []byte) error) error {
	all, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range all {
		file := filepath.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") {
			os.Remove(file)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := take(text); err != nil {
			return fmt.Errorf("%s: %w: restore it from a backup, or remove it if no cycle needs it", file, err)
		}
	}
	return nil
}

// catalogues remembers the indexes that were read last.
type catalogues struct {
	mu    sync.Mutex
	known map[string]*catalogue
	order []string // by use, the oldest first
	// busy are all that a search for a file may come by. Anybody may ask for one
	// that no index names: that must not read them again each time.
	busy int
	// reading lets many who wait for an index share one reading of it, and others
	// pass by.
	reading singleflight.Group
}

// spareCatalogues stay beside the busy ones: those of snapshots.
const spareCatalogues = 16

// fit makes room for what searches come by.
func (c *catalogues) fit(busy int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.busy = busy
}

// get reads an index. Its plain text must be what the release says of it, where
// it says something (a size of 0 is nothing).
func (c *catalogues) get(b *blobs.Store, index Index, plain File) (*catalogue, error) {
	if read, ok := c.have(index.SHA256); ok {
		return read, nil
	}
	read, err, _ := c.reading.Do(index.SHA256+" "+plain.SHA256, func() (any, error) { return readIndex(b, index, plain) })
	if err != nil {
		return nil, err
	}
	c.put(index.SHA256, read.(*catalogue))
	return read.(*catalogue), nil
}

func (c *catalogues) have(hash string) (*catalogue, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.Index(c.order, hash)
	if at < 0 {
		return nil, false
	}
	c.order = append(slices.Delete(c.order, at, at+1), hash)
	return c.known[hash], true
}

func (c *catalogues) put(hash string, read *catalogue) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[string]*catalogue{}
	}
	if c.known[hash] == nil {
		c.order = append(c.order, hash)
	}
	c.known[hash] = read
	for len(c.order) > c.busy+spareCatalogues {
		delete(c.known, c.order[0])
		c.order = c.order[1:]
	}
}

func readIndex(b *blobs.Store, index Index, plain File) (*catalogue, error) {
	f, err := b.Open(index.File)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := unpack.Reader(f, index.Size, unpackedBounds)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", index.Path, err)
	}
	defer text.Close()
	sum, count := sha256.New(), &counter{}
	read, err := readCatalogue(io.TeeReader(text, io.MultiWriter(sum, count)))
	if err != nil {
		return nil, err
	}
	if plain.SHA256 != "" && (plain.Size != count.n || plain.SHA256 != hex.EncodeToString(sum.Sum(nil))) {
		return nil, fmt.Errorf("unpacked, it is %w", blobs.ErrWrongBytes)
	}
	return read, nil
}

type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
