package root

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Dispatcher turns decisions into signed orders and start permits.
type Dispatcher struct{ server *Server }

// Issue signs and keeps one order a draft and wakes the machines. An order of
// an id that exists is left as it is, so that a repeated call changes nothing.
// A draft for a device that is not accepted (any more) is left out and logged:
// no receipt will come, and the cycle ends the deployment by that.
func (d *Dispatcher) Issue(ctx context.Context, drafts []trust.Draft) error {
	s := d.server
	// A device that has seen number 7 never takes number 6: were they kept in
	// the other order, one would be lost.
	s.issuing.Lock()
	defer s.issuing.Unlock()
	drafts, err := d.fresh(ctx, drafts)
	if err != nil || len(drafts) == 0 {
		return err
	}
	drafts, keys, err := d.addressed(ctx, drafts)
	if err != nil {
		return err
	}
	orders, err := d.sign(ctx, drafts, keys)
	if err != nil {
		return err
	}
	if err := s.opts.Store.PutOrders(ctx, orders); err != nil {
		return fmt.Errorf("issue %d orders: %w", len(orders), err)
	}
	for _, o := range orders {
		s.hub.tell(position{device: o.Device, seq: o.Seq})
	}
	return nil
}

// fresh leaves out the drafts whose order exists.
func (d *Dispatcher) fresh(ctx context.Context, drafts []trust.Draft) ([]trust.Draft, error) {
	ids := make([]patching.OrderID, len(drafts))
	for i, draft := range drafts {
		ids[i] = draft.ID
	}
	have, err := d.server.opts.Store.Orders(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("look for orders that exist: %w", err)
	}
	issued := make(map[patching.OrderID]bool, len(have))
	for _, o := range have {
		issued[o.ID] = true
	}
	var out []trust.Draft
	for _, draft := range drafts {
		if !issued[draft.ID] {
			issued[draft.ID] = true
			out = append(out, draft)
		}
	}
	return out, nil
}

// addressed returns the drafts whose device is accepted, and the devices' keys.
func (d *Dispatcher) addressed(ctx context.Context, drafts []trust.Draft) ([]trust.Draft, map[patching.DeviceID]trust.PublicKey, error) {
	ids := make([]patching.DeviceID, len(drafts))
	for i, draft := range drafts {
		ids[i] = draft.Device
	}
	devices, err := d.server.registry.find(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	keys := make(map[patching.DeviceID]trust.PublicKey, len(devices))
	out := make([]trust.Draft, 0, len(drafts))
	for _, draft := range drafts {
		known, ok := devices[draft.Device]
		if !ok || !known.accepted() {
			d.server.log.Warn("no order for a device that is not accepted", zap.String("device", string(draft.Device)),
				zap.String("asset", string(draft.Asset)), zap.String("cycle", string(draft.Cycle)))
			continue
		}
		keys[draft.Device] = known.key
		out = append(out, draft)
	}
	return out, keys, nil
}

func (d *Dispatcher) sign(ctx context.Context, drafts []trust.Draft, keys map[patching.DeviceID]trust.PublicKey) ([]Order, error) {
	s := d.server
	if len(drafts) == 0 {
		return nil, nil
	}
	if err := s.opts.Authority.Behind(); err != nil {
		return nil, err
	}
	authority := s.opts.Authority.Authority()
	seq, err := s.opts.Store.ReserveSeq(ctx, len(drafts))
	if err != nil {
		return nil, fmt.Errorf("number %d orders: %w", len(drafts), err)
	}
	now := s.opts.Now()
	orders := make([]Order, len(drafts))
	for i, draft := range drafts {
		o, err := draft.Order(authority.Root, seq+uint64(i), keys[draft.Device], now)
		if err != nil {
			return nil, err
		}
		orders[i] = Order{
			ID: draft.ID, Device: draft.Device, Asset: draft.Asset, Cycle: draft.Cycle, Ring: draft.Ring, Wave: draft.Wave,
			Verb: string(draft.Verb), Seq: o.Seq, Envelope: o.Seal(authority.Keys.Dispatcher), Issued: now, Expires: o.NotAfter,
		}
	}
	return orders, nil
}

// Permit gives start permits from now on, or renews them, and wakes the
// machines. Orders that are final, withdrawn or expired get none.
func (d *Dispatcher) Permit(ctx context.Context, ids []patching.OrderID) error {
	orders, err := d.server.opts.Store.Orders(ctx, ids)
	if err != nil {
		return fmt.Errorf("permit %d orders: %w", len(ids), err)
	}
	_, err = d.server.permit(ctx, orders)
	return err
}

// permit signs and keeps leases for the orders that may still start.
func (s *Server) permit(ctx context.Context, orders []Order) (map[patching.OrderID]*uplink.SignedLease, error) {
	now, authority := s.opts.Now(), s.opts.Authority.Authority()
	var rows []Lease
	var news []position
	signed := map[patching.OrderID]*uplink.SignedLease{}
	for _, o := range orders {
		if o.Final || o.Withdrawn || !o.Expires.IsZero() && !now.Before(o.Expires) {
			continue
		}
		if s.held.at(now) != nil {
			// It counts as released, and asks again: then it gets one.
			rows = append(rows, Lease{Order: o.ID, Lease: []byte{}, Until: now})
			continue
		}
		l := trust.NewLease(authority.Root, o.ID, o.Device, now)
		envelope := l.Seal(authority.Keys.Lease)
		rows = append(rows, Lease{Order: o.ID, Lease: envelope, Until: l.NotAfter})
		news = append(news, position{device: o.Device, seq: o.Seq, leaseUntil: l.NotAfter})
		signed[o.ID] = &uplink.SignedLease{Device: o.Device, Order: o.ID, Envelope: envelope}
	}
	if len(rows) == 0 {
		return nil, nil
	}
	if err := s.opts.Store.PutLeases(ctx, rows); err != nil {
		return nil, fmt.Errorf("permit %d orders: %w", len(rows), err)
	}
	for _, p := range news {
		s.hub.tell(p)
	}
	return signed, nil
}

// requestedLeases answers the lease requests of a batch: a machine's permit ran
// out while it waited for its window, its lock or its line. Only what the cycle
// has released, and neither ended nor taken back, gets another one.
func (s *Server) requestedLeases(ctx context.Context, read []*incoming) (map[patching.OrderID]*uplink.SignedLease, error) {
	asked := map[patching.OrderID]patching.DeviceID{}
	var ids []patching.OrderID
	for _, in := range read {
		if in.lease != "" && in.taken() {
			asked[in.lease] = in.message.Device
			ids = append(ids, in.lease)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	orders, err := s.opts.Store.Orders(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("look up requested leases: %w", err)
	}
	var may []Order
	for _, o := range orders {
		if o.Device != asked[o.ID] || o.LeaseUntil.IsZero() {
			continue // another machine's, or never released
		}
		ok, err := s.startable(ctx, o)
		if err != nil {
			return nil, err
		}
		if ok {
			may = append(may, o)
		}
	}
	return s.permit(ctx, may)
}

// startable says whether an order that was released once may start now.
func (s *Server) startable(ctx context.Context, o Order) (bool, error) {
	w, err := windowOf(o.Envelope)
	if err != nil {
		s.log.Error("an order of ours cannot be read", zap.String("order", string(o.ID)), zap.Error(err))
		return false, nil
	}
	now := s.opts.Now()
	if w != nil && (now.Before(w.Start) || !now.Before(w.End)) {
		return false, nil
	}
	if o.Verb != string(trust.Apply) {
		return true, nil
	}
	d, err := s.opts.Store.Deployment(ctx, o.Cycle, o.Asset)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("deployment of %s in %s: %w", o.Asset, o.Cycle, err)
	}
	return d.State == patching.DeploymentReleased || d.State == patching.DeploymentStarted, nil
}

// windowOf reads the window from an envelope of our own store.
func windowOf(envelope []byte) (*trust.Window, error) {
	var e struct {
		Payload []byte `json:"payload"`
	}
	if err := json.Unmarshal(envelope, &e); err != nil {
		return nil, err
	}
	var o struct {
		Window *trust.Window `json:"window"`
	}
	err := json.Unmarshal(e.Payload, &o)
	return o.Window, err
}
