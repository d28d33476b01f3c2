package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newFeed(e *env) *cobra.Command {
	return group("feed", "Look after the feeds of advisories that the server keeps",
		newFeedList(e), newFeedShow(e), newFeedSync(e), newFeedImport(e))
}

type feedListOptions struct{ json bool }

func newFeedList(e *env) *cobra.Command {
	var o feedListOptions
	c := &cobra.Command{
		Use: "list", Short: "List the feeds, how old they are and what is wrong with them", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	jsonFlag(c, &o.json)
	return c
}

func (o feedListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.Feeds(ctx)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, f := range all.Items {
		edition := wire.FeedEdition{}
		if f.Edition != nil {
			edition = *f.Edition
		}
		rows = append(rows, []string{string(f.Name), feedWords(f), edition.Revision, s.when(edition.Made), s.ago(f.Asked), recordWords(edition.Records), f.Owner})
	}
	if all.Trouble != "" {
		s.note("%s", all.Trouble)
	}
	s.list(rows, "There are no feeds: say where they come from in feeds.yaml in the data directory (docs/feeds.md), or bring one with \"patchcycle feed import NAME PATH\".",
		"FEED", "STATE", "REVISION", "MADE", "ASKED", "RECORDS", "OWNER")
	return nil
}

// feedWords says in a word or two how a feed stands.
func feedWords(f wire.Feed) string {
	switch {
	case f.Running != nil:
		return "running"
	case f.Edition == nil:
		return "never there"
	case f.Stale:
		return "stale"
	case f.Trouble != "":
		return "in trouble"
	}
	return "good"
}

func recordWords(records map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(records)) {
		one := strings.TrimSuffix(kind, "s")
		if stem, ok := strings.CutSuffix(kind, "ies"); ok {
			one = stem + "y"
		}
		parts = append(parts, phrase.Count(records[kind], one, kind))
	}
	return strings.Join(parts, ", ")
}

type feedShowOptions struct{ json bool }

func newFeedShow(e *env) *cobra.Command {
	var o feedShowOptions
	c := &cobra.Command{
		Use: "show NAME", Short: "Show a feed, and what came of it lately", Args: exactly(1), ValidArgsFunction: e.completeFeeds,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.FeedName(args[0]))
		},
	}
	jsonFlag(c, &o.json)
	return c
}

func (o feedShowOptions) run(ctx context.Context, s *session, name patching.FeedName) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	f, err := c.Feed(ctx, name)
	if err != nil || o.json {
		return orJSON(s, f, err)
	}
	s.fields("Feed", string(f.Name), "State", feedWords(f.Feed), "Trouble", f.Trouble, "From", cmp.Or(f.URL, "imports alone"), "Owner", f.Owner,
		"Asked for", s.ago(f.Asked), "Every", spanWords(f.Every), "Stale after", spanWords(f.StaleAfter))
	if e := f.Edition; e != nil {
		signed := "no"
		if e.Signed {
			signed = "yes, down to all of its parts"
		}
		s.fields("Revision", e.Revision, "Made", s.when(e.Made), "Came", s.when(e.Got), "Records", recordWords(e.Records), "Signed", signed, "Files", string(e.Digest))
	}
	var rows [][]string
	for _, sync := range f.Syncs {
		why := sync.Why
		if sync.Accepted != "" {
			why = fmt.Sprintf("%s Accepted: %s", why, sync.Accepted)
		}
		rows = append(rows, []string{s.when(sync.At), string(sync.Result), cmp.Or(string(sync.By), "the server"), phrase.Size(sync.Bytes), why})
	}
	if len(rows) > 0 {
		s.say("")
		s.table([]string{"AT", "RESULT", "BY", "CAME", "WHY"}, rows)
	}
	return nil
}

func spanWords(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return strings.TrimPrefix(phrase.About(time.Duration(seconds)*time.Second), "about ")
}

type feedSyncOptions struct{ json bool }

func newFeedSync(e *env) *cobra.Command {
	var o feedSyncOptions
	c := &cobra.Command{
		Use: "sync [NAME...]", Short: "Bring feeds up to date now", Args: cobra.ArbitraryArgs, ValidArgsFunction: e.completeFeeds,
		Long: `Bring feeds up to date now and wait for it; without a name all that have an address.
After a refusal or a failure the edition before stays, and the code is 1. Interrupted,
the server goes on by itself.`,
		Example: "patchcycle feed sync\npatchcycle feed sync kev epss",
		RunE: func(c *cobra.Command, args []string) error {
			var names []patching.FeedName
			for _, a := range args {
				names = append(names, patching.FeedName(a))
				if err := feedNamed(c, patching.FeedName(a)); err != nil {
					return err
				}
			}
			return o.run(c.Context(), e.session(c), names)
		},
	}
	jsonFlag(c, &o.json)
	return c
}

// feedNamed refuses what cannot name a feed.
func feedNamed(c *cobra.Command, name patching.FeedName) error {
	if !name.Valid() {
		return usage(c, "%q cannot name a feed: %s", name, patching.FeedNameShape)
	}
	return nil
}

// FeedSyncs is what "patchcycle feed sync --json" prints.
type FeedSyncs struct {
	Syncs []wire.FeedSync `json:"syncs"`
}

func (o feedSyncOptions) run(ctx context.Context, s *session, names []patching.FeedName) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	started, err := c.SyncFeeds(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range started.Recent {
		s.note("Feed %s was asked for within the last minute: this is what came of it.", name)
	}
	if err := s.awaitFeeds(ctx, c, started.Started); err != nil {
		return err
	}
	out := FeedSyncs{Syncs: []wire.FeedSync{}}
	bad := 0
	for _, name := range append(started.Started, started.Recent...) {
		f, err := c.Feed(ctx, name)
		if err != nil {
			return err
		}
		if len(f.Syncs) == 0 || slices.Contains(started.Started, name) && f.Syncs[0].At.Before(started.Since) {
			return Fail(ExitFailed, "Ask for it again.", "feed %s: the server was stopped before it had ended", name)
		}
		sync := f.Syncs[0]
		out.Syncs = append(out.Syncs, sync)
		if sync.Result == patching.FeedRefused || sync.Result == patching.FeedFailed {
			bad++
		}
		if !o.json {
			s.say("%s", syncWords(sync, editionBefore(f.Syncs)))
		}
	}
	if o.json {
		if err := s.json(out); err != nil {
			return err
		}
	}
	if len(out.Syncs) == 0 {
		return s.nothingAsked(ctx, c)
	}
	if bad > 0 {
		return &Failure{Code: ExitFailed, Words: phrase.Count(bad, "feed") + " refused or failed", Quiet: true}
	}
	return nil
}

// nothingAsked says why no feed was asked for: there is no list, or a mistake in it.
func (s *session) nothingAsked(ctx context.Context, c *client.Client) error {
	all, err := c.Feeds(ctx)
	if err != nil {
		return err
	}
	if all.Trouble != "" {
		return Fail(ExitFailed, "Mend the list (docs/feeds.md has an example), and ask again.", "%s", all.Trouble)
	}
	s.note("No feed has an address: write feeds.yaml in the server's data directory (docs/feeds.md).")
	return nil
}

// lookAtFeeds is how often the server is asked how far it is.
const lookAtFeeds = 300 * time.Millisecond

// awaitFeeds shows how far feeds are until they have ended.
func (s *session) awaitFeeds(ctx context.Context, c *client.Client, names []patching.FeedName) error {
	told := map[patching.FeedName]wire.FeedProgress{}
	for going := names; len(going) > 0; {
		all, err := c.Feeds(ctx)
		if err != nil {
			return err
		}
		going = nil
		for _, f := range all.Items {
			if f.Running == nil || !slices.Contains(names, f.Name) {
				continue
			}
			going = append(going, f.Name)
			if p := *f.Running; p != told[f.Name] && p.At != "" {
				told[f.Name] = p
				s.note("%s: %d of %d documents, %s: %s", f.Name, p.Documents, max(p.Of, p.Documents), phrase.Size(p.Bytes), p.At)
			}
		}
		if len(going) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookAtFeeds):
		}
	}
	return nil
}

// editionBefore is the one that counted before the newest sync.
func editionBefore(syncs []wire.FeedSync) *wire.FeedEdition {
	if len(syncs) < 2 {
		return nil
	}
	return syncs[1].Edition
}

// syncWords says in a line what came of a feed, and what changed.
func syncWords(sync wire.FeedSync, before *wire.FeedEdition) string {
	is, was := sync.Edition, before
	switch {
	case sync.Result == patching.FeedRefused || sync.Result == patching.FeedFailed:
		words := fmt.Sprintf("%s: %s: %s", sync.Feed, sync.Result, sync.Why)
		if is != nil {
			words += fmt.Sprintf(" The edition before stays: %s.", editionWords(is))
		}
		return words
	case is == nil:
		return fmt.Sprintf("%s: %s", sync.Feed, sync.Result)
	case sync.Result == patching.FeedNew && was != nil:
		words := fmt.Sprintf("%s: new: %s; before: %s", sync.Feed, editionWords(is), editionWords(was))
		if sync.Accepted != "" {
			words += fmt.Sprintf(". %s Accepted: %s", sync.Why, sync.Accepted)
		}
		return words
	}
	return fmt.Sprintf("%s: %s: %s", sync.Feed, sync.Result, editionWords(is))
}

func editionWords(e *wire.FeedEdition) string {
	var parts []string
	if e.Revision != "" {
		parts = append(parts, "revision "+e.Revision)
	}
	if !e.Made.IsZero() {
		parts = append(parts, "made "+phrase.Moment(e.Made))
	}
	return strings.Join(append(parts, recordWords(e.Records)), ", ")
}
