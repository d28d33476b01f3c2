package root

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/patchcycle/patchcycle/trust"
)

// KeyKind is a kind of key that the server signs with.
type KeyKind string

// The kinds.
const (
	DispatcherKey KeyKind = "dispatcher"
	LeaseKey      KeyKind = "lease"
)

func (f *Folder) nextKey(kind KeyKind) string { return f.path(string(kind) + ".next.key") }

// promote puts a next key in place of the one in force.
func (f *Folder) promote(kind KeyKind) error {
	if err := os.Rename(f.nextKey(kind), f.path(string(kind)+".key")); err != nil {
		return fmt.Errorf("put the new %s key in force: %w", kind, err)
	}
	return nil
}

// promoteNamed puts next keys in place that a root in force names, where it does not name
// those in place: the power may go between a root and its keys.
func (f *Folder) promoteNamed(r trust.Root) error {
	for kind, names := range map[KeyKind][]trust.PublicKey{DispatcherKey: r.DispatcherKeys, LeaseKey: r.LeaseKeys} {
		next, err := trust.LoadKey(f.nextKey(kind))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		}
		now, err := trust.LoadKey(f.path(string(kind) + ".key"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if named(names, next) && !named(names, now) {
			if err := f.promote(kind); err != nil {
				return err
			}
		}
	}
	return nil
}

// NextKey returns the public half of a key that can take the place of one in force,
// and makes it if there is none yet. It signs nothing before a trust root names it.
func (f *Folder) NextKey(kind KeyKind) (trust.PublicKey, error) {
	if kind != DispatcherKey && kind != LeaseKey {
		return nil, fmt.Errorf("%q is no kind of key, want %q or %q", kind, DispatcherKey, LeaseKey)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	k, err := trust.LoadOrCreateKey(f.nextKey(kind))
	if err != nil {
		return nil, err
	}
	return k.Public(), nil
}

// keysFor returns the keys to sign with under a root, and which of them are new.
func (f *Folder) keysFor(r trust.Root) (keys trust.Keys, promote []KeyKind, err error) {
	keys = f.held.Keys
	for _, k := range []struct {
		kind  KeyKind
		names []trust.PublicKey
		key   *trust.Key
	}{{DispatcherKey, r.DispatcherKeys, &keys.Dispatcher}, {LeaseKey, r.LeaseKeys, &keys.Lease}} {
		next, err := trust.LoadKey(f.nextKey(k.kind))
		switch {
		case err == nil && named(k.names, next):
			*k.key = next
			promote = append(promote, k.kind)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return keys, nil, err
		case !named(k.names, *k.key):
			return keys, nil, fmt.Errorf("the root names no %s key that this server has: make one first (patchcycle trust rotate %s)", k.kind, k.kind)
		}
	}
	return keys, promote, nil
}
