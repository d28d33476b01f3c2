package serve

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/patching/window"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/worker/feeds"
	"github.com/patchcycle/patchcycle/worker/notices"
)

// tellPeople is how often it is looked for what people should hear of.
const tellPeople = time.Minute

// NotifyFile says who is told what.
func (c Config) NotifyFile() string { return filepath.Join(c.Dir, "notify.yaml") }

func (s *Server) openNotices(ctx context.Context) error {
	fleet, err := s.fleet(ctx)
	s.notices = &notices.Keeper{
		Record: s.Store, File: s.Config.NotifyFile(), Fleet: fleet, Sources: []notices.Source{missedCycles{s}, s.backups}, Lookout: lookout{s.urgent(), s.feeds},
		Now: time.Now, Log: s.Config.Log.Named("notify"),
	}
	return err
}

// lookout says what machines miss and what feeds say of it.
type lookout struct {
	*activities.Urgent
	feeds *feeds.Keeper
}

// Feeds implements [notices.Lookout].
func (l lookout) Feeds() []patching.FeedState { return l.feeds.States() }

// missedCycles notices cycles that should have started and did not.
type missedCycles struct{ server *Server }

func (missedCycles) Name() string { return "calendar" }

// Notices implements [notices.Source].
func (m missedCycles) Notices(ctx context.Context, _ time.Time) (notice.Found, error) {
	found := notice.Found{Whole: []notice.Kind{notice.CycleMissed}}
	missed, err := m.server.missed(ctx)
	for _, c := range missed {
		found.Notices = append(found.Notices, notice.Notice{
			ID: notice.ID(string(notice.CycleMissed) + "/" + string(c.Cycle)), Kind: notice.CycleMissed, Severity: notice.Urgent,
			Policy: wire.PolicyOf(c.Cycle), Subject: string(c.Cycle), Words: c.Words, At: c.Due,
		})
	}
	return found, err
}

// telling is the keeper of notices as the API sees it.
type telling struct{ server *Server }

// Status implements the API's port.
func (t telling) Status(ctx context.Context) (wire.Notify, error) {
	is, err := t.server.notices.Status(ctx)
	if err != nil {
		return wire.Notify{}, err
	}
	words, wayOut, ok := is.Words(time.Now())
	out := wire.Notify{OK: ok, Words: words, WayOut: wayOut}
	for _, r := range is.Recipients {
		out.Recipients = append(out.Recipients, recipientShape(r))
	}
	return out, nil
}

func recipientShape(r notify.Recipient) wire.Recipient {
	kinds := make([]string, len(r.Kinds))
	for i, k := range r.Kinds {
		kinds[i] = string(k)
	}
	return wire.Recipient{
		Name: r.Name, To: r.Channel.Words(), Account: r.Account, Roles: r.Roles, Sites: r.Sites, Policies: r.Policies, Owners: r.Owners,
		Kinds: kinds, Every: window.FormatDuration(r.Every), AlertEvery: window.FormatDuration(r.AlertEvery),
	}
}

// testSends bounds a test: the API's own answer is due soon after.
const testSends = 20 * time.Second

// Test implements the API's port.
func (t telling) Test(ctx context.Context, recipient string) (wire.NotifyTest, error) {
	ctx, cancel := context.WithTimeout(ctx, testSends)
	defer cancel()
	switch err := t.server.notices.Test(ctx, recipient); {
	case errors.Is(err, notices.ErrNoRecipient):
		return wire.NotifyTest{}, fmt.Errorf("recipient %s: %w", recipient, store.ErrNotFound)
	case err != nil:
		return wire.NotifyTest{Words: err.Error()}, nil // that it could not be sent is the answer
	default:
		return wire.NotifyTest{OK: true, Words: "The message was taken. See whether it is there."}, nil
	}
}

func (s *Server) checkNotify(ctx context.Context) wire.Check {
	const name = "notify"
	is, err := telling{s}.Status(ctx)
	if err != nil {
		return wire.Check{Name: name, Words: err.Error(), WayOut: "See the server's log."}
	}
	return wire.Check{Name: name, OK: is.OK, Words: is.Words, WayOut: is.WayOut}
}
