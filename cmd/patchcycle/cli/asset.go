package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newAsset(e *env) *cobra.Command {
	return group("asset", "Look at machines and what they miss, and find those that nobody manages",
		newAssetList(e), newAssetShow(e), newAssetFindings(e), newAssetSet(e), newAssetImport(e), newAssetSweep(e), newAssetReconcile(e))
}

type assetListOptions struct {
	site, text string
	limit      int
	json       bool
}

func newAssetList(e *env) *cobra.Command {
	var o assetListOptions
	c := &cobra.Command{
		Use: "list", Short: "List machines", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().StringVar(&o.site, "site", "", "those of one site")
	c.Flags().StringVar(&o.text, "text", "", "those with this in id, hostname, serial, owner, business unit or addresses")
	countFlag(c, &o.limit, "limit", 0, "at most so many (default: all)")
	jsonFlag(c, &o.json)
	return c
}

func (o assetListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all := wire.AssetPage{Items: []wire.Asset{}}
	q := client.AssetQuery{Site: patching.SiteName(o.site), Text: o.text}
	for more := true; more; more = q.After != "" {
		if q.Limit = left(o.limit, len(all.Items)); q.Limit == 0 {
			break
		}
		page, err := c.Assets(ctx, q)
		if err != nil {
			return err
		}
		all.Items = append(all.Items, page.Items...)
		all.Total, q.After = page.Total, page.Next
	}
	all.Next = q.After
	if o.json {
		return s.json(all)
	}
	var rows [][]string
	for _, a := range all.Items {
		seen := s.ago(a.Seen)
		if a.ClockOff != "" {
			seen += ", clock " + a.ClockOff
		}
		missing, security := "", "" // of whom nothing is known, which is not nought
		if !a.Inventoried.IsZero() {
			missing, security = fmt.Sprint(a.Missing), fmt.Sprint(a.Security)
		}
		rows = append(rows, []string{string(a.ID), a.Hostname, string(a.Site), a.OS, missing, security, yes(a.Reboot), cmp.Or(yes(a.Enrolled), "no"), seen})
	}
	s.list(rows, "No machine is known: let some enrol with \"patchcycle enrol token --site NAME\".",
		"MACHINE", "HOSTNAME", "SITE", "OS", "MISSING", "SECURITY", "REBOOT", "ENROLLED", "SEEN")
	return nil
}

// pageOf is how much is asked for at once.
const pageOf = 1000

// left is how many of the next page are wanted; limit 0 is all.
func left(limit, have int) int {
	if limit == 0 {
		return pageOf
	}
	return max(0, min(pageOf, limit-have))
}

type assetShowOptions struct{ json bool }

func newAssetShow(e *env) *cobra.Command {
	var o assetShowOptions
	c := &cobra.Command{
		Use: "show MACHINE", Short: "Show all that is known of a machine, and what it misses", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), args[0])
		},
	}
	jsonFlag(c, &o.json)
	return c
}

func (o assetShowOptions) run(ctx context.Context, s *session, name string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	id, err := s.machine(c, name)
	if err != nil {
		return err
	}
	a, err := c.Asset(ctx, id)
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.printAsset(a)
	var rows [][]string
	for _, p := range a.Patches {
		rows = append(rows, []string{p.Name, p.From, p.To, p.Origin, yes(p.Security), yes(p.NeedsReboot)})
	}
	none := "It misses nothing that its package manager offers."
	if a.Inventoried.IsZero() {
		none = "What it misses is not known."
	}
	s.list(rows, none, "MISSING PATCH", "FROM", "TO", "ORIGIN", "SECURITY", "REBOOT")
	if len(a.Outside) == 0 {
		return nil
	}
	rows = nil
	for _, o := range a.Outside {
		rows = append(rows, []string{o.Name, cmp.Or(o.From, "–"), cmp.Or(o.To, "removed"), s.when(o.After), s.when(o.Before)})
	}
	s.say("")
	s.list(rows, "", "CHANGED OUTSIDE OF PATCHCYCLE", "FROM", "TO", "AFTER", "BEFORE")
	return nil
}

func (s *session) printAsset(a wire.AssetDetail) {
	packages, missing := "not known: it has sent no inventory", ""
	if !a.Inventoried.IsZero() {
		packages = fmt.Sprint(a.Packages)
		missing = fmt.Sprintf("%s, %d of them for security", phrase.Count(a.Missing, "patch", "patches"), a.Security)
	}
	s.fields(
		"Machine", string(a.ID), "Hostname", a.Hostname, "Site", string(a.Site), "Zone", a.Zone,
		"System", strings.TrimSpace(a.OS+" "+a.Arch), "Kernel", a.Kernel, "Package manager", a.Manager,
		"Packages", packages, "Missing", missing,
		"Kept back", strings.Join(a.KeptBack, ", "), "Half installed", strings.Join(a.Broken, ", "), "Reboot pending", yes(a.Reboot),
		"Owner", a.Owner, "Business unit", a.BusinessUnit, "Criticality", string(a.Criticality), "Exposure", string(a.Exposure),
		"Data class", a.DataClass, "Tags", strings.Join(a.Tags, ", "), "Services", strings.Join(a.Services, ", "),
		"Addresses", strings.Join(append(a.Addresses, a.MACs...), ", "), "Serial", a.Serial, "Cloud", a.Cloud,
		"Model", strings.TrimSpace(a.Vendor+" "+a.Model), "Lets patchcycle", strings.Join(a.Allowed, ", "), "Also patched by", strings.Join(a.OtherManagers, ", "),
		"Patchcycle itself", yes(a.CarriesPatchcycle), "Heard through", a.Relay, "Enrolled as", string(a.Device),
		"Listed by", listedBy(s, a.Imported), "Seen", s.when(a.Seen), "Clock off", a.ClockOff, "Inventory of", s.when(a.Inventoried))
}

// listedBy are the lists from elsewhere that told of a machine.
func listedBy(s *session, all []wire.Imported) string {
	var words []string
	for _, i := range all {
		words = append(words, fmt.Sprintf("%s (%s, %s)", i.Source, i.By, s.when(i.At)))
	}
	return strings.Join(words, ", ")
}

type assetSetOptions struct {
	site, owner, unit, criticality, exposure, dataClass string
	tags, services                                      []string
	json                                                bool
}

func newAssetSet(e *env) *cobra.Command {
	var o assetSetOptions
	c := &cobra.Command{
		Use: "set MACHINE", Short: "Say of a machine what it does not say itself", Args: exactly(1),
		Long:    "Say of a machine what it does not say itself. What is not given stays as it is.",
		Example: "patchcycle asset set web-1 --owner shop-team --criticality high",
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), args[0])
		},
	}
	f := c.Flags()
	f.StringVar(&o.site, "site", "", "where it stands")
	f.StringVar(&o.owner, "owner", "", "who answers for it")
	f.StringVar(&o.unit, "business-unit", "", "whose it is")
	choiceFlag(c, &o.criticality, "criticality", "what its loss costs", patching.Low, patching.Medium, patching.High, patching.MissionCritical, patching.CriticalityUnknown)
	choiceFlag(c, &o.exposure, "exposure", "from where it can be reached", patching.Internet, patching.Internal, patching.Isolated, patching.ExposureUnknown)
	f.StringVar(&o.dataClass, "data-class", "", "how sensitive its data are")
	f.StringSliceVar(&o.tags, "tag", nil, "all its tags, for policies to select by")
	f.StringSliceVar(&o.services, "service", nil, "all services that it belongs to")
	jsonFlag(c, &o.json)
	return c
}

func (o assetSetOptions) run(ctx context.Context, s *session, name string) error {
	given := s.cmd.Flags().Changed
	var f wire.AssetFacts
	if given("site") {
		f.Site = new(patching.SiteName(o.site))
	}
	if given("owner") {
		f.Owner = &o.owner
	}
	if given("business-unit") {
		f.BusinessUnit = &o.unit
	}
	if given("criticality") {
		f.Criticality = new(patching.Criticality(o.criticality))
	}
	if given("exposure") {
		f.Exposure = new(patching.Exposure(o.exposure))
	}
	if given("data-class") {
		f.DataClass = &o.dataClass
	}
	if given("tag") {
		f.Tags = &o.tags
	}
	if given("service") {
		f.Services = &o.services
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	id, err := s.machine(c, name)
	if err != nil {
		return err
	}
	a, err := c.SetAssetFacts(ctx, id, f)
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.printAsset(a)
	return nil
}
