package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
)

type assetsInput struct {
	Site  patching.SiteName `query:"site"`
	Text  string            `query:"text" maxLength:"200" doc:"Looked for in id, hostname, serial, owner, business unit and addresses."`
	After patching.AssetID  `query:"after"`
	Limit int               `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type assetInput struct {
	Asset patching.AssetID `path:"asset"`
}

type factsInput struct {
	Asset patching.AssetID `path:"asset"`
	Body  wire.AssetFacts
}

func (s *server) addAssets(api huma.API) {
	handle(s, api, about("assets", "list-assets", http.MethodGet, "/assets", "List the machines in your scope"), s.listAssets)
	handle(s, api, about("assets", "get-asset", http.MethodGet, "/assets/{asset}", "Show all that is known of a machine, and what it misses"),
		func(ctx context.Context, in *assetInput) (wire.AssetDetail, error) { return s.asset(ctx, in.Asset) })
	handle(s, api, about("assets", "get-findings", http.MethodGet, "/assets/{asset}/findings", "Show which advisories are about a machine, and until when it has to be patched"), s.findings)
	op := about("assets", "set-asset-facts", http.MethodPatch, "/assets/{asset}", "Say of a machine what it does not say itself")
	op.Description = "What is left out stays as it is."
	handle(s, api, op, s.setFacts)
}

func (s *server) listAssets(ctx context.Context, in *assetsInput) (wire.AssetPage, error) {
	out := wire.AssetPage{Items: []wire.Asset{}}
	who := account(ctx)
	want := store.AssetFilter{Site: in.Site, Text: in.Text, After: in.After, Limit: in.Limit + 1}
	if !seesAllSites(who) {
		want.Limit = maxPage
	}
	var rows []patching.Asset
	for {
		page, err := s.Store.Assets(ctx, want)
		if err != nil {
			return out, err
		}
		for _, a := range page {
			if seesSite(who, a.Site) && len(rows) <= in.Limit {
				rows = append(rows, a)
			}
		}
		if len(rows) > in.Limit || len(page) < want.Limit {
			break
		}
		want.After = page[len(page)-1].ID
	}
	if len(rows) > in.Limit {
		rows = rows[:in.Limit]
		out.Next = rows[in.Limit-1].ID
	}
	sizes, err := s.offered(ctx, rows)
	if err != nil {
		return out, err
	}
	for i := range rows {
		out.Items = append(out.Items, assetShape(rows[i], sizes[rows[i].Candidates]))
	}
	if seesAllSites(who) {
		out.Total, err = s.Store.CountAssets(ctx)
	}
	return out, err
}

func (s *server) asset(ctx context.Context, id patching.AssetID) (wire.AssetDetail, error) {
	a, err := s.Store.Asset(ctx, id)
	if err != nil {
		return wire.AssetDetail{}, absent(aMachine, id, err)
	}
	if who := account(ctx); !seesSite(who, a.Site) {
		return wire.AssetDetail{}, outsideSite(who, a.Site)
	}
	out := wire.AssetDetail{
		Addresses: a.Addresses, MACs: a.MACs, Serial: a.Serial, Cloud: a.Cloud, Vendor: a.Vendor, Model: a.Model, Zone: a.Zone,
		Tags: a.Tags, DataClass: a.DataClass, Services: a.Services, Allowed: a.Allowed, OtherManagers: a.OtherManagers, Broken: a.Broken,
		CarriesPatchcycle: a.CarriesPatchcycle, Relay: a.Relay, Device: a.Device, Patches: []wire.MissingPatch{},
	}
	texts, err := s.Store.Contents(ctx, known(a.Packages, a.Candidates))
	if err != nil {
		return out, err
	}
	if text, ok := texts[a.Packages]; ok {
		set, err := patching.ParsePackageSet(text)
		if err != nil {
			return out, fmt.Errorf("packages of %s: %w", id, err)
		}
		out.Packages = len(set.Packages)
	}
	var n size
	if text, ok := texts[a.Candidates]; ok {
		set, err := patching.ParseCandidateSet(text)
		if err != nil {
			return out, fmt.Errorf("what is offered to %s: %w", id, err)
		}
		n = sizeOf(set)
		out.KeptBack = set.KeptBack
		for _, c := range set.Candidates {
			out.Patches = append(out.Patches, wire.MissingPatch{
				Name: c.Name, Arch: c.Arch, From: c.From, To: c.To, Origin: c.Origin, Security: c.Security, NeedsReboot: c.NeedsReboot, Bytes: c.Size,
			})
		}
	}
	out.Asset = assetShape(a, n)
	told, err := s.Store.Imports(ctx, id, importsShown)
	if err != nil {
		return out, err
	}
	for _, i := range told {
		out.Imported = append(out.Imported, wire.Imported{Source: i.Source, At: i.At, By: i.By})
	}
	out.Outside, err = s.outside(ctx, a)
	return out, err
}

// importsShown is how many of the lists that told of a machine are named.
const importsShown = 10

// outsideLooks is how many of the last inventories that showed other packages are
// looked through for changes that no order made.
const outsideLooks = 20

func (s *server) outside(ctx context.Context, a patching.Asset) ([]wire.OutsideChange, error) {
	changed, err := s.Store.Changes(ctx, a.ID, outsideLooks)
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	receipts, err := s.Store.Receipts(ctx, a.Device, "")
	if err != nil {
		return nil, err
	}
	sets := map[patching.Digest]patching.PackageSet{}
	for _, c := range changed {
		texts, err := s.Store.Contents(ctx, known(c.Before, c.After))
		if err != nil {
			return nil, err
		}
		for d, text := range texts {
			if sets[d], err = patching.ParsePackageSet(text); err != nil {
				return nil, fmt.Errorf("packages of %s: %w", a.ID, err)
			}
		}
	}
	var out []wire.OutsideChange
	for _, c := range changed {
		before, had := sets[c.Before]
		after, has := sets[c.After]
		if !had || !has {
			continue // a list that never came
		}
		for _, o := range assess.Outside(before, after, assess.DoneSince(receipts, c.Since)) {
			out = append(out, wire.OutsideChange{After: c.Since, Before: c.At, Name: o.Name, Arch: o.Arch, From: o.From, To: o.To})
		}
	}
	return out, nil
}

// setFacts changes what the server keeps of a machine. Whoever moves it to
// another site has to be in charge of both.
func (s *server) setFacts(ctx context.Context, in *factsInput) (wire.AssetDetail, error) {
	a, err := s.Store.Asset(ctx, in.Asset)
	if err != nil {
		return wire.AssetDetail{}, absent(aMachine, in.Asset, err)
	}
	who, site := account(ctx), a.Site
	var changed []string
	take := func(name string, set bool, do func()) {
		if set {
			changed = append(changed, name)
			do()
		}
	}
	f := in.Body
	take("site", f.Site != nil, func() { a.Site = *f.Site })
	take("owner", f.Owner != nil, func() { a.Owner = *f.Owner })
	take("business unit", f.BusinessUnit != nil, func() { a.BusinessUnit = *f.BusinessUnit })
	take("criticality", f.Criticality != nil, func() { a.Criticality = *f.Criticality })
	take("exposure", f.Exposure != nil, func() { a.Exposure = *f.Exposure })
	take("data class", f.DataClass != nil, func() { a.DataClass = *f.DataClass })
	take("tags", f.Tags != nil, func() { a.Tags = *f.Tags })
	take("services", f.Services != nil, func() { a.Services = *f.Services })
	switch {
	case len(changed) == 0:
		return wire.AssetDetail{}, invalid("body", "nothing to change was given")
	case !patching.ValidName(string(a.Site)):
		return wire.AssetDetail{}, invalid("body.site", "%q cannot name a site: lower-case letters, digits, dots and dashes", a.Site)
	}
	for _, where := range []patching.SiteName{site, a.Site} {
		if !who.CoversSite(where) {
			return wire.AssetDetail{}, outsideSite(who, where)
		}
	}
	words := strings.Join(changed, ", ") + ": " + body(in.Body)
	if err := s.change(ctx, "set facts", string(a.ID), words, func() error { return s.Store.PutAsset(ctx, a) }); err != nil {
		return wire.AssetDetail{}, err
	}
	return s.asset(ctx, in.Asset)
}

func outsideSite(who patching.Account, site patching.SiteName) *wire.Problem {
	return notAllowed(fmt.Sprintf("site %s is outside of what %s is limited to: %s.", site, who.Name, join(who.Scopes)))
}

func known(ds ...patching.Digest) []patching.Digest {
	var out []patching.Digest
	for _, d := range ds {
		if d != "" {
			out = append(out, d)
		}
	}
	return out
}

// size is how much a candidate set offers.
type size struct{ missing, security int }

func sizeOf(set patching.CandidateSet) size {
	n := size{missing: len(set.Candidates)}
	for _, c := range set.Candidates {
		if c.Security {
			n.security++
		}
	}
	return n
}

// sizes remembers candidate sets by their address: a fleet has few of them, and
// what an address says never changes.
type sizes struct {
	mu    sync.Mutex
	known map[patching.Digest]size
}

// sizesKept bounds the memory: some thousand sets are a fleet of 100,000.
const sizesKept = 10_000

// offered counts what the machines miss.
func (s *server) offered(ctx context.Context, assets []patching.Asset) (map[patching.Digest]size, error) {
	out := make(map[patching.Digest]size)
	var unknown []patching.Digest
	s.sizes.mu.Lock()
	for _, a := range assets {
		if _, seen := out[a.Candidates]; seen || a.Candidates == "" {
			continue
		}
		n, ok := s.sizes.known[a.Candidates]
		out[a.Candidates] = n
		if !ok {
			unknown = append(unknown, a.Candidates)
		}
	}
	s.sizes.mu.Unlock()
	texts, err := s.Store.Contents(ctx, unknown)
	if err != nil || len(unknown) == 0 {
		return out, err
	}
	for d, text := range texts {
		set, err := patching.ParseCandidateSet(text)
		if err != nil {
			return nil, fmt.Errorf("candidate set %s: %w", d.Short(), err)
		}
		out[d] = sizeOf(set)
	}
	s.sizes.mu.Lock()
	defer s.sizes.mu.Unlock()
	if s.sizes.known == nil || len(s.sizes.known) > sizesKept {
		s.sizes.known = make(map[patching.Digest]size)
	}
	for d := range texts {
		s.sizes.known[d] = out[d]
	}
	return out, nil
}

func assetShape(a patching.Asset, n size) wire.Asset {
	os := a.OS.Name
	if a.OS.Revision != "" && !strings.Contains(os, a.OS.Revision) {
		os = strings.TrimSpace(os + " " + a.OS.Revision)
	}
	clock := ""
	if a.ClockOff != 0 {
		clock = phrase.ClockOff(a.ClockOff)
	}
	return wire.Asset{
		ID: a.ID, Hostname: a.Hostname, Site: a.Site, Enrolled: a.Device != "", OS: os, Kernel: a.OS.Kernel, Arch: a.OS.Arch, Manager: a.Manager,
		Owner: a.Owner, BusinessUnit: a.BusinessUnit, Criticality: a.Criticality, Exposure: a.Exposure,
		Missing: n.missing, Security: n.security, Reboot: a.RebootPending, Seen: a.Seen, Inventoried: a.Inventoried, ClockOff: clock,
	}
}
