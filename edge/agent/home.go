package agent

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Home is the folder in which a resident agent keeps its key, who it is, its
// journal and its bundles, and some room for the journal on a full disk.
type Home string

type identityFile struct {
	Device patching.DeviceID `json:"device"`
	Server string            `json:"server"`
	Root   []byte            `json:"root"`
	// Key addresses the device's key; empty: an older program wrote this.
	Key patching.Digest `json:"key,omitempty"`
	// Journal says that the machine has a journal: if there is none, it is lost.
	Journal bool `json:"journal,omitempty"`
}

// Loss is a home that cannot stay what it was: a file is lost or damaged. Nothing
// is sent from it. A key or identity comes back from a backup; an older journal
// would do harm, for the server takes a machine that counts its messages from an
// earlier number for a copy of it.
type Loss struct {
	File string
	// What happened to it, as a sentence's end.
	What string
	// Back: a copy from a backup helps.
	Back bool
}

// Error says the way out.
func (l *Loss) Error() string {
	const enrol = "enrol the machine again (patchcycle-agent enrol, with a token of your server): it becomes a new device"
	if l.Back {
		return fmt.Sprintf("%s %s: put it back from a backup of this machine, or %s", l.File, l.What, enrol)
	}
	return fmt.Sprintf("%s %s: %s. Put no older copy back: the server would take this machine for two", l.File, l.What, enrol)
}

// ErrNotEnrolled is returned for a machine that nobody enrolled.
var ErrNotEnrolled = errors.New("this machine is not enrolled: run patchcycle-agent enrol with a token of your server")

// Key returns the key to enrol with, made on the machine if there is none yet.
// It never leaves the machine.
func (h Home) Key() (trust.Key, error) {
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return trust.Key{}, fmt.Errorf("the agent's folder: %w", err)
	}
	return trust.LoadOrCreateKey(h.key())
}

// Keep writes down who the machine is and which server it belongs to. A
// machine that belongs to one already is not given to another.
func (h Home) Keep(id Identity, server string) error {
	before, err := h.readIdentity()
	if err == nil && before.Device != id.Device {
		return fmt.Errorf("this machine is enrolled as %s already: remove %s to enrol it anew", before.Device, h)
	}
	return h.writeIdentity(identityFile{
		Device: id.Device, Server: server, Root: id.Root, Key: keyOf(id), Journal: before.Journal,
	})
}

// Identity returns who the machine is and its server's address. Without the key
// that it was enrolled with it is nobody: the error is then a [*Loss].
func (h Home) Identity() (id Identity, server string, err error) {
	file, err := h.readIdentity()
	if err != nil {
		return id, "", err
	}
	key, err := h.ownKey(file)
	if err != nil {
		return id, "", err
	}
	return Identity{Device: file.Device, Key: key.Private(), Root: file.Root}, file.Server, nil
}

// Server returns the address of the server that the machine was enrolled with. It
// needs no key: who only carries has none.
func (h Home) Server() (string, error) {
	file, err := h.readIdentity()
	return file.Server, err
}

// Running reports whether an agent is at work with this home.
func (h Home) Running() bool { return fileLocked(h.lock()) }

// Ledger opens the machine's journal. It is made if the machine never had one;
// one that is lost or damaged is a [*Loss]: who counts on from nothing has forked.
func (h Home) Ledger() (*Ledger, error) {
	file, err := h.readIdentity()
	if err != nil {
		return nil, err
	}
	lock, err := lockFile(h.lock())
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", h.journal(), err)
	}
	l, err := h.openJournal(file, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	l.reserve.keep()
	if file.Journal && file.Key != "" {
		return l, nil
	}
	// Before any message is sent: from here on the journal is missed.
	id, _, err := h.Identity()
	if err == nil {
		file.Key, file.Journal = keyOf(id), true
		err = h.reserve().roomFor(func() error { return h.writeIdentity(file) })
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// openJournal opens the journal whose lock is held.
func (h Home) openJournal(file identityFile, lock *os.File) (*Ledger, error) {
	_, err := h.lastState(file)
	if errors.Is(err, fs.ErrNotExist) {
		// Whole at once: one that holds nothing is always one that lost it.
		first := formatLine(string(file.Device), trust.Canonical(state{V: 1}))
		err = h.reserve().roomFor(func() error { return writeFile(h.journal(), first) })
	}
	if err != nil {
		return nil, err
	}
	l, err := openLocked(h.journal(), lock)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	l.reserve = h.reserve()
	if err := l.tidy(); err != nil {
		return nil, fmt.Errorf("journal: %w", errors.Join(err, l.file.Close()))
	}
	return l, nil
}

// lastState reads the device's last state from the journal without taking it.
// [fs.ErrNotExist] is a machine that never had one; without a device in file,
// the last state of any will do.
func (h Home) lastState(file identityFile) (last []byte, err error) {
	f, err := os.Open(h.journal())
	if errors.Is(err, fs.ErrNotExist) && (file.Journal || h.flushed() > 0) {
		return nil, &Loss{File: h.journal(), What: "is lost"}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// In this order: a ledger that is rewritten in between is a longer file here.
	flushed := h.flushed()
	_, _, err = scanLines(f, flushed, func(name string, _ int64, state []byte) {
		if file.Device == "" || name == string(file.Device) {
			last = append([]byte{}, state...)
		}
	})
	switch {
	case errors.Is(err, ErrDamaged):
		return nil, &Loss{File: h.journal(), What: "cannot be used, " + err.Error()}
	case err != nil:
		return nil, fmt.Errorf("read the agent's journal: %w", err)
	case last == nil:
		return nil, &Loss{File: h.journal(), What: "cannot be used, it holds no state of this device"}
	}
	return last, nil
}

// flushed is how much of the journal had reached the disk, 0 if that is not known.
func (h Home) flushed() int64 {
	f, err := os.Open(h.lock())
	if err != nil {
		return 0
	}
	defer f.Close()
	return readFlushed(f)
}

// ownKey returns the key that the machine was enrolled with. It makes none: the
// server knows nobody by a new one.
func (h Home) ownKey(file identityFile) (trust.Key, error) {
	loss := func(what string) error { return &Loss{File: h.key(), What: what, Back: true} }
	info, err := os.Stat(h.key())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return trust.Key{}, loss("is lost, and with it who this machine is")
	case err != nil:
		return trust.Key{}, fmt.Errorf("key: %w", err)
	}
	key, err := trust.LoadOrCreateKey(h.key())
	var denied *fs.PathError
	switch {
	case err == nil:
	case errors.As(err, &denied) || info.Mode().Perm()&0o077 != 0:
		return trust.Key{}, err // which says what to do
	default:
		return trust.Key{}, loss("is damaged and holds no key")
	}
	if file.Key != "" && key.Public().ID() != file.Key {
		return trust.Key{}, loss(fmt.Sprintf("is not the key of %s, which this machine was enrolled as", file.Device))
	}
	return key, nil
}

func keyOf(id Identity) patching.Digest {
	return trust.PublicKey(id.Key.Public().(ed25519.PublicKey)).ID()
}

func (h Home) readIdentity() (file identityFile, err error) {
	text, err := os.ReadFile(h.identity())
	if errors.Is(err, fs.ErrNotExist) {
		return file, ErrNotEnrolled
	}
	if err != nil {
		return file, fmt.Errorf("identity: %w", err)
	}
	if err := json.Unmarshal(text, &file); err != nil || file.Device == "" || len(file.Root) == 0 {
		return identityFile{}, &Loss{File: h.identity(), What: "is damaged and does not say who this machine is", Back: true}
	}
	return file, nil
}

func (h Home) writeIdentity(file identityFile) error {
	text, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(h.identity(), append(text, '\n')); err != nil {
		return fmt.Errorf("keep the identity: %w", err)
	}
	return nil
}

func (h Home) file(name string) string { return filepath.Join(string(h), name) }
func (h Home) key() string             { return h.file("device.key") }
func (h Home) identity() string        { return h.file("identity.json") }
func (h Home) journal() string         { return h.file("journal") }
func (h Home) lock() string            { return h.file("journal.lock") }
func (h Home) reserve() reserve        { return reserve(h.file("reserve")) }

// Shelf returns where bundles are kept.
func (h Home) Shelf() Folder { return Folder(h.file("bundles")) }
