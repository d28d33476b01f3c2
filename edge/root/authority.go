package root

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

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

// rootName is the trust root's file beside the keys.
const rootName = "root.json"

// LoadAuthority reads keys and trust root of a fleet from a folder, and makes
// what is missing. An epoch later than the root's begins that epoch: a next
// version of the root is signed, which machines accept by the key they pinned.
func LoadAuthority(dir, fleet string, epoch int64) (Authority, error) {
	path := filepath.Join(dir, rootName)
	envelope, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		keys, err := trust.LoadOrCreateKeys(dir)
		if err != nil {
			return Authority{}, err
		}
		a := Authority{Keys: keys, Root: trust.NewRoot(fleet, keys)}
		a.Root.Epoch = max(1, epoch)
		return a, a.save(path)
	case err != nil:
		return Authority{}, fmt.Errorf("read the trust root: %w", err)
	}
	// From here on no key is made: machines believe those that the root names.
	pinned, err := trust.Pin(envelope, "")
	if err != nil {
		return Authority{}, fmt.Errorf("trust root %s: %w: restore the folder from a backup", path, err)
	}
	keys, err := trust.LoadKeys(dir)
	if err != nil {
		return Authority{}, fmt.Errorf("%w: restore the folder %s from a backup, for machines believe no other key", err, dir)
	}
	a := Authority{Keys: keys, Root: pinned.Root, Envelope: envelope}
	if err := a.validate(); err != nil {
		return Authority{}, fmt.Errorf("%s: %w: restore the folder from a backup", dir, err)
	}
	switch {
	case a.Root.Fleet != fleet:
		return Authority{}, fmt.Errorf("trust root %s is of fleet %q, not %q: give the folder of this fleet", path, a.Root.Fleet, fleet)
	case epoch > a.Root.Epoch:
		a.Root = a.Root.Bump(epoch)
		return a, a.save(path)
	}
	return a, nil
}

func (a *Authority) save(path string) error {
	a.Envelope = a.Root.Seal(a.Keys.Root)
	err := durable.Replace(path, 0o600, func(w io.Writer) error {
		_, err := w.Write(a.Envelope)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the trust root: %w", err)
	}
	return nil
}

// validate finds keys that machines would not believe.
func (a Authority) validate() error {
	if a.Root.Fleet == "" || len(a.Envelope) == 0 {
		return errors.New("the trust root is missing")
	}
	if !named(a.Root.DispatcherKeys, a.Keys.Dispatcher) || !named(a.Root.LeaseKeys, a.Keys.Lease) {
		return errors.New("the trust root does not name the dispatcher's and the lease key that are here: every machine would refuse what they sign")
	}
	if !named(a.Root.RootKeys, a.Keys.Root) {
		return errors.New("the trust root does not name the root key that is here: every machine would refuse the next trust root")
	}
	return nil
}

func named(keys []trust.PublicKey, k trust.Key) bool {
	for _, p := range keys {
		if p.ID() == k.Public().ID() {
			return true
		}
	}
	return false
}
