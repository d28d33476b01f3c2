// Package offline does what needs no server: it works on files alone.
package offline

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/cli"
	"github.com/patchcycle/patchcycle/cmd/patchcycle/tables"
	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Assess assesses a machine by an inventory and a folder of feeds.
func Assess(ctx context.Context, o cli.AssessOptions) (cli.Assessment, error) {
	regimes, err := regimesOf(o)
	if err != nil {
		return cli.Assessment{}, err
	}
	d, err := lay(ctx, o)
	if err != nil {
		return cli.Assessment{}, err
	}
	asset := patching.Asset{Hostname: d.host.Hostname, Exposure: d.host.Exposure, Criticality: d.host.Criticality, DataClass: d.host.DataClass}
	sheet := assess.NewSheet(d.known, d.machine, asset, assess.Judgement{Regimes: regimes, Unknown: urgency.Unknown(o.Unknown), AsOf: o.AsOf})
	sheet.BlindSpots = append(sheet.BlindSpots, d.doubts()...)
	return cli.Assessment{Sheet: sheet, Feeds: d.feeds, Unread: d.unread}, nil
}

// desk is what lies ready: a machine, and what feeds say.
type desk struct {
	host    inventories.Host
	machine assess.Machine
	known   assess.Knowledge
	feeds   []cli.AssessedFeed
	unread  []string
}

func lay(ctx context.Context, o cli.AssessOptions) (d desk, err error) {
	if d.host, err = readInventory(o); err != nil {
		return d, err
	}
	info, err := os.Stat(o.Feeds)
	switch {
	case err != nil:
		return d, cli.Fail(cli.ExitUsage, "Give the folder that the feeds were downloaded into.", "feeds: %v", err)
	case !info.IsDir():
		return d, cli.Fail(cli.ExitUsage, "Give the folder that it is in.", "feeds: %s is a file", o.Feeds)
	}
	files, refused, err := advisories.ReadFolder(ctx, os.DirFS(o.Feeds), advisories.DefaultLimits())
	if err != nil {
		return d, fmt.Errorf("feeds: %w", err)
	}
	files, refused = advisories.Link(files, refused, nil, o.Now)
	d.known = advisories.Learn(files)
	d.feeds, d.unread = lines(files)
	for _, r := range refused {
		d.feeds = append(d.feeds, cli.AssessedFeed{File: r.Name, Refused: r.Err.Error()})
	}
	host := d.host
	d.machine = assess.Machine{Platform: host.OS, Packages: host.Packages, Kernel: host.Kernel, Entitlements: o.Entitlements}
	if host.OS.ID == "windows" {
		d.machine.Packages = windowsBuild(host, d.known.Advisories)
	} else {
		d.machine.Offers = assess.Candidates(d.known.Offers, host.OS, host.Packages)
		d.machine.Foreign = assess.ForeignBy(d.known.Offers, host.OS, host.Packages)
	}
	return d, nil
}

// doubts are what the inventory leaves open.
func (d desk) doubts() (all []assess.BlindSpot) {
	spot := func(what, format string, args ...any) {
		all = append(all, assess.BlindSpot{What: what, Why: fmt.Sprintf(format, args...)})
	}
	host := d.host
	if host.Guessed != "" {
		spot("the system", "The inventory does not name it: %s %s by %s.", host.OS.ID, host.OS.Release, host.Guessed)
	}
	if host.OS.ID == "windows" {
		switch strings.Count(host.Build, ".") {
		case 0, 1:
			spot("the build", "The inventory names no build of Windows, by which updates are told: give it with --os windows:10.0.20348.")
		case 2:
			spot("the build", "The last of its numbers is not in the inventory: it is taken from the newest update that is installed and that a feed knows, or counts as 0.")
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(host.Others)) {
		spot("components of "+kind, "%s that no package manager of the system installed: advisories about them are not matched.", phrase.Count(host.Others[kind], "component"))
	}
	return all
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
		if host.OS.ID == "windows" {
			host.SetWindows(release)
		}
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
