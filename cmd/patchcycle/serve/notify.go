package serve

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/window"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/worker/notices"
)

// tellPeople is how often it is looked for what people should hear of.
const tellPeople = time.Minute

// NotifyFile says who is told what.
func (c Config) NotifyFile() string { return filepath.Join(c.Dir, "notify.yaml") }

func (s *Server) openNotices(ctx context.Context) error {
	fleet, err := s.fleet(ctx)
	s.notices = &notices.Keeper{
		Record: s.Store, File: s.Config.NotifyFile(), Fleet: fleet, Sources: []notices.Source{missedCycles{s}},
		Now: time.Now, Log: s.Config.Log.Named("notify"),
	}
	return err
}

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
	lately, err := t.server.Store.Digests(ctx, store.DigestFilter{Limit: lookBack})
	out := toldWords(is, lately, time.Now())
	for _, r := range is.Recipients {
		out.Recipients = append(out.Recipients, recipientShape(r))
	}
	return out, err
}

// How much trouble is worth a word: a server that is busy is tried again first, and
// what was given up weeks ago helps nobody.
const (
	failsOften = 3
	lookBack   = 200
	lostFor    = 7 * 24 * time.Hour
)

// toldWords says in a sentence how the telling stands, and what to do about it.
func toldWords(is notices.Status, lately []store.Outgoing, now time.Time) wire.Notify {
	lost := 0
	for _, o := range lately {
		if o.State == store.DigestGivenUp && o.Lane != notice.Tests && now.Sub(o.Ended) < lostFor {
			lost++
		}
	}
	failing := ""
	for _, o := range is.Pending {
		if o.Failed >= failsOften {
			failing = fmt.Sprintf("A message to %s failed %s: %s.", o.Recipient, phrase.Count(o.Failed, "time"), o.Words)
		}
	}
	var nobody []string
	for _, r := range is.Recipients {
		if r.Account != "" && len(r.Roles) == 0 {
			nobody = append(nobody, fmt.Sprintf("%s (account %s)", r.Name, r.Account))
		}
	}
	switch {
	case is.Problem != nil && !is.Configured:
		return wire.Notify{Words: "Nobody is told anything: " + is.Problem.Error(), WayOut: "Mend the file: it is read again within a minute."}
	case is.Problem != nil:
		return wire.Notify{Words: "What was in force before stays so: " + is.Problem.Error(), WayOut: "Mend the file: it is read again within a minute."}
	case !is.Configured: // no fault: that is how every server begins
		return wire.Notify{OK: true, Words: "Nobody is told anything: there is no notify.yaml in the data directory.", WayOut: "Say who is to be told what: docs/notify.md has an example."}
	case failing != "":
		return wire.Notify{Words: failing, WayOut: "Mend it and try: patchcycle notify test RECIPIENT. It is sent again by itself."}
	case lost > 0:
		return wire.Notify{Words: fmt.Sprintf("In the last week %s given up.", phrase.Count(lost, "message was", "messages were")), WayOut: "See why, and what was in them: patchcycle notify list."}
	case len(nobody) > 0:
		return wire.Notify{Words: "Told nothing, for their accounts were revoked or are not there: " + strings.Join(nobody, ", ") + ".", WayOut: "Take them out of notify.yaml."}
	default:
		return wire.Notify{OK: true, Words: fmt.Sprintf("%s told what concerns them.", phrase.Count(len(is.Recipients), "recipient is", "recipients are"))}
	}
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
		return wire.NotifyTest{Words: err.Error()}, nil //nolint:nilerr // that it could not be sent is the answer
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
