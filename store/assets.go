package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// AssetFilter chooses assets. The zero filter takes all.
type AssetFilter struct {
	Site patching.SiteName
	// Text is looked for in id, hostname, serial, owner, business unit and addresses.
	Text string
	// IDs takes these only.
	IDs []patching.AssetID
	// After continues after an id; Limit bounds the answer, 0 does not.
	After patching.AssetID
	Limit int
}

// assetsTable has first what a machine says of itself, see machineFacts.
var assetsTable = table{"assets", append(append(
	text("id", "hostname", "addresses", "macs", "serial", "cloud", "vendor", "model", "os_family", "os_name", "os_release",
		"os_revision", "os_kernel", "os_arch", "zone", "manager", "agent", "packages", "candidates", "allowed", "other_managers", "broken"),
	Column{"reboot_pending", Bool}, Column{"carries_patchcycle", Bool}, Column{"inventoried", Int}),
	text("device", "site", "business_unit", "owner", "tags", "exposure", "criticality", "data_class", "services")...)}

// machineFacts is how many columns of assetsTable an inventory sets, the id included.
const machineFacts = 25

// assetColumns reads an asset a with its device d, where there is one. A device
// that nobody accepted, or that was revoked, is not the asset's.
const (
	assetColumns = `a.id, CASE WHEN d.state IN ('accepted', 'quarantined') THEN a.device ELSE '' END,
		a.hostname, a.site, a.addresses, a.macs, a.serial, a.cloud, a.vendor, a.model,
		a.os_family, a.os_name, a.os_release, a.os_revision, a.os_kernel, a.os_arch,
		a.zone, a.business_unit, a.owner, a.tags, a.exposure, a.criticality, a.data_class, a.services,
		a.manager, a.agent, a.packages, a.candidates, a.allowed, a.other_managers, a.broken, a.reboot_pending, a.carries_patchcycle,
		COALESCE(d.relay, ''), COALESCE(d.seen, 0), COALESCE(d.clock_off, 0), a.inventoried`
	assetsJoined = " FROM assets a LEFT JOIN devices d ON d.id = a.device"
)

// PutAsset keeps what the server knows of an asset: see [Store.PutAssets].
func (s *Store) PutAsset(ctx context.Context, a patching.Asset) error {
	return s.PutAssets(ctx, []patching.Asset{a})
}

// PutAssets keeps what the server knows of assets: site, owner, business unit,
// tags, exposure, criticality, data class, services, and whether patchcycle
// itself runs there. What a machine says of itself is taken from here only
// until its first inventory. Device, Relay, Seen and ClockOff come from enrolment
// and from what devices say alone.
func (s *Store) PutAssets(ctx context.Context, assets []patching.Asset) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error { return t.putAssets(ctx, assets) })
	if err != nil {
		return fmt.Errorf("keep %d assets: %w", len(assets), err)
	}
	return nil
}

func (t *tx) putAssets(ctx context.Context, assets []patching.Asset) error {
	said := assignments(assetsTable.columns[1:machineFacts])
	kept := "carries_patchcycle = v.carries_patchcycle, " + assignments(assetsTable.columns[machineFacts+1:])
	rows, err := assetRows(assets)
	if err != nil {
		return err
	}
	// What is new needs no update, and a list from elsewhere may be all new.
	added, err := t.merge(ctx, assetsTable, "(id) DO NOTHING", rows)
	if err != nil || added == int64(len(rows)) {
		return err
	}
	for _, query := range []string{
		"UPDATE assets SET " + said + " FROM {rows} AS v WHERE assets.id = v.id AND assets.inventoried = 0",
		"UPDATE assets SET " + kept + " FROM {rows} AS v WHERE assets.id = v.id",
	} {
		if _, err := t.bulk(ctx, query, assetsTable.columns, rows); err != nil {
			return err
		}
	}
	return nil
}

// Asset returns an asset by its id.
func (s *Store) Asset(ctx context.Context, id patching.AssetID) (patching.Asset, error) {
	a, err := one(ctx, s.reader(), scanAsset, "SELECT "+assetColumns+assetsJoined+" WHERE a.id = ?", string(id))
	if err != nil {
		return a, fmt.Errorf("asset %s: %w", id, err)
	}
	return a, nil
}

// Assets returns the assets that the filter takes, ordered by id.
func (s *Store) Assets(ctx context.Context, want AssetFilter) ([]patching.Asset, error) {
	f := s.filter()
	f.equal("a.site", string(want.Site))
	f.within("a.id", list(want.IDs))
	if want.Text != "" {
		p := pattern(want.Text)
		f.and(`LOWER(a.id || ' ' || a.hostname || ' ' || a.serial || ' ' || a.owner || ' ' || a.business_unit || ' ' || a.addresses) LIKE ? ESCAPE '\'`, p)
	}
	if want.After != "" {
		f.and("a.id > ?", string(want.After))
	}
	query := "SELECT " + assetColumns + assetsJoined + f.where() + " ORDER BY a.id"
	query += f.limit(want.Limit)
	out, err := all(ctx, s.reader(), scanAsset, query, f.args...)
	if err != nil {
		return nil, fmt.Errorf("list assets: %w", err)
	}
	return out, nil
}

// CountAssets returns how many assets are known.
func (s *Store) CountAssets(ctx context.Context) (int, error) {
	var n int
	if err := s.reader().row(ctx, []any{&n}, "SELECT COUNT(*) FROM assets"); err != nil {
		return 0, fmt.Errorf("count assets: %w", err)
	}
	return n, nil
}

// assetRows refuses an asset without an id; of two with the same id the later counts.
func assetRows(assets []patching.Asset) ([][]any, error) {
	rows := make([][]any, 0, len(assets))
	at := make(map[patching.AssetID]int, len(assets))
	for _, a := range assets {
		if a.ID == "" {
			return nil, errors.New("one of them has no id")
		}
		a.Device = ""
		if i, twice := at[a.ID]; twice {
			rows[i] = assetRow(a)
			continue
		}
		at[a.ID] = len(rows)
		rows = append(rows, assetRow(a))
	}
	return rows, nil
}

// assetRow has the columns of assetsTable.
func assetRow(a patching.Asset) []any {
	return append(factsRow(a),
		string(a.Device), string(a.Site), a.BusinessUnit, a.Owner, jsonText(a.Tags), string(a.Exposure), string(a.Criticality),
		a.DataClass, jsonText(a.Services))
}

// factsRow has the first columns of assetsTable, which a machine sets.
func factsRow(a patching.Asset) []any {
	return []any{
		string(a.ID), a.Hostname, jsonText(a.Addresses), jsonText(a.MACs), a.Serial, a.Cloud, a.Vendor, a.Model,
		a.OS.Family, a.OS.Name, a.OS.Release, a.OS.Revision, a.OS.Kernel, a.OS.Arch, a.Zone, a.Manager, a.Agent,
		string(a.Packages), string(a.Candidates), jsonText(a.Allowed), jsonText(a.OtherManagers), jsonText(a.Broken),
		a.RebootPending, a.CarriesPatchcycle, micros(a.Inventoried),
	}
}

func scanAsset(row scanner) (patching.Asset, error) {
	var a patching.Asset
	err := row.Scan(&a.ID, &a.Device,
		&a.Hostname, &a.Site, document{&a.Addresses}, document{&a.MACs}, &a.Serial, &a.Cloud, &a.Vendor, &a.Model,
		&a.OS.Family, &a.OS.Name, &a.OS.Release, &a.OS.Revision, &a.OS.Kernel, &a.OS.Arch,
		&a.Zone, &a.BusinessUnit, &a.Owner, document{&a.Tags}, &a.Exposure, &a.Criticality, &a.DataClass, document{&a.Services},
		&a.Manager, &a.Agent, &a.Packages, &a.Candidates, document{&a.Allowed}, document{&a.OtherManagers}, document{&a.Broken}, &a.RebootPending, &a.CarriesPatchcycle,
		&a.Relay, instant{&a.Seen}, span{&a.ClockOff}, instant{&a.Inventoried})
	return a, err
}
