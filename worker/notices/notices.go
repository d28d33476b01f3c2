// Package notices tells people what concerns them: it gathers what was noticed, puts
// it on record, makes messages of it and sends them. What is told, to whom and when is
// decided in patching/notice.
package notices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/store"
)

// Source notices something that people should hear of. A part of the product that does
// hands one to [Keeper.Sources], and need not know who is told, or how.
type Source interface {
	// Name names the source in the log.
	Name() string
	// Notices returns what it notices now. It is asked each minute: the same fact has
	// to have the same id each time. An error leaves all as it was.
	Notices(ctx context.Context, now time.Time) (notice.Found, error)
}

// Record is what a keeper needs of the store.
type Record interface {
	gathered
	QueueNotices(ctx context.Context, found notice.Found, now time.Time) (added int, err error)
	Notices(ctx context.Context, after int64, limit int) ([]notice.Queued, error)
	ToldUpTo(ctx context.Context, recipient string, lane notice.Lane) (store.Told, error)
	SkipNotices(ctx context.Context, recipient string, lane notice.Lane, upto int64) error
	KeepDigest(ctx context.Context, d notice.Digest) error
	PendingDigests(ctx context.Context) ([]store.Outgoing, error)
	Digests(ctx context.Context, want store.DigestFilter) ([]store.Outgoing, error)
	BeginTry(ctx context.Context, id notice.DigestID, began time.Time) error
	EndTry(ctx context.Context, e store.TryEnd) error
	PruneNotices(ctx context.Context, before time.Time) error
	Accounts(ctx context.Context, asOf time.Time) ([]patching.Account, error)
}

// Keeper tells people. Its methods may be called at the same time, but Round only by
// one.
type Keeper struct {
	Record Record
	// File says who is told what. Where there is none, nobody is told anything.
	File string
	// Fleet names the installation in messages.
	Fleet string
	// Sources notice things, beside what the keeper finds on record itself.
	Sources []Source
	// Lookout says what machines miss; nil: nobody is told of it.
	Lookout Lookout
	Now     func() time.Time
	Log     *zap.Logger

	mu      sync.Mutex
	config  *notify.Config // nil: there is no file
	problem error          // of the file as it is now; config is what it was before
	pruned  time.Time
	looked  time.Time // for silent machines
	ahead   sight     // for what machines miss
}

// Round reads the file again, gathers, and sends what is due.
func (k *Keeper) Round(ctx context.Context) error {
	now := k.Now()
	err := k.prune(ctx, now)
	config := k.reload()
	if config == nil {
		return err
	}
	err = errors.Join(err, k.gather(ctx, *config, now))
	recipients, wrong := k.resolved(ctx, *config)
	if wrong != nil {
		return errors.Join(err, wrong)
	}
	return errors.Join(err, k.compose(ctx, recipients, now), k.deliver(ctx, recipients))
}

// life is how long notices and messages are kept.
const life = 90 * 24 * time.Hour

// pruneEvery is how often old ones are forgotten.
const pruneEvery = time.Hour

func (k *Keeper) prune(ctx context.Context, now time.Time) error {
	if now.Sub(k.pruned) < pruneEvery {
		return nil
	}
	err := k.Record.PruneNotices(ctx, now.Add(-life))
	if err == nil {
		k.pruned = now
	}
	return err
}

// reload reads the file. One with a mistake changes nothing, and one that is not there
// ends the telling.
func (k *Keeper) reload() *notify.Config {
	config, err := notify.Read(k.File)
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.config, k.problem = nil, nil
	case err != nil:
		if k.problem == nil || k.problem.Error() != err.Error() {
			k.Log.Error("notify.yaml has a mistake; what was in force before stays so", zap.Error(err))
		}
		k.problem = err
	default:
		k.config, k.problem = &config, nil
	}
	return k.config
}

// resolved gives recipients that name an account its roles and scope as they are now.
func (k *Keeper) resolved(ctx context.Context, config notify.Config) ([]notify.Recipient, error) {
	all, err := k.Record.Accounts(ctx, time.Time{})
	if err != nil {
		return nil, err
	}
	accounts := make(map[patching.AccountName]patching.Account, len(all))
	for _, a := range all {
		accounts[a.Name] = a
	}
	out := make([]notify.Recipient, len(config.Recipients))
	for i, r := range config.Recipients {
		if r.Account != "" {
			r.Recipient = r.As(accounts[r.Account]) // of one that is not there: nothing
		}
		out[i] = r
	}
	return out, nil
}

// What [Keeper.Test] may answer besides that a message could not be sent.
var (
	ErrNotConfigured = errors.New("nobody is told anything: there is no notify.yaml that can be read")
	ErrNoRecipient   = errors.New("no recipient has that name")
)

// Test sends a message to a recipient now. It is on record like any other, and not
// tried again.
func (k *Keeper) Test(ctx context.Context, name string) error {
	config := k.reload()
	if config == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.problem != nil {
			return fmt.Errorf("%w: %w", ErrNotConfigured, k.problem)
		}
		return ErrNotConfigured
	}
	r, ok := config.Find(name)
	if !ok {
		return ErrNoRecipient
	}
	now := k.Now()
	c := notice.Compose(r.Recipient, notice.Tests, 0)
	c.Add(notice.Queued{Seq: 1, Recorded: now, Notice: notice.Notice{
		ID: "test", Kind: notice.Test, Severity: notice.Routine, At: now,
		Words: "Somebody asked for this message to see whether it arrives. It did.",
	}})
	d := c.Digest(k.Fleet, now)
	if err := k.Record.KeepDigest(ctx, d); err != nil {
		return err
	}
	return k.send(ctx, store.Outgoing{Digest: d}, r.Channel)
}
