//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/trust"
)

// forgery is an order of who has the server, in the name of a cycle that is over: what
// the machine answers changes no other.
type forgery struct {
	id      patching.OrderID
	what    string
	warrant *trust.Warrant
	says    string // in the machine's answer
}

// target is the machine that is attacked.
type target struct {
	asset patching.AssetID
	// next is what people have not signed yet, done what they signed a cycle ago.
	next, done patching.CycleID
}

// attack does what who has the server's database, dispatcher's and lease keys can do: it
// orders the update on the last machine, in an open window and with a start permit, before
// people sign for it.
func (g *ground) attack(ctx context.Context, next, done patching.CycleID) error {
	all, err := g.deployments(ctx, next)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(all, func(d wire.Deployment) bool { return d.Hostname == g.last().Name })
	if at < 0 {
		return fmt.Errorf("%s is not in %s", g.last().Name, next)
	}
	t := target{all[at].Asset, next, done}
	g.kill()
	forged, err := g.forge(ctx, t)
	if err := errors.Join(err, g.serve(ctx)); err != nil {
		return err
	}
	g.say("who has the server orders the update on %s, in three ways, before people sign for it", g.last().Name)
	var record wire.MachineRecord
	answer := func(f forgery) int {
		return slices.IndexFunc(record.Receipts, func(r wire.Receipt) bool { return r.Order == f.id })
	}
	if err := g.await(ctx, 3*time.Minute, "answers to forged orders", func() (bool, error) {
		record, err = g.people.Author.Machine(ctx, done, t.asset)
		return !slices.ContainsFunc(forged, func(f forgery) bool { return answer(f) < 0 }), err
	}); err != nil {
		return err
	}
	var p problems
	for _, f := range forged {
		r := record.Receipts[answer(f)]
		g.say("%s: %s: %s", f.what, r.Stage, r.Detail)
		p.want(r.Stage == patching.StageRefused && strings.Contains(r.Detail, f.says), "%s ends as %s: %s, want a refusal that says %q", f.what, r.Stage, r.Detail, f.says)
	}
	is, err := g.last().Output(ctx, "dpkg-query", "-W", "-f", "${Version}", string(faults.Conffile))
	p.want(is == faults.Good, "%s is at %s after forged orders", g.last().Name, is)
	return errors.Join(err, p.err())
}

// forge writes orders into the record of a server that is not running.
func (g *ground) forge(ctx context.Context, t target) (forged []forgery, err error) {
	s, err := sqlite.Open(ctx, filepath.Join(g.dir, "patchcycle.db"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	wanted, err := rowOf(ctx, s, t.next, t.asset)
	if err != nil {
		return nil, err
	}
	before, err := rowOf(ctx, s, t.done, t.asset)
	if err != nil {
		return nil, err
	}
	old, err := warrantOf(ctx, s, before.Order)
	if err != nil {
		return nil, err
	}
	swapped := *old
	swapped.Bundle, swapped.Rollback = wanted.Bundle, wanted.Rollback
	forged = []forgery{
		{"forged-1", "on the server's word", nil, "carries no grant"},
		{"forged-2", "with what people signed for this machine a cycle ago", old, "another bundle was approved"},
		{"forged-3", "with that, and its bundle replaced", &swapped, "not among those that were approved"},
	}
	wanted.Cycle, wanted.Ring, wanted.Fence = t.done, before.Ring, before.Fence+1
	wanted.Start, wanted.End = before.Start, before.End // which people have signed, and is open still
	for _, f := range forged {
		if err := f.put(ctx, s, filepath.Join(g.dir, "keys"), wanted); err != nil {
			return nil, err
		}
	}
	return forged, nil
}

// put signs the order and its start permit, and keeps both.
func (f forgery) put(ctx context.Context, s *store.Store, folder string, d patching.Deployment) error {
	keys, err := trust.LoadKeys(folder)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(folder, "root.json"))
	if err != nil {
		return err
	}
	root, err := trust.ReadRoot(text)
	if err != nil {
		return err
	}
	devices, err := s.Devices(ctx, patching.DeviceAccepted)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(devices, func(is patching.Device) bool { return is.ID == d.Device })
	if at < 0 {
		return fmt.Errorf("device %s is not there", d.Device)
	}
	seq, err := s.ReserveSeq(ctx, 1)
	if err != nil {
		return err
	}
	now := time.Now()
	order, err := trust.Draft{
		ID: f.id, Asset: d.Asset, Device: d.Device, Cycle: d.Cycle, Ring: d.Ring, Verb: trust.Apply, Fence: d.Fence,
		WindowRule: d.WindowRule, Start: d.Start, End: d.End, NotAfter: d.End, Bundle: d.Bundle, Rollback: d.Rollback, Warrant: f.warrant,
	}.Order(root, seq, trust.PublicKey(devices[at].Key), now)
	if err != nil {
		return err
	}
	lease := trust.NewLease(root, f.id, d.Device, now)
	return errors.Join(
		s.PutOrders(ctx, []store.OrderRow{{
			ID: f.id, Device: d.Device, Asset: d.Asset, Cycle: d.Cycle, Ring: d.Ring, Verb: string(trust.Apply), Seq: seq,
			Envelope: order.Seal(keys.Dispatcher), Issued: now, Expires: order.NotAfter,
		}}),
		s.PutLeases(ctx, []store.LeaseRow{{Order: f.id, Lease: lease.Seal(keys.Lease), Until: lease.NotAfter}}),
	)
}

// rowOf is a machine's part in a cycle.
func rowOf(ctx context.Context, s *store.Store, id patching.CycleID, asset patching.AssetID) (patching.Deployment, error) {
	rows, err := s.Deployments(ctx, store.DeploymentFilter{Cycle: id, Asset: asset})
	if err != nil {
		return patching.Deployment{}, err
	}
	if len(rows) != 1 {
		return patching.Deployment{}, fmt.Errorf("%d rows of %s in %s", len(rows), asset, id)
	}
	return rows[0], nil
}

// warrantOf reads what an order rests on out of its envelope.
func warrantOf(ctx context.Context, s *store.Store, id patching.OrderID) (*trust.Warrant, error) {
	rows, err := s.Orders(ctx, []patching.OrderID{id})
	if err != nil {
		return nil, err
	}
	if len(rows) != 1 {
		return nil, fmt.Errorf("order %s is not there", id)
	}
	var envelope struct {
		Payload []byte `json:"payload"`
	}
	if err := json.Unmarshal(rows[0].Envelope, &envelope); err != nil {
		return nil, err
	}
	var order trust.Order
	if err := json.Unmarshal(envelope.Payload, &order); err != nil {
		return nil, err
	}
	w := new(trust.Warrant)
	return w, json.Unmarshal(order.Grant, w)
}
