package backups

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// hook is any other tool: a program on the server that knows of backups prints
// what it knows.
type hook struct{}

// HookFormat names the shape of what a hook prints.
const HookFormat = "patchcycle backups v1"

// hookOutput is what a hook prints. Proof is "restored" where a restore of that
// backup was tried and went well, "checked" where its data were read and compared
// with their checksums; without it the backup is there, and nothing is known of it.
type hookOutput struct {
	Format  string `json:"format"`
	Backups []struct {
		Host  string               `json:"host"`
		At    time.Time            `json:"at"`
		Proof patching.BackupProof `json:"proof,omitempty"`
	} `json:"backups"`
}

func (hook) List(ctx context.Context, r Repository) ([]Snapshot, error) {
	out, err := command.RunWith(ctx, command.Options{Limit: listWithin, Environment: r.Environment, Interrupt: true}, r.Where, r.Args...)
	if err != nil {
		return nil, fmt.Errorf("ask the hook: %w", err)
	}
	return parseHook(out)
}

func parseHook(text []byte) ([]Snapshot, error) {
	var said hookOutput
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&said); err != nil {
		return nil, fmt.Errorf("what the hook printed: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("what the hook printed: something follows the JSON")
	}
	if said.Format != HookFormat {
		return nil, fmt.Errorf("what the hook printed: format %.40q, want %q", said.Format, HookFormat)
	}
	out := make([]Snapshot, 0, len(said.Backups))
	for n, b := range said.Backups {
		if b.Host == "" || b.At.IsZero() || !b.Proof.Valid() {
			return nil, fmt.Errorf("what the hook printed: backup %d: want host, at, and restored, checked or nothing as its proof", n+1)
		}
		out = append(out, Snapshot{ID: b.Host, Host: b.Host, At: b.At, Proof: b.Proof})
	}
	return out, nil
}

// Check has nothing to do: a hook says with each backup what is known of it.
func (hook) Check(context.Context, Repository) error { return nil }

// Restore is not for hooks either.
func (hook) Restore(context.Context, Repository, Snapshot, string) ([]byte, error) {
	return nil, errors.New("a hook says by itself what was restored")
}
