package api

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/reconcile"
	"github.com/patchcycle/patchcycle/store"
)

// maxList is what a list of assets may have in bytes: some hundred for each row.
const maxList = 64 << 20

// importAtMost is what a list of the largest size takes more than other requests.
const importAtMost = 2 * time.Minute

// onlyWeShown is how many of those that a list does not have are named.
const onlyWeShown = 1000

type assetsImport struct{ Body wire.AssetList }

func (s *server) addImports(api huma.API) {
	op := about("assets", "import-assets", http.MethodPost, "/assets/import", "Hold a list of machines against what is known, and take it in")
	op.Description = "Without a digest in agreed nothing is changed. With one, the changes are made if they are still those that it was about."
	op.MaxBodyBytes, op.BodyReadTimeout = maxList, importAtMost
	handle(s, api, op, s.importAssets)
}

func (s *server) importAssets(ctx context.Context, in *assetsImport) (wire.AssetComparison, error) {
	rows := make([]reconcile.Row, 0, len(in.Body.Rows))
	for i, r := range in.Body.Rows {
		row, err := listedRow(i, r)
		if err != nil {
			return wire.AssetComparison{}, err
		}
		rows = append(rows, row)
	}
	known, err := s.Store.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return wire.AssetComparison{}, err
	}
	found := reconcile.CompareAssets(rows, known)
	out := comparison(in.Body, found, known)
	if in.Body.Agreed == "" || in.Body.Agreed == out.Digest && out.Changes == 0 {
		return out, nil
	}
	if in.Body.Agreed != out.Digest {
		return wire.AssetComparison{}, conflict("What the list would change is something else by now than what was agreed to.", "Look at it again, and agree to that.")
	}
	words := fmt.Sprintf("%s, %d of them new: %s", phrase.Count(out.Changes, "machine"), out.OnlyThey, out.Digest)
	err = s.change(ctx, "import assets", in.Body.Source, words, func() error {
		return s.Store.PutImported(ctx, found.Changes, store.Import{Source: in.Body.Source, At: s.Now().UTC(), By: account(ctx).Name})
	})
	out.Applied = err == nil
	return out, err
}

// listedRow checks what the shape of the request cannot.
func listedRow(i int, r wire.ListedAsset) (reconcile.Row, error) {
	at := fmt.Sprintf("body.rows[%d]", i)
	switch {
	case r.Hostname == "" && r.Serial == "" && r.Cloud == "" && len(r.MACs) == 0 && len(r.Addresses) == 0:
		return reconcile.Row{}, invalid(at, "line %d: nothing tells which machine it is", r.Line)
	case r.Site != "" && !patching.ValidName(string(r.Site)):
		return reconcile.Row{}, invalid(at+".site", "line %d: %q cannot name a site: lower-case letters, digits, dots and dashes", r.Line, r.Site)
	}
	for _, a := range r.Addresses {
		if _, err := netip.ParseAddr(a); err != nil {
			return reconcile.Row{}, invalid(at+".addresses", "line %d: %.60q is no IP address", r.Line, a)
		}
	}
	return reconcile.Row{Line: r.Line, Asset: patching.Asset{
		Hostname: r.Hostname, Serial: r.Serial, Cloud: r.Cloud, MACs: r.MACs, Addresses: r.Addresses, Vendor: r.Vendor, Model: r.Model, OS: patching.OS{Name: r.OS},
		Site: r.Site, Owner: r.Owner, BusinessUnit: r.BusinessUnit, Criticality: r.Criticality, Exposure: r.Exposure, DataClass: r.DataClass, Tags: r.Tags, Services: r.Services,
	}}, nil
}

func comparison(list wire.AssetList, found reconcile.Assets, known []patching.Asset) wire.AssetComparison {
	out := wire.AssetComparison{
		Source: list.Source, Same: found.Count(reconcile.Same), Differs: found.Count(reconcile.Differs), OnlyThey: found.Count(reconcile.OnlyThey),
		Ambiguous: found.Count(reconcile.Ambiguous), Duplicates: found.Count(reconcile.Duplicate), OnlyWe: len(found.OnlyWe),
		Changes: len(found.Changes), Digest: string(found.Digest()), Rows: []wire.ComparedAsset{}, OnlyWeList: []wire.KnownAsset{},
	}
	names := make(map[patching.AssetID]string, len(known))
	for _, a := range known {
		names[a.ID] = a.Hostname
	}
	for _, r := range found.Rows {
		if r.Verdict == reconcile.Same && !r.Unmanaged && !list.All {
			continue
		}
		row := wire.ComparedAsset{
			Line: r.Line, Name: nameOfRow(r.Row), Verdict: string(r.Verdict), Asset: r.Match, Hostname: names[r.Match], Key: string(r.Key),
			Owner: r.Owner, Unmanaged: r.Unmanaged, Candidates: r.Candidates, Earlier: r.Earlier, Why: r.Why,
		}
		for _, d := range r.Differences {
			row.Differences = append(row.Differences, wire.AssetDifference{Field: string(d.Field), Theirs: d.Theirs, Ours: d.Ours, Taken: d.Taken})
		}
		out.Rows = append(out.Rows, row)
	}
	for i, a := range found.OnlyWe {
		if i == onlyWeShown {
			break
		}
		out.OnlyWeList = append(out.OnlyWeList, wire.KnownAsset{ID: a.ID, Hostname: a.Hostname, Site: a.Site, Enrolled: a.Device != ""})
	}
	return out
}

func nameOfRow(r reconcile.Row) string {
	for _, name := range []string{r.Hostname, r.Serial, r.Cloud, strings.Join(r.Addresses, ", "), strings.Join(r.MACs, ", ")} {
		if name != "" {
			return name
		}
	}
	return ""
}
