package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// draft is a message that is not kept: if it is lost, a new one is made.
type draft struct {
	kind uplink.Kind
	body []byte
}

// patience bounds a delivery that nothing waits for.
const patience = 2 * time.Minute

// send delivers all letters, then the drafts, in one batch, and returns the
// drafts' acknowledgements in their order. A failure of the line leaves the
// letters for later; a failure of the journal sends nothing.
func (a *Agent) send(ctx context.Context, limit time.Duration, drafts ...draft) ([]uplink.Ack, error) {
	batch, letters, err := a.pack(drafts)
	if err != nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.lineTrouble(a.cfg.Clock.Now(), false)
		return nil, err
	}
	if len(batch.Messages) == 0 {
		return nil, nil
	}
	sending, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	acks, err := a.cfg.Link.Send(sending, batch)
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.lineTrouble(now, false)
		return nil, fmt.Errorf("report to the server: %w", err)
	}
	of := a.genuine(acks, batch.Messages)
	if a.acknowledge(of) {
		if err := a.save(false); err != nil {
			return nil, err
		}
	}
	if len(a.state.Letters) > 0 {
		a.lineTrouble(now, true)
	} else {
		a.trouble, a.letterAt, a.shut = 0, time.Time{}, false
	}
	out := make([]uplink.Ack, 0, len(drafts))
	for _, m := range batch.Messages[letters:] {
		ack, ok := of[m.Counter]
		if !ok || ack.Intake != patching.Taken && ack.Intake != patching.Duplicate {
			a.lineTrouble(now, true)
			return nil, fmt.Errorf("the server did not take a message of kind %s: %s", m.Kind, ack.Intake)
		}
		out = append(out, ack)
	}
	return out, nil
}

// genuine returns the acks that the server signed for these messages, by
// counter. Any other is as good as none. The caller holds mu.
func (a *Agent) genuine(acks []uplink.Ack, messages []uplink.Message) map[uint64]uplink.Ack {
	sent := make(map[uint64]*uplink.Message, len(messages))
	for i := range messages {
		sent[messages[i].Counter] = &messages[i]
	}
	of := make(map[uint64]uplink.Ack, len(acks))
	for _, ack := range acks {
		m, ok := sent[ack.Counter]
		if ok && ack.Of(m, a.root.Fleet, a.root.LeaseKeys) {
			of[ack.Counter] = ack
		} else {
			a.log.Warn("an acknowledgement that the server did not sign", zap.Uint64("counter", ack.Counter))
		}
	}
	return of
}

// pack puts pending receipts into letters and signs everything.
func (a *Agent) pack(drafts []draft) (batch uplink.Batch, letters int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.state.Pending) > 0 {
		if err := a.seal(); err != nil {
			return batch, 0, err
		}
		if err := a.save(false); err != nil {
			return batch, 0, err
		}
	}
	for _, l := range a.state.Letters {
		batch.Messages = append(batch.Messages, a.sign(l.Counter, l.Boot, uplink.KindReceipt, l.Body))
	}
	letters = len(batch.Messages)
	for _, d := range drafts {
		m, err := a.message(d.kind, d.body)
		if err != nil {
			return batch, 0, err
		}
		batch.Messages = append(batch.Messages, m)
	}
	return batch, letters, nil
}

// seal turns pending receipts into letters with counters of their own. The
// caller holds mu, and saves.
func (a *Agent) seal() error {
	for len(a.state.Pending) > 0 {
		n := min(len(a.state.Pending), uplink.MaxReceipts)
		counter, err := a.count()
		if err != nil {
			return err
		}
		a.state.Letters = append(a.state.Letters, letter{
			Counter: counter, Boot: a.cfg.Machine.Boot(),
			Body: uplink.Encode(uplink.Receipts{Receipts: a.state.Pending[:n]}),
		})
		a.state.Pending = a.state.Pending[n:]
	}
	a.state.Pending = nil
	return nil
}

// acknowledge drops the letters that were taken. One that the server calls
// replayed was overtaken by a later message: its receipts go again under a new
// counter, which does no harm if it had been taken after all. One that makes
// us a stranger or a fork stays: a person has to look.
func (a *Agent) acknowledge(of map[uint64]uplink.Ack) (changed bool) {
	a.state.Letters = slices.DeleteFunc(a.state.Letters, func(l letter) bool {
		ack, ok := of[l.Counter]
		if !ok {
			return false
		}
		switch ack.Intake {
		case patching.Taken, patching.Duplicate:
			changed = true
			return true
		case patching.Replayed:
			again, err := uplink.Decode[uplink.Receipts](l.Body)
			if err != nil {
				a.log.Error("a letter in the journal cannot be read", zap.Error(err))
				return false
			}
			a.state.Pending = append(a.state.Pending, again.Receipts...)
			changed = true
			return true
		default:
			a.log.Warn("the server does not take this device's messages", zap.String("intake", string(ack.Intake)))
			return false
		}
	})
	if len(a.state.Letters) == 0 {
		a.state.Letters = nil
	}
	return changed
}

// receiptsIn counts the receipts of a letter.
func receiptsIn(l letter) int {
	body, err := uplink.Decode[uplink.Receipts](l.Body)
	if err != nil {
		return 1 // something that is unsent all the same
	}
	return len(body.Receipts)
}

// lineTrouble puts the next delivery off. Shut says that the server answered,
// and did not take what it was sent. The caller holds mu.
func (a *Agent) lineTrouble(now time.Time, shut bool) {
	a.shut = shut
	a.letterAt = now.Add(a.backoff(a.trouble))
	a.trouble++
}

// backoff returns how long to wait after the n-th failure in a row, from 0:
// doubling, and spread over the upper half, because a fleet fails together.
func (a *Agent) backoff(n int) time.Duration {
	d := a.cfg.Limits.Retry << min(n, 16)
	if d <= 0 || d > a.cfg.Limits.RetryMax {
		d = a.cfg.Limits.RetryMax
	}
	return d/2 + rand.N(d/2+1)
}

// LineDown reports whether the last delivery failed and the next is not due: an
// order under way does not wait for the line then.
func (a *Agent) LineDown() bool {
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trouble > 0 && now.Before(a.letterAt)
}

// tell sends what there is to tell in the middle of an order: briefly, and
// without caring whether it arrives.
func (a *Agent) tell(ctx context.Context) {
	if a.LineDown() {
		return
	}
	if _, err := a.send(ctx, a.cfg.Limits.Send); err != nil {
		a.log.Info("the order goes on without the server", zap.Error(err))
	}
}

// report sends letters, and an inventory if one is due.
func (a *Agent) report(ctx context.Context) {
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	due := !a.inventoryAt.IsZero() && !now.Before(a.inventoryAt)
	a.mu.Unlock()
	if !due {
		if _, err := a.send(ctx, patience); err != nil {
			a.log.Warn("could not report", zap.Error(err))
		}
		return
	}
	facts, err := a.gather(ctx)
	if err == nil {
		err = a.sendInventory(ctx, facts)
	}
	if err != nil {
		a.log.Warn("could not send an inventory", zap.Error(err))
		now := a.cfg.Clock.Now()
		a.mu.Lock()
		// What the line holds up waits for the line alone, and goes when that is back.
		if !now.Before(a.letterAt) {
			a.inventoryAt = now.Add(a.backoff(a.trouble))
		}
		a.mu.Unlock()
	}
}

// gather takes an inventory.
func (a *Agent) gather(ctx context.Context) (uplink.Facts, error) {
	asset, err := a.cfg.Machine.Inventory(ctx)
	if err != nil {
		return uplink.Facts{}, fmt.Errorf("take an inventory: %w", err)
	}
	rules, err := a.cfg.Host.Rules()
	if err != nil {
		a.log.Warn("the machine's rules cannot be read", zap.Error(err))
	}
	asset.Agent = a.cfg.Version
	return uplink.FactsOf(withRules(asset, rules, err)), nil
}

// sendInventory sends the facts, then the contents that the server lacks.
func (a *Agent) sendInventory(ctx context.Context, facts uplink.Facts) error {
	acks, err := a.send(ctx, patience, draft{uplink.KindInventory, uplink.Encode(uplink.Inventory{Facts: facts})})
	if err != nil {
		return err
	}
	var contents []draft
	for _, d := range acks[0].Need {
		kind, ok := map[patching.Digest]uplink.ContentKind{facts.Packages: uplink.ContentPackages, facts.Candidates: uplink.ContentCandidates}[d]
		if !ok || d == "" {
			return fmt.Errorf("the server asks for %s, which this inventory does not name", d.Short())
		}
		text, err := a.cfg.Machine.Content(ctx, d)
		if err != nil {
			return fmt.Errorf("list of %s: %w", kind, err)
		}
		contents = append(contents, draft{uplink.KindContent, uplink.Encode(uplink.Content{Kind: kind, Text: string(text)})})
	}
	if len(contents) > 0 {
		if _, err := a.send(ctx, patience, contents...); err != nil {
			return err
		}
	}
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.state.Inventoried, a.state.Boot = now.UTC(), a.cfg.Machine.Boot()
	a.state.Told = a.cfg.Version
	a.state.Known = []patching.Digest{facts.Packages, facts.Candidates}
	a.inventoryAt = now.Add(a.cfg.Limits.Inventory)
	return a.save(false)
}

// known reports whether the server has all that the facts refer to.
func (a *Agent) known(facts uplink.Facts) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Equal(a.state.Known, []patching.Digest{facts.Packages, facts.Candidates})
}
