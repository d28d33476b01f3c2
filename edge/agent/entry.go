package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Entry is a home that is about to be enrolled.
type Entry struct {
	// Key is what to enrol with.
	Key trust.Key
	// Before is whom the home belonged to; empty: nobody, or nobody knows.
	Before patching.DeviceID
	// Lost is why the machine cannot stay who it was: it gets a new key, and with
	// that it is a new device. nil: it keeps its key, if it has one.
	Lost *Loss
}

// Enter looks at a home before it is enrolled, for the first time or again, and
// leaves everything in it where it is. A machine that lost nothing asks with the
// key that it has, and the server knows it.
func (h Home) Enter() (Entry, error) {
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return Entry{}, fmt.Errorf("the agent's folder: %w", err)
	}
	file, err := h.readIdentity()
	var damaged *Loss
	if err != nil && !errors.As(err, &damaged) && !errors.Is(err, ErrNotEnrolled) {
		return Entry{}, err
	}
	e := Entry{Before: file.Device}
	if err := h.lost(file, damaged != nil); err != nil && !errors.As(err, &e.Lost) {
		return Entry{}, err
	}
	if e.Lost == nil {
		e.Key, err = h.Key()
		return e, err
	}
	// Said now: once the server has made the device it is late.
	lock, err := lockFile(h.lock())
	if err != nil {
		return Entry{}, fmt.Errorf("stop the agent first (systemctl stop patchcycle-agent): %w", err)
	}
	e.Key, err = trust.LoadOrCreateKey(h.nextKey())
	return e, errors.Join(err, lock.Close())
}

// lost is a [*Loss] if the machine cannot stay who it was; damaged says that what
// its identity said is gone.
func (h Home) lost(file identityFile, damaged bool) error {
	file.Journal = file.Journal || damaged
	_, err := h.lastState(file)
	neverRan := errors.Is(err, fs.ErrNotExist)
	if err != nil && !neverRan {
		return err
	}
	if file.Device == "" && !damaged {
		if _, err := os.Stat(h.nextKey()); err == nil { // [Home.Settle] was cut off
			return &Loss{File: h.identity(), What: "is lost", Back: true}
		}
		if neverRan {
			return nil
		}
	}
	_, err = h.ownKey(file)
	return err
}

// Settle makes the home that of the device that the server gave to the entry's
// key. What an older device left is put aside. A loss of power in between leaves
// a machine that is not enrolled; enrolling again goes on with the same key.
func (h Home) Settle(e Entry, id Identity, server string) error {
	if e.Lost == nil {
		return h.Keep(id, server)
	}
	lock, err := lockFile(h.lock())
	if err != nil {
		return fmt.Errorf("journal %s: %w", h.journal(), err)
	}
	err = h.replace(lock)
	if err == nil {
		err = h.writeIdentity(identityFile{Device: id.Device, Server: server, Root: id.Root, Key: keyOf(id)})
	}
	return errors.Join(err, lock.Close())
}

// replace puts the old device aside and the next key in its place.
func (h Home) replace(lock *os.File) error {
	if err := missingIsFine(os.Remove(h.identity())); err != nil {
		return err
	}
	if err := syncDir(string(h)); err != nil {
		return err
	}
	if err := forgetFlushed(lock); err != nil {
		return err
	}
	if err := missingIsFine(os.Rename(h.journal(), h.file("journal.old"))); err != nil {
		return err
	}
	if err := os.Rename(h.nextKey(), h.key()); err != nil {
		return err
	}
	return syncDir(string(h))
}

func missingIsFine(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// nextKey is where the key of a new device waits for the server's answer.
func (h Home) nextKey() string { return h.file("device.key.new") }
