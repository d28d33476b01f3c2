package root

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/trust"
)

// Authority is what the server signs with: the trust root in force and the
// dispatcher's and lease keys that it names.
type Authority struct {
	Root     trust.Root
	Envelope []byte // of Root, as machines pin it
	Keys     trust.Keys
}

// Folder keeps a server's authority: keys, the trust root in force and those before
// it. Its methods may be called by many at a time.
type Folder struct {
	dir string
	// epoch is the store's: orders wait until the trust root has followed it.
	epoch int64

	mu   sync.Mutex
	held Authority
}

// rootName is the trust root's file beside the keys, pastRoots the folder of all
// that were in force: a machine that was away takes one after the other.
const (
	rootName  = "root.json"
	pastRoots = "roots"
)

// OpenFolder reads keys and trust root of a fleet from a folder, and makes what is
// missing. An epoch later than the root's begins that epoch: where the root key lies
// here, a next version of the root is signed, which machines accept by the key they
// pinned. Where people keep it elsewhere nothing is ordered until they have signed.
func OpenFolder(dir, fleet string, epoch int64) (*Folder, error) {
	f := &Folder{dir: dir, epoch: max(1, epoch)}
	envelope, err := os.ReadFile(f.path(rootName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, f.first(fleet)
	case err != nil:
		return nil, fmt.Errorf("read the trust root: %w", err)
	}
	// From here on no key is made: machines believe those that the root names.
	pinned, err := trust.Pin(envelope, "")
	if err != nil {
		return nil, fmt.Errorf("trust root %s: %w: restore the folder from a backup", f.path(rootName), err)
	}
	if pinned.Fleet != fleet {
		return nil, fmt.Errorf("trust root %s is of fleet %q, not %q: give the folder of this fleet", f.path(rootName), pinned.Fleet, fleet)
	}
	f.held = Authority{Root: pinned.Root, Envelope: envelope}
	if err := f.promoteNamed(pinned.Root); err != nil {
		return nil, err
	}
	if f.held.Keys, err = f.keys(pinned.Root); err != nil {
		return nil, err
	}
	if f.epoch > f.held.Root.Epoch && f.holdsRoot() {
		next := f.held.Root.Bump(f.epoch)
		return f, f.keep(next, next.Seal(f.held.Keys.Root))
	}
	return f, nil
}

// first makes the authority of a new fleet.
func (f *Folder) first(fleet string) error {
	keys, err := trust.LoadOrCreateKeys(f.dir)
	if err != nil {
		return err
	}
	f.held.Keys = keys
	root := trust.NewRoot(fleet, keys)
	root.Epoch = f.epoch
	return f.keep(root, root.Seal(keys.Root))
}

// keys reads those that a root names. The root key may be elsewhere.
func (f *Folder) keys(r trust.Root) (trust.Keys, error) {
	keys, err := trust.LoadKeys(f.dir)
	if err != nil {
		return trust.Keys{}, fmt.Errorf("%w: restore the folder %s from a backup, for machines believe no other key", err, f.dir)
	}
	if err := (Authority{Root: r, Envelope: []byte{0}, Keys: keys}).validate(); err != nil {
		return trust.Keys{}, fmt.Errorf("%s: %w: restore the folder from a backup", f.dir, err)
	}
	return keys, nil
}

func (f *Folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *Folder) holdsRoot() bool { return named(f.held.Root.RootKeys, f.held.Keys.Root) }

// Authority returns what is in force.
func (f *Folder) Authority() Authority {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held
}

// Behind says why nothing may be ordered; nil: it may.
func (f *Folder) Behind() error {
	if a := f.Authority(); a.Root.Epoch < f.epoch {
		return fmt.Errorf("the trust root is of epoch %d and the record of epoch %d: nothing is ordered until the holders of the root keys have signed a root of that epoch (patchcycle trust draft --epoch %d, then sign and publish)", a.Root.Epoch, f.epoch, f.epoch)
	}
	return nil
}

// Adopt puts a newer trust root in force, by the rules of the machines, and if the
// server has the keys that it names: those in hand, or new ones of [Folder.NextKey].
func (f *Folder) Adopt(envelope []byte) (Authority, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	next, err := trust.Pinned{Root: f.held.Root, Envelope: f.held.Envelope}.Accept(envelope)
	if err != nil {
		return f.held, err
	}
	if next.Version == f.held.Root.Version {
		return f.held, nil // again
	}
	if next.Epoch > f.epoch {
		return f.held, fmt.Errorf("the root is of epoch %d and the record of epoch %d: begin the epoch first (patchcycle engine rebuild), so that what machines drop is ordered again", next.Epoch, f.epoch)
	}
	keys, promote, err := f.keysFor(next.Root)
	if err != nil {
		return f.held, err
	}
	// The root first: after it, who starts here again puts its keys in place. A key in
	// place that no root names yet would stop the server, and the one before it be lost.
	if err := f.keep(next.Root, envelope); err != nil {
		return f.held, err
	}
	f.held.Keys = keys
	for _, kind := range promote {
		if err := f.promote(kind); err != nil {
			return f.held, err
		}
	}
	return f.held, nil
}

// keep puts a root in force that was judged. The caller holds mu, or has f alone.
func (f *Folder) keep(r trust.Root, envelope []byte) error {
	write := func(w io.Writer) error {
		_, err := w.Write(envelope)
		return err
	}
	if err := os.MkdirAll(f.path(pastRoots), 0o700); err != nil {
		return fmt.Errorf("keep the trust root: %w", err)
	}
	for _, name := range []string{f.past(r.Version), f.path(rootName)} {
		if err := durable.Replace(name, 0o600, write); err != nil {
			return fmt.Errorf("keep the trust root: %w", err)
		}
	}
	f.held.Root, f.held.Envelope = r, envelope
	return nil
}

func (f *Folder) past(version int64) string {
	return filepath.Join(f.dir, pastRoots, strconv.FormatInt(version, 10)+".json")
}

// maxRoots bounds how many roots an answer carries: a machine that is further behind
// is told of the rest by the next.
const maxRoots = 16

// Between returns the roots that were in force between two versions, oldest first: a
// machine that was away takes one after the other, for the keys that sign may have
// changed in each. Those that were not kept are left out.
func (f *Folder) Between(version, now int64) [][]byte {
	var all [][]byte
	for v := version + 1; v < now && len(all) < maxRoots; v++ {
		if envelope, err := os.ReadFile(f.past(v)); err == nil {
			all = append(all, envelope)
		}
	}
	return all
}

// validate finds keys that machines would not believe.
func (a Authority) validate() error {
	if a.Root.Fleet == "" || len(a.Envelope) == 0 {
		return errors.New("the trust root is missing")
	}
	if !named(a.Root.DispatcherKeys, a.Keys.Dispatcher) || !named(a.Root.LeaseKeys, a.Keys.Lease) {
		return errors.New("the trust root does not name the dispatcher's and the lease key that are here: every machine would refuse what they sign")
	}
	return nil
}

func named(keys []trust.PublicKey, k trust.Key) bool {
	for _, p := range keys {
		if !k.Zero() && p.ID() == k.Public().ID() {
			return true
		}
	}
	return false
}
