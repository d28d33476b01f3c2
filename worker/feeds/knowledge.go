package feeds

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// learned is what some editions say.
type learned struct {
	mu        sync.Mutex
	of        map[patching.FeedName]patching.FeedEdition // nil: nothing is remembered
	knowledge assess.Knowledge
}

// Knowledge is what the editions of all feeds say, and how each feed stands with those.
// The same editions make the same knowledge; it must not be changed. A feed whose files
// are not what was kept says nothing, and its state tells why.
func (k *Keeper) Knowledge(ctx context.Context) (assess.Knowledge, []patching.FeedState, error) {
	k.learned.mu.Lock()
	defer k.learned.mu.Unlock()
	if k.learned.of != nil && maps.EqualFunc(k.editions(), k.learned.of, same) {
		return k.learned.knowledge, k.states(k.learned.of), nil
	}
	if err := k.take(ctx, k.reading); err != nil {
		return assess.Knowledge{}, nil, err
	}
	defer func() { <-k.reading }()
	// What was known goes before what is known comes: both may not fit beside each other.
	k.learned.of, k.learned.knowledge = nil, assess.Knowledge{}
	var files []advisories.File
	of, damaged := map[patching.FeedName]patching.FeedEdition{}, map[patching.FeedName]error{}
	for _, name := range k.shelf.Names() {
		some, edition, err := k.shelf.Read(ctx, name)
		if ctx.Err() != nil {
			return assess.Knowledge{}, nil, context.Cause(ctx)
		}
		if err != nil {
			edition, damaged[name] = patching.FeedEdition{}, err
			k.Log.Error("a feed cannot be read any more", zap.String("feed", string(name)), zap.Error(err))
		}
		files, of[name] = append(files, some...), edition
	}
	known, states := advisories.Learn(files), k.states(of)
	for i, s := range states {
		if err := damaged[s.Name]; err != nil {
			states[i].Trouble = fmt.Sprintf("What was kept of it cannot be read: %s.", err)
		}
	}
	if len(damaged) == 0 {
		k.learned.of, k.learned.knowledge = of, known
	}
	return known, states, nil
}

// same: an edition that came back after another has another time, and says the same.
func same(a, b patching.FeedEdition) bool { return a.Digest == b.Digest }
