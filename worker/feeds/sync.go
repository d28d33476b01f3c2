package feeds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/integrations/advisories/gather"
	"github.com/patchcycle/patchcycle/integrations/advisories/shelf"
	"github.com/patchcycle/patchcycle/integrations/advisories/sources"
	"github.com/patchcycle/patchcycle/patching"
)

// job is a feed that is being brought up to date.
type job struct {
	feed patching.FeedName
	// progress is guarded by the keeper's mu.
	progress patching.FeedProgress
	// done is closed when sync and err stand.
	done chan struct{}
	// recent: the last answer stands.
	recent bool
	sync   patching.FeedSync
	err    error
}

// start brings a feed up to date in the background. Who comes while that goes on joins,
// and who comes right after it gets what came of it.
func (k *Keeper) start(s sources.Source, by patching.AccountName) *job {
	k.mu.Lock()
	defer k.mu.Unlock()
	if j := k.jobs[s.Name]; j != nil {
		return j
	}
	j := &job{feed: s.Name, done: make(chan struct{})}
	if last := k.syncs[s.Name]; len(last) > 0 && last[0].Counts() && last[0].From == s.URL && k.recently(last[0].At) {
		j.sync, j.recent = last[0], true
		close(j.done)
		return j
	}
	if k.life.Err() != nil {
		j.err = errStops
		close(j.done)
		return j
	}
	k.jobs[s.Name] = j
	k.work.Go(func() {
		ctx, cancel := context.WithTimeoutCause(k.life, bringIn, fmt.Errorf("it took more than %s in all", bringIn))
		defer cancel()
		k.finish(ctx, j, k.bring(ctx, j, s, by))
	})
	return j
}

// recently: a time that has not come is none; the clock was set back since.
func (k *Keeper) recently(at time.Time) bool {
	ago := k.Now().Sub(at)
	return ago >= 0 && ago < k.Least
}

// bringIn is how long a feed may take: all pages of NVD without a key take half an hour.
const bringIn = 6 * time.Hour

var errStops = errors.New("the server stops")

// bring fetches a feed.
func (k *Keeper) bring(ctx context.Context, j *job, s sources.Source, by patching.AccountName) patching.FeedSync {
	sync := patching.FeedSync{Feed: s.Name, By: by, From: s.URL, Edition: k.shelf.Kept(s.Name).Edition}
	if err := k.take(ctx, k.slots); err != nil {
		return failed(sync, err)
	}
	defer func() { <-k.slots }()
	d, err := k.shelf.Draft(s.Name, true)
	if err != nil {
		return failed(sync, err)
	}
	defer d.Close()
	ask, err := s.Ask()
	if err != nil {
		return failed(sync, err)
	}
	k.mu.Lock()
	client := k.client
	k.mu.Unlock()
	v := client.Visit(ask)
	defer v.Close()
	if by != "" {
		v.Insist()
	}
	g := gather.Gatherer{Source: s, Visitor: v, Draft: d, Now: k.Now(), Tell: func(p patching.FeedProgress) {
		k.mu.Lock()
		defer k.mu.Unlock()
		j.progress = p
	}}
	if sync.Bytes, err = g.Gather(ctx); err != nil {
		return failed(sync, err)
	}
	return k.judge(ctx, d, s, sync)
}

// Import makes the files in a tar archive the edition of a feed. asked says of which, by
// whom and from where, and in Accepted why it may be worse than the one before. What came
// of it is in the answer; the error is about the call itself.
func (k *Keeper) Import(ctx context.Context, asked patching.FeedSync, files io.Reader) (patching.FeedSync, error) {
	if !asked.Feed.Valid() {
		return asked, fmt.Errorf("%q cannot name a feed: %s", asked.Feed, patching.FeedNameShape)
	}
	k.mu.Lock()
	if k.life.Err() != nil {
		k.mu.Unlock()
		return asked, errStops
	}
	if k.jobs[asked.Feed] != nil {
		k.mu.Unlock()
		return asked, patching.ErrFeedBusy
	}
	j := &job{feed: asked.Feed, done: make(chan struct{})}
	k.jobs[asked.Feed] = j
	k.work.Add(1)
	k.mu.Unlock()
	defer k.work.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	unhook := context.AfterFunc(k.life, cancel)
	defer unhook()
	k.finish(ctx, j, k.unpack(ctx, asked, files))
	return j.sync, j.err
}

func (k *Keeper) unpack(ctx context.Context, asked patching.FeedSync, files io.Reader) patching.FeedSync {
	sync := asked
	sync.Edition = k.shelf.Kept(asked.Feed).Edition
	d, err := k.shelf.Draft(asked.Feed, false)
	if err != nil {
		return failed(sync, err)
	}
	defer d.Close()
	if sync.Bytes, err = d.Unpack(files); err != nil {
		return failed(sync, err)
	}
	s := k.source(asked.Feed)
	return k.judge(ctx, d, s, sync)
}

// judge commits a draft, if it may be.
func (k *Keeper) judge(ctx context.Context, d *shelf.Draft, s sources.Source, sync patching.FeedSync) patching.FeedSync {
	if err := k.take(ctx, k.reading); err != nil {
		return failed(sync, err)
	}
	defer func() { <-k.reading }()
	judged, err := d.Commit(ctx, shelf.Terms{Now: k.Now(), Keys: s.Keys, Accept: sync.Accepted != ""})
	if err != nil {
		return failed(sync, err)
	}
	sync.Edition, sync.Result, sync.Why = judged.Kept.Edition, patching.FeedUnchanged, judged.Accepted
	if judged.New {
		sync.Result = patching.FeedNew
	}
	if judged.Accepted == "" {
		sync.Accepted = ""
	}
	return sync
}

func (k *Keeper) take(ctx context.Context, from chan struct{}) error {
	select {
	case from <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// failed says why, and tells what came and is no good from what did not come.
func failed(sync patching.FeedSync, err error) patching.FeedSync {
	var refused *shelf.Refused
	sync.Result, sync.Accepted = patching.FeedFailed, ""
	if errors.As(err, &refused) {
		sync.Result, sync.Why = patching.FeedRefused, refused.Why
	} else {
		sync.Why = err.Error() + "."
	}
	sync.Why = strings.ToValidUTF8(sync.Why, "?")
	if len(sync.Why) > maxWhy {
		sync.Why = strings.ToValidUTF8(sync.Why[:maxWhy], "") + "…"
	}
	return sync
}

// maxWhy bounds what a publisher can write into the record.
const maxWhy = 2000

// recordIn is how long what came of a sync may take to be put on record when the server
// stops.
const recordIn = 10 * time.Second

// finish puts on record what came of a job, and lets those go who wait for it.
func (k *Keeper) finish(ctx context.Context, j *job, sync patching.FeedSync) {
	stopped := k.life.Err() != nil && !sync.Counts()
	k.mu.Lock()
	before := k.syncs[j.feed]
	k.mu.Unlock()
	// Microseconds are what the record keeps; two syncs of a feed have two times.
	sync.At = k.Now().UTC().Truncate(time.Microsecond)
	if len(before) > 0 && !sync.At.After(before[0].At) {
		sync.At = before[0].At.Add(time.Microsecond)
	}
	if stopped {
		j.err = errStops // nobody refused anything
	} else {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordIn)
		j.err = k.Record.AddFeedSync(ctx, sync)
		cancel()
		k.tell(sync)
	}
	j.sync = sync
	k.mu.Lock()
	defer k.mu.Unlock()
	if !stopped {
		k.syncs[j.feed] = latest(sync, before)
	}
	delete(k.jobs, j.feed)
	close(j.done)
}

// latest are a new sync and, if it does not count, the newest before it that does.
func latest(sync patching.FeedSync, before []patching.FeedSync) []patching.FeedSync {
	all := []patching.FeedSync{sync}
	for _, b := range before {
		if !sync.Counts() && b.Counts() {
			return append(all, b)
		}
	}
	return all
}

func (k *Keeper) tell(sync patching.FeedSync) {
	fields := []zap.Field{zap.String("feed", string(sync.Feed)), zap.String("result", string(sync.Result)), zap.String("from", sync.From), zap.String("why", sync.Why)}
	if sync.Counts() {
		k.Log.Info("a feed was brought up to date", fields...)
		return
	}
	s := k.source(sync.Feed)
	k.Log.Warn("a feed was not brought up to date", append(fields, zap.String("owner", s.Owner))...)
}
