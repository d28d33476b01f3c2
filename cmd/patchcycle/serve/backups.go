package serve

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/worker/backups"
)

// tendBackups is how often it is looked whether a place with backups is due.
const tendBackups = 30 * time.Second

func (s *Server) openBackups(life context.Context) {
	s.backups = &backing{
		keeper: &backups.Keeper{
			File: filepath.Join(s.Config.Dir, "backups.yaml"), Cache: filepath.Join(s.Config.Dir, "backups"),
			Record: s.Store, Now: time.Now, Log: s.Config.Log.Named("backups"),
		},
		watch: activities.Backing{Store: s.Store}, life: life,
	}
}

// backing is the keeper of what is known of backups, as the API and notices see it.
type backing struct {
	keeper *backups.Keeper
	watch  activities.Backing
	life   context.Context //nolint:containedctx // of checks that go on when who asked has gone

	mu     sync.Mutex
	found  notice.Found
	looked time.Time
}

// Places implements the API's port.
func (b *backing) Places() (all []wire.BackupPlace, trouble string) {
	states, trouble := b.keeper.States()
	for _, s := range states {
		all = append(all, placeShape(s))
	}
	return all, trouble
}

func placeShape(s backups.State) wire.BackupPlace {
	return wire.BackupPlace{Name: s.Name, Tool: s.Tool, Running: s.Running, Asked: s.Asked, Verified: s.Verified, Trouble: s.Trouble}
}

// checkWaits bounds a check that somebody waits for: the API's own answer is due
// soon after.
const checkWaits = 20 * time.Second

// Check implements the API's port.
func (b *backing) Check(ctx context.Context, place string) (wire.BackupPlace, error) {
	ctx, cancel := context.WithTimeout(ctx, checkWaits)
	defer cancel()
	state, err := b.keeper.Check(ctx, b.life, place)
	if errors.Is(err, backups.ErrNoSource) {
		return wire.BackupPlace{}, fmt.Errorf("place %s: %w", place, store.ErrNotFound)
	}
	return placeShape(state), err
}

// Lacking implements the API's port.
func (b *backing) Lacking(ctx context.Context) ([]wire.Lacking, error) {
	all, err := b.watch.Lacking(ctx, time.Now())
	out := make([]wire.Lacking, len(all))
	for i, l := range all {
		out[i] = wire.Lacking{Policy: l.Policy, Asset: l.Asset.ID, Hostname: l.Asset.Hostname, Site: l.Asset.Site, Owner: l.Asset.Owner, Why: l.Why}
	}
	return out, err
}

// Name implements [notices.Source].
func (*backing) Name() string { return "backups" }

// watchBackups is how often all machines are looked at: backups grow old by days.
const watchBackups = 15 * time.Minute

// Notices implements [notices.Source].
func (b *backing) Notices(ctx context.Context, now time.Time) (notice.Found, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.looked) < watchBackups && !b.looked.After(now) {
		return b.found, nil
	}
	found := notice.Found{Whole: []notice.Kind{notice.BackupMissing, notice.BackupFailed}}
	lacking, err := b.watch.Lacking(ctx, now)
	if err != nil {
		return notice.Found{}, err
	}
	for _, l := range lacking {
		found.Notices = append(found.Notices, notice.Unbacked(l.Policy, l.Asset, l.Why, l.Verified, now))
	}
	states, _ := b.keeper.States()
	for _, s := range states {
		if s.Trouble != "" {
			found.Notices = append(found.Notices, notice.Unreliable(s.Name, s.Trouble, s.Asked))
		}
	}
	b.found, b.looked = found, now
	return found, nil
}

// checkBackups says in the doctor's words whether backups are known.
func (s *Server) checkBackups(ctx context.Context) wire.Check {
	const name = "backups"
	places, trouble := s.backups.Places()
	if trouble != "" {
		return wire.Check{Name: name, Words: trouble, WayOut: "Mend backups.yaml: it is read again within a minute. docs/backups.md has an example."}
	}
	var ill []string
	for _, p := range places {
		if p.Trouble != "" {
			ill = append(ill, p.Name+": "+strings.TrimSuffix(p.Trouble, "."))
		}
	}
	if len(ill) > 0 {
		return wire.Check{Name: name, Words: strings.Join(ill, "; ") + ".", WayOut: "patchcycle backup list"}
	}
	lacking, err := s.backups.Lacking(ctx)
	switch {
	case err != nil:
		return wire.Check{Name: name, Words: err.Error(), WayOut: "See the server's log."}
	case len(lacking) > 0:
		return wire.Check{
			Name: name, Words: phrase.Count(len(lacking), "machine") + " without the verified backup that the policy wants: not upgraded.",
			WayOut: "patchcycle backup list --lacking",
		}
	case len(places) == 0:
		return wire.Check{Name: name, OK: true, Words: "No backups are watched, and no policy asks for any."}
	}
	return wire.Check{Name: name, OK: true, Words: phrase.Count(len(places), "place") + " with backups: all is well."}
}
