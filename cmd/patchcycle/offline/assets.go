package offline

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/cli"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/integrations/inventories/sweep"
)

// ReadAssets reads a list of assets.
func ReadAssets(_ context.Context, f cli.AssetFile) (cli.AssetTable, error) {
	in := f.Stdin
	if f.File != "-" {
		file, err := os.Open(f.File)
		if err != nil {
			return cli.AssetTable{}, cli.Fail(cli.ExitUsage, "Give a file that can be read, or - for standard input.", "%v", err)
		}
		defer file.Close()
		in = file
	}
	read, err := inventories.ReadCMDB(in, inventories.CMDBOptions{Map: f.Map, Encoding: f.Encoding})
	if err != nil {
		return cli.AssetTable{}, cli.Fail(cli.ExitUsage, "docs/inventories.md shows what is read.", "%s: %v", f.File, err)
	}
	var out cli.AssetTable
	for _, c := range read.Columns {
		out.Columns = append(out.Columns, cli.AssetColumn{Heading: c.Heading, Field: c.Field})
	}
	for _, r := range read.Rows {
		out.Rows = append(out.Rows, wire.ListedAsset{
			Line: r.Line, Hostname: r.Hostname, Serial: r.Serial, Cloud: r.Cloud, MACs: r.MACs, Addresses: r.Addresses, Vendor: r.Vendor, Model: r.Model,
			OS: r.OS.Name, Site: r.Site, Owner: r.Owner, BusinessUnit: r.BusinessUnit, Criticality: r.Criticality, Exposure: r.Exposure,
			DataClass: r.DataClass, Tags: r.Tags, Services: r.Services,
		})
	}
	for _, b := range read.Bad {
		out.Bad = append(out.Bad, b.Error())
	}
	return out, nil
}

// Sweep looks who answers in networks that a file lists.
func Sweep(ctx context.Context, o cli.SweepOptions) (cli.Swept, error) {
	config, err := sweep.ReadConfig(o.File)
	if err != nil {
		return cli.Swept{}, cli.Fail(cli.ExitUsage, "docs/inventories.md shows what it looks like: whoever owns the network writes it.", "%v", err)
	}
	own, err := ownAddresses()
	if err != nil {
		return cli.Swept{}, err
	}
	plan, err := config.Plan(o.Names, own)
	if err != nil {
		return cli.Swept{}, cli.Fail(cli.ExitUsage, "", "%v", err)
	}
	out := cli.Swept{Networks: o.Names, Addresses: len(plan.Targets), Probes: plan.Probes(), Rate: plan.Rate, Machines: []cli.SweptMachine{}}
	o.Planned(out.Addresses, out.Probes, out.Rate)
	if o.DryRun {
		return out, nil
	}
	how := sweep.Options{Progress: o.Progress, Names: nameOf}
	if o.NoNames {
		how.Names = nil
	}
	found, err := sweep.Run(ctx, plan, how)
	if err != nil {
		return cli.Swept{}, err
	}
	out.Probes, out.NoPing, out.NoNames, out.Broken = found.Probes, found.NoPing, found.NoNames, found.Broken
	for _, one := range found.Seen {
		m := cli.SweptMachine{Address: one.Addr.String(), Network: one.Network, MAC: one.MAC, Name: one.Name, Open: one.Open}
		for _, w := range one.How {
			m.How = append(m.How, string(w))
		}
		out.Machines = append(out.Machines, m)
	}
	return out, nil
}

// Networks names those that a file lists.
func Networks(file string) []string {
	c, err := sweep.ReadConfig(file)
	if err != nil {
		return nil
	}
	return c.Names()
}

// ownAddresses are this machine's, with the networks that they are in.
func ownAddresses() (all []netip.Prefix, err error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, p)
		}
	}
	return all, nil
}

// nameOf is what DNS calls an address; empty: nothing, or nobody knows in time.
func nameOf(ctx context.Context, a netip.Addr) string {
	within, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	names, err := net.DefaultResolver.LookupAddr(within, a.String())
	if err != nil || len(names) == 0 {
		return ""
	}
	return strings.TrimSuffix(names[0], ".")
}
