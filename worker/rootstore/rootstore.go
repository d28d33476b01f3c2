// Package rootstore lets the root relay keep its orders in the store. Neither
// knows the other: the store keeps facts and calls nobody, and what speaks to
// machines links no database.
package rootstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Store is a [root.Store] over a database. What both spell alike is the
// store's own.
type Store struct{ *store.Store }

var _ root.Store = Store{}

// Enrol implements [root.Store].
func (s Store) Enrol(ctx context.Context, token patching.Digest, now time.Time, d patching.Device, a patching.Asset) (patching.Device, error) {
	enrolled, err := s.Store.Enrol(ctx, token, now, d, a)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return enrolled, &uplink.Error{Status: http.StatusForbidden, Words: "the enrolment token is not known here; make a new one with: patchcycle enrol token"}
	case errors.Is(err, store.ErrTokenSpent):
		return enrolled, &uplink.Error{Status: http.StatusForbidden, Words: store.ErrTokenSpent.Error()}
	case errors.Is(err, store.ErrTokenExpired):
		return enrolled, &uplink.Error{Status: http.StatusForbidden, Words: store.ErrTokenExpired.Error()}
	}
	return enrolled, err
}

// Content implements [root.Store].
func (s Store) Content(ctx context.Context, d patching.Digest) ([]byte, error) {
	text, err := s.Store.Content(ctx, d)
	return text, notFound(err)
}

// PutOrders implements [root.Store].
func (s Store) PutOrders(ctx context.Context, orders []root.Order) error {
	rows := make([]store.OrderRow, len(orders))
	for i, o := range orders {
		rows[i] = store.OrderRow(o)
	}
	return s.Store.PutOrders(ctx, rows)
}

// PutLeases implements [root.Store].
func (s Store) PutLeases(ctx context.Context, leases []root.Lease) error {
	rows := make([]store.LeaseRow, len(leases))
	for i, l := range leases {
		rows[i] = store.LeaseRow(l)
	}
	return s.Store.PutLeases(ctx, rows)
}

// PendingOrders implements [root.Store].
func (s Store) PendingOrders(ctx context.Context, devices []patching.DeviceID, now time.Time) ([]root.Order, error) {
	return orders(s.Store.PendingOrders(ctx, devices, now))
}

// Orders implements [root.Store].
func (s Store) Orders(ctx context.Context, ids []patching.OrderID) ([]root.Order, error) {
	return orders(s.Store.Orders(ctx, ids))
}

// Deployment implements [root.Store].
func (s Store) Deployment(ctx context.Context, c patching.CycleID, a patching.AssetID) (patching.Deployment, error) {
	found, err := s.Deployments(ctx, store.DeploymentFilter{Cycle: c, Asset: a, Limit: 1})
	if err != nil {
		return patching.Deployment{}, err
	}
	if len(found) == 0 {
		return patching.Deployment{}, root.ErrNotFound
	}
	return found[0], nil
}

func orders(rows []store.OrderRow, err error) ([]root.Order, error) {
	out := make([]root.Order, len(rows))
	for i, o := range rows {
		out[i] = root.Order(o)
	}
	return out, err
}

func notFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", root.ErrNotFound, err)
	}
	return err
}
