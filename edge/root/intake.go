package root

import (
	"context"
	"fmt"
	"net/http"
	"runtime"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// Send implements [uplink.Link]: it takes a batch. A message that cannot be believed or read gets no
// acknowledgement and does not keep the others from theirs: a relay carries the
// messages of machines that have nothing to do with each other.
func (s *Server) Send(ctx context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	if len(b.Messages) > uplink.MaxBatch {
		return nil, uplink.TooMany(len(b.Messages), "messages", uplink.MaxBatch, "batch")
	}
	if err := validRelay(b.Relay); err != nil {
		return nil, err
	}
	read, err := s.read(ctx, b)
	if err != nil {
		return nil, err
	}
	// Content first: an acknowledgement of its message says that both are kept.
	if err := s.keepContents(ctx, read); err != nil {
		return nil, err
	}
	if err := s.take(ctx, b.Relay, read); err != nil {
		return nil, err
	}
	return s.acks(ctx, read)
}

// incoming is a message on its way in.
type incoming struct {
	message *uplink.Message
	device  *device
	// refused: not believed, not readable or too many; it gets no ack, unless
	// became is set.
	refused bool
	became  patching.Intake

	facts    *patching.Asset
	receipts []patching.Receipt
	kind     uplink.ContentKind
	text     []byte
	lease    patching.OrderID
}

// read checks signatures and bodies, on all processors: a relay's batch is
// mostly that.
func (s *Server) read(ctx context.Context, b uplink.Batch) ([]*incoming, error) {
	ids := make([]patching.DeviceID, len(b.Messages))
	for i, m := range b.Messages {
		ids[i] = m.Device
	}
	devices, err := s.registry.find(ctx, ids)
	if err != nil {
		return nil, err
	}
	read := make([]*incoming, len(b.Messages))
	for i := range b.Messages {
		read[i] = &incoming{message: &b.Messages[i], device: devices[ids[i]]}
	}
	inParallel(len(read), func(i int) { s.readOne(read[i]) })
	refuseFollowers(read)
	return read, nil
}

// inParallel calls do for 0 to n-1 on all processors. Checking a signature
// takes some 60 µs, so that fewer than share of them are not worth a worker.
func inParallel(n int, do func(int)) {
	const share = 16
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < n; from += share {
		workers.Go(func() error {
			for i := from; i < min(from+share, n); i++ {
				do(i)
			}
			return nil
		})
	}
	_ = workers.Wait() // they return no errors
}

// refuseFollowers refuses what a device sent after a message that was not
// taken. Were it taken, the message before it would come again under a counter
// that has passed, and be lost.
func refuseFollowers(read []*incoming) {
	stopped := map[patching.DeviceID]bool{}
	for _, in := range read {
		if stopped[in.message.Device] {
			in.refused = true
		}
		stopped[in.message.Device] = stopped[in.message.Device] || in.refused
	}
}

func (s *Server) readOne(in *incoming) {
	m := in.message
	if in.device == nil || !in.device.accepted() {
		in.refused, in.became = true, patching.Stranger
		return
	}
	err := m.Verify(s.opts.Authority.Authority().Root.Fleet, []byte(in.device.key))
	if err == nil && !in.device.limit.Allow() {
		// After the signature: nobody else can use up a device's share.
		err = fmt.Errorf("more than %g messages a second", s.opts.Rate)
	}
	if err == nil {
		err = in.parse()
	}
	if err != nil {
		in.refused = true
		s.log.Warn("message not taken", zap.String("device", string(m.Device)), zap.Uint64("counter", m.Counter),
			zap.String("kind", string(m.Kind)), zap.Error(err))
	}
}

func (in *incoming) parse() error {
	m := in.message
	switch m.Kind {
	case uplink.KindInventory:
		body, err := uplink.Decode[uplink.Inventory](m.Body)
		if err != nil {
			return err
		}
		a := body.Facts.Asset()
		in.facts = &a
	case uplink.KindReceipt:
		body, err := uplink.Decode[uplink.Receipts](m.Body)
		if err != nil {
			return err
		}
		for _, r := range body.Receipts {
			in.receipts = append(in.receipts, r.Receipt(m))
		}
	case uplink.KindContent:
		body, err := uplink.Decode[uplink.Content](m.Body)
		if err != nil {
			return err
		}
		in.kind, in.text = body.Kind, []byte(body.Text)
		return readable(in.kind, in.text)
	case uplink.KindLeaseRequest:
		body, err := uplink.Decode[uplink.LeaseRequest](m.Body)
		in.lease = body.Order
		return err
	default:
		return fmt.Errorf("a %s is not sent as a message", m.Kind)
	}
	return nil
}

// take commits the reports and notes what became of each.
func (s *Server) take(ctx context.Context, relay string, read []*incoming) error {
	var good []*incoming
	var reports []patching.Report
	now, fleet := s.opts.Now(), s.opts.Authority.Authority().Root.Fleet
	for _, in := range read {
		if in.refused {
			continue
		}
		good = append(good, in)
		reports = append(reports, patching.Report{
			Device: in.message.Device, Counter: in.message.Counter, Boot: in.message.Boot, Digest: in.message.Digest(fleet),
			Relay: relay, At: now, Facts: in.facts, Receipts: in.receipts,
		})
	}
	became, err := s.commits.take(ctx, reports)
	if err != nil {
		return err
	}
	for i, in := range good {
		in.became = became[i]
		if in.became == patching.Forked {
			in.device.quarantine()
			s.noteFork(in.message, relay)
		}
	}
	return nil
}

// acks answers in the order of the batch.
func (s *Server) acks(ctx context.Context, read []*incoming) ([]uplink.Ack, error) {
	need, err := s.needs(ctx, read)
	if err != nil {
		return nil, err
	}
	leases, err := s.requestedLeases(ctx, read)
	if err != nil {
		return nil, err
	}
	out := make([]uplink.Ack, 0, len(read))
	for _, in := range read {
		if in.became == "" {
			continue
		}
		ack := uplink.Ack{Device: in.message.Device, Counter: in.message.Counter, Intake: in.became}
		if in.taken() {
			for _, d := range in.referred() {
				if need[d] {
					ack.Need = append(ack.Need, d)
				}
			}
			ack.Lease = leases[in.lease]
		}
		if in.device != nil {
			ack.Sign(s.opts.Authority.Authority().Root.Fleet, in.message, s.opts.Authority.Authority().Keys.Lease)
		}
		out = append(out, ack)
	}
	return out, nil
}

// taken reports whether the message counts, for the first time or again.
func (in *incoming) taken() bool {
	return in.became == patching.Taken || in.became == patching.Duplicate
}

// referred lists the contents that an inventory names.
func (in *incoming) referred() []patching.Digest {
	if in.facts == nil {
		return nil
	}
	var out []patching.Digest
	for _, d := range []patching.Digest{in.facts.Packages, in.facts.Candidates} {
		if d != "" {
			out = append(out, d)
		}
	}
	return out
}

// validRelay bounds what a relay calls itself: the name stands in the store.
func validRelay(name string) error {
	if name == "" || patching.ValidName(name) {
		return nil
	}
	return &uplink.Error{Status: http.StatusBadRequest, Words: fmt.Sprintf("%.80q is no name for a relay: lower-case letters, digits, dots and dashes", name)}
}
