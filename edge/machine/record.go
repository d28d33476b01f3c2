package machine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/patching"
)

// record is a unit as it is written down before it is started.
type record struct {
	Unit    string           `json:"unit"`
	Order   patching.OrderID `json:"order"`
	Boot    string           `json:"boot"` // with which the unit goes
	Program string           `json:"program"`
	Args    []string         `json:"args"`
	Started time.Time        `json:"started"`
	Limit   time.Duration    `json:"limit"` // how long it is waited for
	// Seen: how it ended was told, or does not matter any more.
	Seen bool `json:"seen,omitempty"`
}

// covers reports whether the unit did all that is asked for now. The agent asks
// for what is left: after the unit's names may come fewer.
func (r record) covers(program string, args []string) bool {
	did, names := splitArgs(r.Args)
	does, wanted := splitArgs(args)
	if r.Program != program || !slices.Equal(did, does) {
		return false
	}
	return !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(names, w) })
}

// splitArgs parts options and names, which stand after --.
func splitArgs(args []string) (options, names []string) {
	if i := slices.Index(args, "--"); i >= 0 {
		return args[:i], args[i+1:]
	}
	return args, nil
}

// records is the folder of the units that were started, with what they said.
type records string

// kept is how many records stay, for people to read.
const kept = 64

// all returns the records, oldest first.
func (d records) all() ([]record, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, fmt.Errorf("look for earlier transactions: %w", err)
	}
	var all []record
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(string(d), e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read an earlier transaction: %w", err)
		}
		var r record
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("the record %s of an earlier transaction: %w; move it away when no unit of that name runs", e.Name(), err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b record) int {
		if c := a.Started.Compare(b.Started); c != 0 {
			return c
		}
		return strings.Compare(a.Unit, b.Unit)
	})
	return all, nil
}

// put keeps a record for good, and takes away the oldest that nobody waits for.
func (d records) put(r record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	err = durable.Replace(filepath.Join(string(d), r.Unit+".json"), 0o600, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("write down the transaction %s: %w", r.Unit, err)
	}
	all, err := d.all()
	if err != nil || len(all) <= kept {
		return err
	}
	for _, old := range all[:len(all)-kept] {
		if old.Seen {
			err = errors.Join(err, d.drop(old))
		}
	}
	return err
}

func (d records) drop(r record) error {
	for _, ending := range []string{".json", ".out"} {
		if err := os.Remove(filepath.Join(string(d), r.Unit+ending)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
