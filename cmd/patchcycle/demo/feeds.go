package demo

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/fixtures/debian"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// demoFeeds are what the demo's server knows of the flaws of its fleet, by the files that
// they are imported from: a demo asks nobody on the network.
var demoFeeds = map[patching.FeedName]string{
	"debian-changelogs": "advisories.yaml", "epss": "epss_scores.csv", "kev": "known_exploited_vulnerabilities.json.gz",
}

// importFeeds gives the server what is known of the updates' flaws, once.
func (d *demo) importFeeds(ctx context.Context) error {
	there, err := d.people.Admin.Feeds(ctx)
	if err != nil {
		return err
	}
	files := debian.Feeds()
	for name, file := range demoFeeds {
		if slices.ContainsFunc(there.Items, func(f wire.Feed) bool { return f.Name == name && f.Edition != nil }) {
			continue
		}
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return fmt.Errorf("feed of the demo: %w", err)
		}
		var packed bytes.Buffer
		w := tar.NewWriter(&packed)
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o600, Size: int64(len(text))}); err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		sync, err := d.people.Admin.ImportFeed(ctx, name, "the demo's own "+file, "", &packed)
		if err != nil {
			return fmt.Errorf("feed %s: %w", name, err)
		}
		if sync.Result != patching.FeedNew && sync.Result != patching.FeedUnchanged {
			return fmt.Errorf("feed %s was %s: %s", name, sync.Result, sync.Why)
		}
	}
	return nil
}

// importAssets says of the simulated machines what their owners' list of assets would:
// whose they are, from where they can be reached and what their loss costs. Without that
// all of it counts as the worst.
func (d *demo) importAssets(ctx context.Context) error {
	machines, err := truth.Draw(trial.Profile(d.Machines, d.Seed))
	if err != nil {
		return err
	}
	list := wire.AssetList{Source: "the demo's list of assets"}
	for i, m := range machines {
		f := m.Facts
		list.Rows = append(list.Rows, wire.ListedAsset{
			Line: i + 1, Hostname: f.Hostname, Serial: f.Serial, Owner: f.Owner, BusinessUnit: f.BusinessUnit,
			Criticality: f.Criticality, Exposure: f.Exposure, DataClass: f.DataClass,
		})
	}
	seen, err := d.people.Admin.ImportAssets(ctx, list)
	if err != nil {
		return fmt.Errorf("list of assets: %w", err)
	}
	list.Agreed = seen.Digest
	if _, err := d.people.Admin.ImportAssets(ctx, list); err != nil {
		return fmt.Errorf("list of assets: %w", err)
	}
	return nil
}
