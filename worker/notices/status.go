package notices

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
)

// Status is how the telling stands.
type Status struct {
	// Recipients are those in force, with what their accounts give them.
	Recipients []notify.Recipient
	// Configured: there is a file, or was when it was last read without a mistake.
	Configured bool
	// Problem is what is wrong with the file as it is; nil: nothing.
	Problem error
	// Pending are the messages that are still to be sent, Lately the newest of all.
	Pending, Lately []store.Outgoing
}

// lookBack is how many messages are looked at for those that were given up.
const lookBack = 200

// Status returns how the telling stands.
func (k *Keeper) Status(ctx context.Context) (s Status, err error) {
	k.mu.Lock()
	config := k.config
	s.Problem, s.Configured = k.problem, config != nil
	k.mu.Unlock()
	if config != nil {
		if s.Recipients, err = k.resolved(ctx, *config); err != nil {
			return s, err
		}
	}
	if s.Pending, err = k.Record.PendingDigests(ctx); err != nil {
		return s, err
	}
	s.Lately, err = k.Record.Digests(ctx, store.DigestFilter{Limit: lookBack})
	return s, err
}

// How much trouble is worth a word: a server that is busy is tried again first, and
// what was given up weeks ago helps nobody.
const (
	failsOften = 3
	lostFor    = 7 * 24 * time.Hour
)

// Words say in a sentence how the telling stands, and what to do about it; ok is false
// where somebody has to.
func (s Status) Words(now time.Time) (words, wayOut string, ok bool) {
	const mend = "Mend the file: it is read again within a minute."
	failing, lost, nobody := s.failing(), s.lost(now), s.toldNothing()
	switch {
	case s.Problem != nil && !s.Configured:
		return "Nobody is told anything: " + s.Problem.Error(), mend, false
	case s.Problem != nil:
		return "What was in force before stays so: " + s.Problem.Error(), mend, false
	case !s.Configured: // no fault: that is how every server begins
		return "Nobody is told anything: there is no notify.yaml in the data directory.", "Say who is to be told what: docs/notify.md has an example.", true
	case failing != "":
		return failing, "Mend it and try: patchcycle notify test RECIPIENT. The message is sent again by itself.", false
	case lost > 0:
		return fmt.Sprintf("In the last week %s given up.", phrase.Count(lost, "message was", "messages were")),
			"See why, and what was in them: patchcycle notify list --json.", false
	case len(nobody) > 0:
		return "Told nothing, for their accounts were revoked or are not there: " + strings.Join(nobody, ", ") + ".", "Take them out of notify.yaml.", false
	default:
		return phrase.Count(len(s.Recipients), "recipient is", "recipients are") + " told what concerns them.", "", true
	}
}

// failing names the message that failed most often, if often.
func (s Status) failing() string {
	worst := store.Outgoing{Failed: failsOften - 1}
	for _, o := range s.Pending {
		if o.Failed > worst.Failed {
			worst = o
		}
	}
	if worst.Recipient == "" {
		return ""
	}
	return fmt.Sprintf("A message to %s failed %s: %s.", worst.Recipient, phrase.Count(worst.Failed, "time"), worst.Words)
}

func (s Status) lost(now time.Time) (n int) {
	for _, o := range s.Lately {
		if o.State == store.DigestGivenUp && o.Lane != notice.Tests && now.Sub(o.Ended) < lostFor {
			n++
		}
	}
	return n
}

func (s Status) toldNothing() (names []string) {
	for _, r := range s.Recipients {
		if r.Account != "" && len(r.Roles) == 0 {
			names = append(names, fmt.Sprintf("%s (account %s)", r.Name, r.Account))
		}
	}
	return names
}
