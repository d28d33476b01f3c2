package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// How long an import may take in all, and how long nothing may come of it.
const (
	importIn   = 2 * time.Hour
	importIdle = 30 * time.Second
)

// syncsShown is how many syncs a feed is shown with.
const syncsShown = 20

type feedInput struct {
	Feed patching.FeedName `path:"feed"`
}

type syncFeedsInput struct {
	Body wire.SyncFeeds
}

// importInput leaves the body where it is: it may be gigabytes.
type importInput struct {
	Feed   patching.FeedName `path:"feed"`
	From   string            `query:"from" maxLength:"500" doc:"What it is, for the record: such as the name of the file."`
	Accept string            `query:"accept_smaller" maxLength:"1000" doc:"Why it may be worse than the edition before; none: it may not. Takes an administrator or a security lead."`
	body   io.Reader
	done   func()
}

// Resolve takes the body as it comes. It is given up when nothing comes of it.
func (i *importInput) Resolve(c huma.Context) []error {
	i.body = &coming{from: c.BodyReader(), c: c}
	i.done = func() { _ = c.SetReadDeadline(time.Time{}) } // the connection may be used again
	return nil
}

type coming struct {
	from io.Reader
	c    huma.Context
}

func (r *coming) Read(p []byte) (int, error) {
	_ = r.c.SetReadDeadline(time.Now().Add(importIdle)) // where that cannot be set, the whole is bounded
	return r.from.Read(p)
}

func (s *server) addFeeds(api huma.API) {
	handle(s, api, about("feeds", "list-feeds", http.MethodGet, "/feeds", "List the feeds of advisories"), s.listFeeds)
	handle(s, api, about("feeds", "get-feed", http.MethodGet, "/feeds/{feed}", "Show a feed and what came of it lately"), s.getFeed)
	op := about("feeds", "sync-feeds", http.MethodPost, "/feeds/sync", "Bring feeds up to date")
	op.Description = "It answers at once; each feed shows how far it is, and what came of it when it has ended."
	op.DefaultStatus = http.StatusAccepted
	handle(s, api, op, s.syncFeeds)
	op = about("feeds", "import-feed", http.MethodPost, "/feeds/{feed}/import", "Import the files of a feed")
	op.Description = "The body is a tar archive of all of them. They take the place of the edition before, whole or not at all; the answer says which."
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/x-tar": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}},
	}}
	handle(s, api, op, s.importFeed)
}

var errNoFeeds = &wire.Problem{Status: http.StatusNotFound, Code: wire.CodeNotFound, Detail: "This server keeps no feeds."}

func (s *server) listFeeds(context.Context, *struct{}) (wire.Feeds, error) {
	out := wire.Feeds{Items: []wire.Feed{}}
	if s.Feeds == nil {
		return out, nil
	}
	running := s.Feeds.Running() // before the states: what has ended since shows in those
	for _, f := range s.Feeds.States() {
		out.Items = append(out.Items, s.feedShape(f, running))
	}
	out.Trouble = s.Feeds.Trouble()
	return out, nil
}

func (s *server) getFeed(ctx context.Context, in *feedInput) (wire.FeedDetail, error) {
	all, err := s.listFeeds(ctx, nil)
	if err != nil {
		return wire.FeedDetail{}, err
	}
	i := slices.IndexFunc(all.Items, func(f wire.Feed) bool { return f.Name == in.Feed })
	if i < 0 {
		return wire.FeedDetail{}, noFeed(in.Feed)
	}
	out := wire.FeedDetail{Feed: all.Items[i], Syncs: []wire.FeedSync{}}
	syncs, err := s.Store.FeedSyncs(ctx, in.Feed, syncsShown)
	for _, sync := range syncs {
		out.Syncs = append(out.Syncs, syncShape(sync))
	}
	return out, err
}

func noFeed(name patching.FeedName) error {
	p := notFound(fmt.Sprintf("There is no feed %s.", name))
	p.WayOut = "See which there are: " + aFeed.list
	return p
}

func (s *server) syncFeeds(ctx context.Context, in *syncFeedsInput) (wire.StartedFeeds, error) {
	out := wire.StartedFeeds{Since: s.Now().UTC(), Started: []patching.FeedName{}, Recent: []patching.FeedName{}}
	if s.Feeds == nil {
		return out, errNoFeeds
	}
	what := "all"
	if len(in.Body.Feeds) > 0 {
		what = join(in.Body.Feeds)
	}
	err := s.change(ctx, "sync feeds", what, "asked for now", func() error {
		started, recent, err := s.Feeds.Start(account(ctx).Name, in.Body.Feeds...)
		out.Started, out.Recent = append(out.Started, started...), append(out.Recent, recent...)
		return err
	})
	if errors.Is(err, patching.ErrFeedUnasked) {
		states := s.Feeds.States()
		for _, name := range in.Body.Feeds {
			if !slices.ContainsFunc(states, func(f patching.FeedState) bool { return f.Name == name }) {
				return out, noFeed(name)
			}
		}
		return out, conflict(upper(err)+".", "See which there are: "+aFeed.list)
	}
	return out, err
}

func (s *server) importFeed(ctx context.Context, in *importInput) (wire.FeedSync, error) {
	defer in.done()
	who := account(ctx)
	switch {
	case s.Feeds == nil:
		return wire.FeedSync{}, errNoFeeds
	case !in.Feed.Valid():
		return wire.FeedSync{}, invalid("path.feed", "%q cannot name a feed: %s", in.Feed, patching.FeedNameShape)
	case in.Accept != "" && !who.Has(patching.RoleAdmin, patching.RoleSecurityLead):
		words := fmt.Sprintf("%s has the %s; to accept what would be refused takes one of %s.", who.Name, roleWords(who.Roles), join([]patching.Role{patching.RoleAdmin, patching.RoleSecurityLead}))
		s.recordRefused(ctx, who, "import feed", string(in.Feed), words)
		return wire.FeedSync{}, notAllowed(words)
	}
	asked := patching.FeedSync{Feed: in.Feed, By: who.Name, From: in.From, Accepted: in.Accept}
	if asked.From == "" {
		asked.From = "an import"
	}
	words := asked.From
	if in.Accept != "" {
		words += "; may be worse than the edition before: " + in.Accept
	}
	var sync patching.FeedSync
	err := s.change(ctx, "import feed", string(in.Feed), words, func() (err error) {
		sync, err = s.Feeds.Import(ctx, asked, in.body)
		return err
	})
	if errors.Is(err, patching.ErrFeedBusy) {
		return wire.FeedSync{}, conflict(upper(patching.ErrFeedBusy)+".", "See how far it is: patchcycle feed list")
	}
	return syncShape(sync), err
}

// upper makes a sentence of an error.
func upper(err error) string {
	words := err.Error()
	return string(words[0]-'a'+'A') + words[1:]
}

func (s *server) feedShape(f patching.FeedState, running map[patching.FeedName]patching.FeedProgress) wire.Feed {
	out := wire.Feed{
		Name: f.Name, URL: f.URL, Owner: f.Owner, Every: int64(f.Every / time.Second), StaleAfter: int64(f.StaleAfter / time.Second),
		Edition: editionShape(f.Edition), Asked: f.Asked, Stale: f.Stale(s.Now()), Trouble: f.Trouble,
	}
	if p, ok := running[f.Name]; ok {
		out.Running = &wire.FeedProgress{Documents: p.Documents, Of: p.Of, Bytes: p.Bytes, At: p.At}
	}
	return out
}

func editionShape(e patching.FeedEdition) *wire.FeedEdition {
	if e.Digest == "" {
		return nil
	}
	return &wire.FeedEdition{Digest: e.Digest, Revision: e.Revision, Made: e.Made, Got: e.Got, Records: e.Records, Formats: e.Formats, Signed: e.Signed}
}

func syncShape(f patching.FeedSync) wire.FeedSync {
	return wire.FeedSync{
		Feed: f.Feed, At: f.At, By: f.By, From: f.From, Result: f.Result, Why: f.Why, Accepted: f.Accepted, Bytes: f.Bytes, Edition: editionShape(f.Edition),
	}
}
