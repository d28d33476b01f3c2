package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Enrol asks the server to take a machine in, and returns who it is from then
// on. The same key may ask again after a failure. With a fingerprint the
// server's trust root must be the one that it names; without, whoever answers
// is believed. A machine whose state is pending waits for a person.
func Enrol(ctx context.Context, link uplink.Link, token string, key trust.Key, asset patching.Asset, host Host, fingerprint patching.Digest) (Identity, patching.DeviceState, error) {
	rules, err := host.Rules()
	facts := uplink.FactsOf(withRules(asset, rules, err))
	resp, err := link.Enrol(ctx, uplink.NewEnrolRequest(token, key.Private(), facts))
	if err != nil {
		return Identity{}, "", err
	}
	if resp.Device == "" {
		return Identity{}, "", errors.New("enrol: the server gave no device id")
	}
	if _, err := trust.Pin(resp.Root, fingerprint); err != nil {
		return Identity{}, "", fmt.Errorf("enrol: %w", err)
	}
	return Identity{Device: resp.Device, Key: key.Private(), Root: resp.Root}, resp.State, nil
}

// Home is the folder in which a resident agent keeps its key, who it is, its
// journal and its bundles.
type Home string

type identityFile struct {
	Device patching.DeviceID `json:"device"`
	Server string            `json:"server"`
	Root   []byte            `json:"root"`
}

// Key returns the machine's key, made on it if there is none yet. It never
// leaves the machine.
func (h Home) Key() (trust.Key, error) {
	if err := os.MkdirAll(string(h), 0o700); err != nil {
		return trust.Key{}, fmt.Errorf("the agent's folder: %w", err)
	}
	return trust.LoadOrCreateKey(filepath.Join(string(h), "device.key"))
}

// Keep writes down who the machine is and which server it belongs to. A
// machine that belongs to one already is not given to another.
func (h Home) Keep(id Identity, server string) error {
	before, _, err := h.Identity()
	if err == nil && before.Device != id.Device {
		return fmt.Errorf("this machine is enrolled as %s already: remove %s to enrol it anew", before.Device, h)
	}
	text, err := json.MarshalIndent(identityFile{id.Device, server, id.Root}, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(string(h), "identity.json"), append(text, '\n')); err != nil {
		return fmt.Errorf("keep the identity: %w", err)
	}
	return nil
}

// ErrNotEnrolled is returned for a machine that nobody enrolled.
var ErrNotEnrolled = errors.New("this machine is not enrolled: run patchcycle-agent enrol with a token of your server")

// Identity returns who the machine is and its server's address.
func (h Home) Identity() (id Identity, server string, err error) {
	text, err := os.ReadFile(filepath.Join(string(h), "identity.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return id, "", ErrNotEnrolled
	}
	if err != nil {
		return id, "", fmt.Errorf("identity: %w", err)
	}
	var file identityFile
	if err := json.Unmarshal(text, &file); err != nil {
		return id, "", fmt.Errorf("identity: %w", err)
	}
	key, err := h.Key()
	if err != nil {
		return id, "", err
	}
	return Identity{Device: file.Device, Key: key.Private(), Root: file.Root}, file.Server, nil
}

// Ledger opens the machine's journal.
func (h Home) Ledger() (*Ledger, error) { return OpenLedger(h.journal()) }

func (h Home) journal() string { return filepath.Join(string(h), "journal") }

// Shelf returns where bundles are kept.
func (h Home) Shelf() Folder { return Folder(filepath.Join(string(h), "bundles")) }
