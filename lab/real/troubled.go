//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/patching"
)

//go:embed trouble.yaml
var troublePolicy []byte

// troubled sends a machine for each trouble through one cycle.
func (g *ground) troubled(ctx context.Context) error {
	all := troubles()
	hosts := make([]nspawn.HostOptions, len(all))
	for i, t := range all {
		hosts[i].DiskMB = t.disk
	}
	// Without Debian's 60,000 packages each apt is ten times as quick.
	g.labOnly = true
	if err := g.up(ctx, hosts); err != nil {
		return err
	}
	if err := each(g.hosts, func(h *nspawn.Host) error {
		t := all[slices.Index(g.hosts, h)]
		first := []string{"apt-get", install, "-q", "-y", string(t.patch)}
		if t.patch == faults.Clash {
			first = append(first, string(faults.Conffile))
		}
		return steps(ctx, h, [][]string{first})
	}); err != nil {
		return err
	}
	if err := g.close(); err != nil {
		return err
	}
	if err := g.repo.PublishAll(faults.Bad); err != nil {
		return err
	}
	if err := g.serve(ctx); err != nil {
		return err
	}
	if err := g.enrol(ctx, g.hosts); err != nil {
		return err
	}
	g.say("%d machines are enrolled", len(all))
	var during errgroup.Group
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, t := range all {
		if t.before != nil {
			if err := t.before(ctx, g.hosts[i]); err != nil {
				return fmt.Errorf("%s: %w", t.what, err)
			}
		}
		if t.during != nil {
			during.Go(func() error {
				if err := t.during(ctx, g.hosts[i]); err != nil {
					return fmt.Errorf("%s on %s: %w", t.what, g.hosts[i].Name, err)
				}
				g.say("%s: %s", g.hosts[i].Name, t.what)
				return nil
			})
		}
	}
	c, err := g.run(ctx, troublePolicy, nil)
	if err != nil {
		return err
	}
	err = g.judge(ctx, c.ID, all)
	cancel() // what has not happened by now will not
	return errors.Join(err, during.Wait())
}

// judge holds what became of each machine against what has to.
func (g *ground) judge(ctx context.Context, id patching.CycleID, all []trouble) error {
	found, err := g.deployments(ctx, id)
	if err != nil {
		return err
	}
	var p problems
	for i, t := range all {
		h := g.hosts[i]
		at := slices.IndexFunc(found, func(d wire.Deployment) bool { return d.Hostname == h.Name })
		if at < 0 {
			p.want(false, "%s (%s) is not in the plan", h.Name, t.what)
			continue
		}
		d := found[at]
		state, version, err := stateOf(ctx, h, t.patch)
		if err != nil {
			return err
		}
		record, err := g.people.Author.Machine(ctx, id, d.Asset)
		if err != nil {
			return err
		}
		var last wire.Receipt
		for _, r := range record.Receipts {
			if r.Stage.Terminal() {
				last = r
			}
		}
		log, err := h.ReadFile(dpkgLog)
		if err != nil {
			return err
		}
		became := trouble{
			what: t.what, patch: t.patch, outcome: d.Outcome, reason: d.Reason, signature: last.Signature, repairs: d.Repairs > 0,
			version: version, state: state,
		}
		g.say("%s %s", h.Name, became.row())
		if last.Detail != "" {
			g.say("    %q", last.Detail)
		}
		p.want(became.row() == t.row(), "%s: want %s", h.Name, t.row())
		for _, again := range repeated(string(log[g.logged[h.Name]:])) {
			p.want(false, "%s (%s): dpkg did %q again after it had been done", h.Name, t.what, again)
		}
	}
	return p.err()
}

// stateOf is dpkg's word of a package, and its version.
func stateOf(ctx context.Context, h *nspawn.Host, f faults.Fault) (state, version string, err error) {
	out, err := h.Output(ctx, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Version}", string(f))
	state, version, _ = strings.Cut(out, "\t")
	return state, version, err
}
