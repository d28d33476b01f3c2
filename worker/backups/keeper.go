// Package backups keeps what is known of machines' backups up to date: it asks the
// places that a file lists, verifies what they hold, and puts on record what came of
// it. Integrations speak to the tools, the store remembers; neither knows the other.
package backups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/integrations/backups"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Record is what a keeper needs of the store.
type Record interface {
	PutBackups(ctx context.Context, source string, all []patching.Backup) error
	Backups(ctx context.Context, want store.BackupFilter) ([]patching.Backup, error)
	Assets(ctx context.Context, want store.AssetFilter) ([]patching.Asset, error)
	AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error)
}

// Keeper is safe for concurrent use.
type Keeper struct {
	// File lists the places. Where there is none, nobody is asked.
	File string
	// Cache is a folder for the tools' own use.
	Cache  string
	Record Record
	Now    func() time.Time
	Log    *zap.Logger

	mu      sync.Mutex
	config  []backups.Repository
	trouble string // why File is not in force
	states  map[string]*state
	work    sync.WaitGroup
}

// state is what is known of one place.
type state struct {
	running         bool
	known           bool // asked and verified were read from the record
	asked, verified time.Time
	// next is when it may be asked again without anybody's wish.
	next    time.Time
	trouble string
}

// State is how a place stands.
type State struct {
	backups.Repository
	Running         bool
	Asked, Verified time.Time
	// Trouble says why it is not known what it holds, or that it does not hold what
	// it should; empty: all is well.
	Trouble string
}

// ErrNoSource is returned for a name that the file does not have.
var ErrNoSource = errors.New("no place with backups has that name")

// Tend asks the places that are due. It does not wait for them.
func (k *Keeper) Tend(ctx context.Context) error {
	if err := k.reload(ctx); err != nil {
		return err
	}
	now := k.Now()
	for _, r := range k.repositories() {
		s, err := k.state(ctx, r)
		if err != nil {
			return err
		}
		k.mu.Lock()
		ask, verify, wait := due(s.asked, r.Every, now), due(s.verified, r.VerifyEvery, now), now.Before(s.next)
		k.mu.Unlock()
		if (ask || verify) && !wait {
			k.start(ctx, r, verify)
		}
	}
	return nil
}

// due reports whether something is to be done again. A clock that was set back says
// nothing of when it was done.
func due(last time.Time, every time.Duration, now time.Time) bool {
	return now.Sub(last) >= every || last.After(now.Add(time.Minute))
}

// Check asks a place and verifies it now, and waits until that is done, or the
// context is; it goes on then all the same.
func (k *Keeper) Check(ctx, life context.Context, name string) (State, error) {
	if err := k.reload(ctx); err != nil {
		return State{}, err
	}
	for _, r := range k.repositories() {
		if r.Name != name {
			continue
		}
		if _, err := k.state(ctx, r); err != nil {
			return State{}, err
		}
		done := k.start(life, r, true)
		select {
		case <-done:
		case <-ctx.Done():
		}
		return k.shape(r), nil
	}
	return State{}, fmt.Errorf("%s: %w", name, ErrNoSource)
}

// States lists the places, and why the file that lists them is not in force.
func (k *Keeper) States() (all []State, trouble string) {
	for _, r := range k.repositories() {
		all = append(all, k.shape(r))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return all, k.trouble
}

// Close waits for what is going on, which the context of [Keeper.Tend] ends.
func (k *Keeper) Close() { k.work.Wait() }

func (k *Keeper) shape(r backups.Repository) State {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := State{Repository: r}
	if s := k.states[r.Name]; s != nil {
		out.Running, out.Asked, out.Verified, out.Trouble = s.running, s.asked, s.verified, s.trouble
	}
	return out
}

func (k *Keeper) repositories() []backups.Repository {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.config)
}

// reload reads the file again. With a mistake in it what was in force stays.
func (k *Keeper) reload(ctx context.Context) error {
	config, err := backups.Read(k.File)
	if errors.Is(err, fs.ErrNotExist) && len(config) == 0 {
		err = nil
	}
	k.mu.Lock()
	if err != nil {
		if k.trouble != err.Error() {
			k.Log.Error("the list of backups is not in force as it stands", zap.Error(err))
		}
		k.trouble = err.Error()
		k.mu.Unlock()
		return nil
	}
	for i := range config {
		config[i].Cache = k.Cache
	}
	changed := k.states == nil || !slices.EqualFunc(config, k.config, func(a, b backups.Repository) bool { return a.Name == b.Name })
	k.mu.Unlock()
	if changed { // in force only then: else nobody would look again after a failure
		if err := k.forget(ctx, config); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.config, k.trouble = config, ""
	if k.states == nil {
		k.states = map[string]*state{}
	}
	return nil
}

// forget drops what places said that are not listed: nobody watches them any more.
func (k *Keeper) forget(ctx context.Context, listed []backups.Repository) error {
	rows, err := k.Record.Backups(ctx, store.BackupFilter{})
	if err != nil {
		return err
	}
	for _, b := range rows {
		if slices.ContainsFunc(listed, func(r backups.Repository) bool { return r.Name == b.Source }) {
			continue
		}
		if err := k.Record.PutBackups(ctx, b.Source, nil); err != nil {
			return err
		}
	}
	return nil
}

// state returns what is known of a place; after a start of the server that is what
// stands on record, so that a restart does not verify everything anew.
func (k *Keeper) state(ctx context.Context, r backups.Repository) (*state, error) {
	k.mu.Lock()
	s := k.states[r.Name]
	if s == nil {
		s = &state{}
		k.states[r.Name] = s
	}
	known := s.known
	k.mu.Unlock()
	if known {
		return s, nil
	}
	rows, err := k.Record.Backups(ctx, store.BackupFilter{Source: r.Name})
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range rows {
		if b.Asked.After(s.asked) {
			s.asked = b.Asked
		}
		if b.Checked.After(s.verified) {
			s.verified = b.Checked
		}
	}
	s.known = true
	return s, nil
}

// start asks a place, unless that is going on; done is closed at its end.
func (k *Keeper) start(ctx context.Context, r backups.Repository, verify bool) (done chan struct{}) {
	done = make(chan struct{})
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.states[r.Name]
	if s.running {
		close(done)
		return done
	}
	s.running = true
	k.work.Go(func() {
		defer close(done)
		trouble := k.ask(ctx, r, verify)
		if ctx.Err() != nil {
			trouble = s.trouble // the server stops: that says nothing
		}
		k.mu.Lock()
		was := s.trouble
		s.running, s.trouble = false, trouble
		k.mu.Unlock()
		if trouble != "" && trouble != was {
			k.Log.Warn("backups cannot be relied upon", zap.String("source", r.Name), zap.String("why", trouble))
			k.note(ctx, r.Name, trouble)
		}
	})
	return done
}

func (k *Keeper) note(ctx context.Context, source, words string) {
	_, err := k.Record.AppendAudit(ctx, patching.AuditEntry{At: k.Now().UTC(), Actor: "backups", Verb: "verify", Subject: source, Body: words})
	if err != nil && ctx.Err() == nil {
		k.Log.Warn("put trouble with backups on record", zap.Error(err))
	}
}
