// Package offline does what needs no server: it works on files alone.
package offline

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/cli"
	"github.com/patchcycle/patchcycle/cmd/patchcycle/tables"
	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Assess assesses a machine by an inventory and a folder of feeds.
func Assess(ctx context.Context, o cli.AssessOptions) (cli.Assessment, error) {
	host, err := readInventory(o)
	if err != nil {
		return cli.Assessment{}, err
	}
	regimes, err := regimesOf(o)
	if err != nil {
		return cli.Assessment{}, err
	}
	info, err := os.Stat(o.Feeds)
	switch {
	case err != nil:
		return cli.Assessment{}, cli.Fail(cli.ExitUsage, "Give the folder that the feeds were downloaded into.", "feeds: %v", err)
	case !info.IsDir():
		return cli.Assessment{}, cli.Fail(cli.ExitUsage, "Give the folder that it is in.", "feeds: %s is a file", o.Feeds)
	}
	files, refused, err := advisories.ReadFolder(ctx, os.DirFS(o.Feeds), advisories.DefaultLimits())
	if err != nil {
		return cli.Assessment{}, fmt.Errorf("feeds: %w", err)
	}
	files, refused = advisories.Link(files, refused, nil, o.Now)
	k := advisories.Learn(files)
	feeds, unread := lines(files)
	for _, r := range refused {
		feeds = append(feeds, cli.AssessedFeed{File: r.Name, Refused: r.Err.Error()})
	}
	m := assess.Machine{Platform: host.OS, Packages: host.Packages, Kernel: host.Kernel, Entitlements: o.Entitlements}
	if host.OS.ID == "windows" {
		m.Packages = windowsBuild(host, k.Advisories)
	} else {
		m.Offers = assess.Candidates(k.Offers, host.OS, host.Packages)
	}
	asset := patching.Asset{Hostname: host.Hostname, Exposure: host.Exposure, Criticality: host.Criticality, DataClass: host.DataClass}
	sheet := assess.NewSheet(k, m, asset, assess.Judgement{Regimes: regimes, Unknown: urgency.Unknown(o.Unknown), AsOf: o.AsOf})
	if host.Guessed != "" {
		sheet.BlindSpots = append(sheet.BlindSpots, assess.BlindSpot{
			What: "the system", Why: fmt.Sprintf("The inventory does not name it: %s %s by %s.", host.OS.ID, host.OS.Release, host.Guessed),
		})
	}
	if host.OS.ID == "windows" && strings.Count(host.Build, ".") == 2 {
		sheet.BlindSpots = append(sheet.BlindSpots, assess.BlindSpot{
			What: "the build", Why: "The last of its numbers is not in the inventory: it is taken from the newest update that is installed and that a feed knows, or counts as 0.",
		})
	}
	return cli.Assessment{Sheet: sheet, Feeds: feeds, Unread: unread}, nil
}

func readInventory(o cli.AssessOptions) (inventories.Host, error) {
	in := o.Stdin
	if o.Inventory != "-" {
		f, err := os.Open(o.Inventory)
		if err != nil {
			return inventories.Host{}, cli.Fail(cli.ExitUsage, "Give a file that can be read, or - for standard input.", "inventory: %v", err)
		}
		defer f.Close()
		in = f
	}
	host, err := inventories.Read(in)
	if err != nil {
		return host, cli.Fail(cli.ExitUsage, "docs/assess.md shows what is read.", "inventory %s: %v", o.Inventory, err)
	}
	if o.OS != "" {
		id, release, ok := strings.Cut(o.OS, ":")
		if !ok {
			return host, cli.Fail(cli.ExitUsage, "Write ID:VERSION as /etc/os-release has them, such as debian:12.", "--os %q has no colon", o.OS)
		}
		if id == "" || release == "" {
			return host, cli.Fail(cli.ExitUsage, "Write ID:VERSION as /etc/os-release has them, such as debian:12.", "--os %q names no system", o.OS)
		}
		host.OS, host.Guessed = patching.Platform{ID: strings.ToLower(id), Release: release}, ""
	}
	return host, nil
}

func regimesOf(o cli.AssessOptions) ([]urgency.Table, error) {
	all, err := tables.With(o.Tables...)
	if err != nil {
		return nil, cli.Fail(cli.ExitUsage, "docs/urgency.md shows what a table looks like.", "%v", err)
	}
	if len(o.Regimes) == 0 {
		return all, nil
	}
	chosen, err := urgency.Select(all, o.Regimes...)
	if err != nil {
		return nil, cli.Fail(cli.ExitUsage, "docs/urgency.md lists them.", "--regime: %v", err)
	}
	return chosen, nil
}

// lines are the feeds as they were read, and the names of the files that say nothing.
func lines(files []advisories.File) ([]cli.AssessedFeed, []string) {
	feeds, unread := []cli.AssessedFeed{}, []string{}
	for _, f := range files {
		if len(f.Feeds) == 0 {
			unread = append(unread, f.Name)
			continue
		}
		line := cli.AssessedFeed{File: f.Name, Feeds: f.Feeds, Revision: f.Revision, Records: f.Records(), Documents: f.Documents, Skipped: f.Skipped}
		if !f.Made.IsZero() {
			line.Made = &f.Made
		}
		if len(f.Lists) > 0 {
			signed := advisories.Signed([]advisories.File{f})
			line.Signed = &signed
		}
		feeds = append(feeds, line)
	}
	return feeds, unread
}

// windowsBuild is Windows as one package, whose version is its build. Where only the first
// three numbers of that are known, the newest of the updates that are installed tells the
// fourth; where no feed knows one of those, it counts as the build of the first day.
func windowsBuild(host inventories.Host, known *assess.Index) patching.PackageSet {
	build := host.Build
	if strings.Count(build, ".") == 2 {
		build = known.BuildOf(host.OS, build, host.KBs)
	}
	return patching.PackageSet{Packages: []patching.Package{{Name: "windows", Version: build}}}
}
