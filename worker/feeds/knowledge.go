package feeds

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// learned is what some editions say.
type learned struct {
	mu        sync.Mutex
	read      map[patching.FeedName]patching.FeedEdition // nil: nothing is remembered
	of        map[patching.FeedName]patching.FeedEdition // read, without those that are damaged
	damaged   map[patching.FeedName]error
	at        time.Time
	knowledge assess.Knowledge
}

// againAfter is how long what could be read is enough where a feed is damaged: that it cannot
// be read may pass, and to read all of them again takes long.
const againAfter = 10 * time.Minute

// Knowledge is what the editions of all feeds say, and how each feed stands with those.
// The same editions make the same knowledge; it must not be changed. A feed whose files
// are not what was kept says nothing, and its state tells why.
func (k *Keeper) Knowledge(ctx context.Context) (assess.Knowledge, []patching.FeedState, error) {
	l := &k.learned
	l.mu.Lock()
	defer l.mu.Unlock()
	if !k.remembers() {
		if err := k.learn(ctx); err != nil {
			return assess.Knowledge{}, nil, err
		}
	}
	states := k.states(l.of)
	for i, s := range states {
		if err := l.damaged[s.Name]; err != nil {
			states[i].Trouble = fmt.Sprintf("What was kept of it cannot be read: %s.", err)
		}
	}
	return l.knowledge, states, nil
}

// remembers reports whether what was learned last still holds.
func (k *Keeper) remembers() bool {
	l := &k.learned
	for name := range l.damaged { // one that is brought again is the same edition
		if !k.shelf.Damaged(name) || k.Now().Sub(l.at) >= againAfter {
			return false
		}
	}
	return l.read != nil && maps.EqualFunc(k.editions(), l.read, same)
}

func (k *Keeper) learn(ctx context.Context) error {
	if err := k.take(ctx, k.reading); err != nil {
		return err
	}
	defer func() { <-k.reading }()
	// What was known goes before what is known comes: both may not fit beside each other.
	l := &k.learned
	l.read, l.knowledge = nil, assess.Knowledge{}
	var files []advisories.File
	read, of, damaged := map[patching.FeedName]patching.FeedEdition{}, map[patching.FeedName]patching.FeedEdition{}, map[patching.FeedName]error{}
	for _, name := range k.shelf.Names() {
		some, edition, err := k.shelf.Read(ctx, name)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		read[name], of[name] = edition, edition
		if err != nil {
			of[name], damaged[name] = patching.FeedEdition{}, err
			k.Log.Error("a feed cannot be read any more", zap.String("feed", string(name)), zap.Error(err))
		}
		files = append(files, some...)
	}
	l.read, l.of, l.damaged, l.at, l.knowledge = read, of, damaged, k.Now(), advisories.Learn(files)
	return nil
}

// same: an edition that came back after another has another time, and says the same.
func same(a, b patching.FeedEdition) bool { return a.Digest == b.Digest }
