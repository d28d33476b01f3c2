package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

type backupInput struct {
	Place string `path:"place" maxLength:"64"`
}

func (s *server) addBackups(api huma.API) {
	handle(s, api, about("backups", "list-backups", http.MethodGet, "/backups", "List what is known of machines' backups"), s.listBackups)
	op := about("backups", "check-backups", http.MethodPost, "/backups/{place}/check", "Ask a place with backups, and verify what it holds")
	op.Description = "It waits for a while: reading a large repository takes hours, and goes on when the answer says that it is running."
	handle(s, api, op, s.checkBackups)
}

func (s *server) listBackups(ctx context.Context, _ *struct{}) (wire.Backups, error) {
	out := wire.Backups{Places: []wire.BackupPlace{}, Machines: []wire.MachineBackup{}, Lacking: []wire.Lacking{}}
	if s.Backups == nil {
		return out, nil
	}
	places, trouble := s.Backups.Places()
	out.Places, out.Trouble = append(out.Places, places...), trouble
	who := account(ctx)
	lacking, err := s.Backups.Lacking(ctx)
	if err != nil {
		return out, err
	}
	for _, l := range lacking {
		if seesInCycle(who, l.Policy, l.Site) {
			out.Lacking = append(out.Lacking, l)
		}
	}
	rows, err := s.Store.Backups(ctx, store.BackupFilter{})
	if err != nil {
		return out, err
	}
	sites, err := s.sitesOf(ctx, rows)
	if err != nil {
		return out, err
	}
	for _, b := range rows {
		site, known := sites[b.Asset]
		if !seesAllSites(who) && (!known || !seesSite(who, site)) {
			continue
		}
		out.Machines = append(out.Machines, wire.MachineBackup{
			Place: b.Source, Host: b.Host, Asset: b.Asset, Site: site, Last: b.Last, Verified: b.Verified, Proof: b.Proof, Checked: b.Checked,
		})
	}
	return out, nil
}

func (s *server) sitesOf(ctx context.Context, rows []patching.Backup) (map[patching.AssetID]patching.SiteName, error) {
	var ids []patching.AssetID
	for _, b := range rows {
		if b.Asset != "" {
			ids = append(ids, b.Asset)
		}
	}
	out := map[patching.AssetID]patching.SiteName{}
	if len(ids) == 0 {
		return out, nil
	}
	assets, err := s.Store.Assets(ctx, store.AssetFilter{IDs: ids})
	for _, a := range assets {
		out[a.ID] = a.Site
	}
	return out, err
}

func (s *server) checkBackups(ctx context.Context, in *backupInput) (wire.BackupPlace, error) {
	if s.Backups == nil {
		return wire.BackupPlace{}, absent(aPlace, in.Place, store.ErrNotFound)
	}
	out, err := s.Backups.Check(ctx, in.Place)
	if err != nil {
		return out, absent(aPlace, in.Place, err)
	}
	return out, s.note(ctx, "verify backups", in.Place, "asked for a check")
}
