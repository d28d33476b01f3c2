package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/worker/feeds"
)

// openFeeds opens the feeds that are kept. Nobody is asked before the server runs.
func (s *Server) openFeeds(ctx context.Context) (err error) {
	file := s.Config.Feeds
	if file == "" {
		file = filepath.Join(s.Config.Dir, "feeds.yaml")
	}
	host, _ := os.Hostname() // without it the folder alone tells servers apart
	s.feeds, err = feeds.Open(ctx, feeds.Options{
		Dir: filepath.Join(s.Config.Dir, "feeds"), File: file, Named: s.Config.Feeds != "", Record: s.Store,
		Fetch: fetch.Options{Agent: "patchcycle/" + s.Config.Version}, Seed: host + s.Config.Dir, Log: s.Config.Log.Named("feeds"),
	})
	return err
}

// checkFeeds names the feeds that somebody should look after, and who.
func (s *Server) checkFeeds(context.Context) wire.Check {
	const name = "feeds"
	if trouble := s.feeds.Trouble(); trouble != "" {
		return wire.Check{Name: name, Words: trouble, WayOut: "Mend the file: it is read again within a minute. docs/feeds.md has an example."}
	}
	states := s.feeds.States()
	var ill []string
	now := time.Now()
	for _, f := range states {
		words := f.Trouble
		switch {
		case words != "":
		case f.Edition.Digest == "":
			words = "it was never there"
		case f.Stale(now):
			words = "it is " + phrase.About(f.Age(now)) + " old"
		default:
			continue
		}
		owner := ""
		if f.Owner != "" {
			owner = " (" + f.Owner + ")"
		}
		ill = append(ill, fmt.Sprintf("%s%s: %s", f.Name, owner, strings.TrimSuffix(words, ".")))
	}
	if len(ill) > 0 {
		return wire.Check{Name: name, Words: strings.Join(ill, "; ") + ".", WayOut: "patchcycle feed show NAME"}
	}
	if len(states) == 0 {
		return wire.Check{Name: name, OK: true, Words: "No feeds of advisories are kept."}
	}
	return wire.Check{Name: name, OK: true, Words: fmt.Sprintf("%s: none is stale or was refused.", phrase.Count(len(states), "feed"))}
}
