package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/lab/bench/back"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/worker/rootstore"
)

// recordName is the server's store in its folder.
const recordName = "patchcycle.db"

// orderRestarts gives every machine an order to restart at a time, with its start
// permit, as a cycle's activities would. The server does not run meanwhile.
func orderRestarts(ctx context.Context, dir string, at time.Time) (err error) {
	st, err := sqlite.Open(ctx, filepath.Join(dir, recordName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	epoch, err := st.Epoch(ctx)
	if err != nil {
		return err
	}
	fleet, _, err := st.Setting(ctx, "fleet")
	if err != nil {
		return err
	}
	authority, err := root.OpenFolder(filepath.Join(dir, "keys"), fleet, epoch)
	if err != nil {
		return err
	}
	r, err := root.New(root.Options{Store: rootstore.Store{Store: st}, Authority: authority})
	if err != nil {
		return err
	}
	assets, err := st.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return err
	}
	const atOnce = 2000
	for len(assets) > 0 {
		some := assets[:min(atOnce, len(assets))]
		assets = assets[len(some):]
		var drafts []trust.Draft
		var ids []patching.OrderID
		for _, a := range some {
			d := trust.Draft{
				ID: patching.OrderID("restart-" + string(a.ID)), Asset: a.ID, Device: a.Device, Cycle: "cycle/bench/return", Ring: "all",
				Verb: trust.Reboot, Fence: 1, WindowRule: "always in UTC", Start: at, End: at.Add(6 * time.Hour), NotAfter: at.Add(7 * time.Hour),
			}
			drafts, ids = append(drafts, d), append(ids, d.ID)
		}
		if err := r.Dispatcher().Issue(ctx, drafts); err != nil {
			return err
		}
		if err := r.Dispatcher().Permit(ctx, ids); err != nil {
			return err
		}
	}
	return nil
}

// record is the server's store, read beside it.
type record struct{ *sql.DB }

func openRecord(dir string) (*record, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, recordName)+"?_pragma=query_only(1)&_pragma=busy_timeout(30000)")
	return &record{db}, err
}

func (r *record) count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = r.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, err
}

// check compares what is on record with what happened on the machines.
func (r *returnResult) check(ctx context.Context, record *record, s *server, dir string) error {
	rows, err := record.QueryContext(ctx, "SELECT stage, outcome, COUNT(*), COUNT(DISTINCT order_id) FROM receipts GROUP BY stage, outcome ORDER BY MIN(at)")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var sum back.Stage
		if err := rows.Scan(&sum.Name, &sum.Outcome, &sum.Receipts, &sum.Orders); err != nil {
			return err
		}
		r.Stages = append(r.Stages, sum)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	strangers, err := record.count(ctx, "SELECT COUNT(*) FROM devices WHERE state <> ?", patching.DeviceAccepted)
	if err != nil {
		return err
	}
	said, err := record.boots(ctx)
	if err != nil {
		return err
	}
	are, err := back.ReadBoots(dir)
	if err != nil {
		return err
	}
	if info, err := os.Stat(filepath.Join(s.dir, recordName)); err == nil {
		r.StoreMB = float64(info.Size()) / (1 << 20)
	}
	if r.Wrong == "" {
		r.Wrong = back.Wrong(r.Machines, r.Stages, strangers, said, are)
	}
	return nil
}

// boots returns in which boots the machines say that their order ended.
func (r *record) boots(ctx context.Context) (back.Boots, error) {
	rows, err := r.QueryContext(ctx, "SELECT boot FROM receipts WHERE stage = 'finished'")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	said := back.Boots{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		said[id] = true
	}
	return said, rows.Err()
}
