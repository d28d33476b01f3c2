package notices

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/store"
)

// compose makes the messages that are due. While one is still to be sent no other is
// made for the same recipient and lane: what is new waits for the next one.
func (k *Keeper) compose(ctx context.Context, recipients []notify.Recipient, now time.Time) error {
	pending, err := k.Record.PendingDigests(ctx)
	if err != nil {
		return err
	}
	type place struct {
		recipient string
		lane      notice.Lane
	}
	waits := map[place]bool{}
	for _, o := range pending {
		waits[place{o.Recipient, o.Lane}] = true
	}
	for _, r := range recipients {
		for _, lane := range []notice.Lane{notice.Alerts, notice.Digests} {
			if waits[place{r.Name, lane}] {
				continue
			}
			if err := k.composeOne(ctx, r.Recipient, lane, now); err != nil {
				return fmt.Errorf("message to %s: %w", r.Name, err)
			}
		}
	}
	return nil
}

func (k *Keeper) composeOne(ctx context.Context, r notice.Recipient, lane notice.Lane, now time.Time) error {
	told, err := k.Record.ToldUpTo(ctx, r.Name, lane)
	if err != nil || r.Next(lane, told.Last, time.Time{}, now).After(now) {
		return err
	}
	c := notice.Compose(r, lane, told.Seq)
	for {
		some, err := k.Record.Notices(ctx, c.Upto(), page)
		if err != nil {
			return err
		}
		for _, q := range some {
			c.Add(q)
		}
		// The oldest comes first: what is not due by it need not be read to its end.
		if oldest := c.Oldest(); !oldest.IsZero() && r.Next(lane, told.Last, oldest, now).After(now) {
			return nil
		}
		if len(some) < page {
			break
		}
	}
	switch {
	case c.Upto() == told.Seq:
		return nil
	case c.Oldest().IsZero():
		return k.Record.SkipNotices(ctx, r.Name, lane, c.Upto())
	default:
		return k.Record.KeepDigest(ctx, c.Digest(k.Fleet, now))
	}
}

// atOnce is how many messages are on their way at the same time: a server that hangs
// must not hold up the others'.
const atOnce = 8

// testIn is after what time a test that is still to be sent was broken off.
const testIn = 5 * time.Minute

// deliver sends the messages whose time has come.
func (k *Keeper) deliver(ctx context.Context, recipients []notify.Recipient) error {
	pending, err := k.Record.PendingDigests(ctx)
	if err != nil {
		return err
	}
	channels := make(map[string]notify.Channel, len(recipients))
	for _, r := range recipients {
		if r.Account == "" || len(r.Roles) > 0 { // whoever lost the account is told nothing
			channels[r.Name] = r.Channel
		}
	}
	var wg sync.WaitGroup
	slots, now := make(chan struct{}, atOnce), k.Now()
	for _, o := range pending {
		channel, there := channels[o.Recipient]
		switch {
		case o.Lane == notice.Tests && now.Sub(o.Made) < testIn:
			// Whoever asked for it is sending it.
		case !there || o.Lane == notice.Tests:
			err = errors.Join(err, k.Record.EndTry(ctx, store.TryEnd{Digest: o.ID, Ended: now, State: store.DigestDropped}))
		case !o.Next.After(now):
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				if err := k.send(ctx, o, channel); err != nil && ctx.Err() == nil {
					k.Log.Warn("a message could not be sent", zap.String("recipient", o.Recipient), zap.String("message", string(o.ID)), zap.Error(err))
				}
			})
		}
	}
	wg.Wait()
	return err
}

// send tries a message once and puts on record what came of it. Where the server stops
// meanwhile the try stays without an end, as when it is killed: nobody knows whether
// the message arrived, and it is sent again under the same id.
func (k *Keeper) send(ctx context.Context, o store.Outgoing, channel notify.Channel) error {
	began := k.Now()
	if err := k.Record.BeginTry(ctx, o.ID, began); err != nil {
		return err
	}
	failed := channel.Send(ctx, o.Digest)
	if failed != nil && ctx.Err() != nil && o.Lane != notice.Tests {
		return failed
	}
	end := store.TryEnd{Digest: o.ID, Began: began, Ended: k.Now(), State: store.DigestSent}
	if failed != nil {
		end.Words, end.State = notice.Line(failed.Error()), store.DigestGivenUp
		if next, again := notice.Retry(o.Made, end.Ended, o.Failed+1); again && o.Lane != notice.Tests {
			end.Next, end.State = next, store.DigestPending
		}
	}
	// Also when the server stops: what arrived must not be sent again.
	return errors.Join(failed, k.Record.EndTry(context.WithoutCancel(ctx), end))
}
