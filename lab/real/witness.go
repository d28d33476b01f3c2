//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// requireOnce holds what the server has on record against dpkg's own logs: what
// it says was changed was changed, and nothing was done twice.
func (g *ground) requireOnce(ctx context.Context, id patching.CycleID, all []wire.Deployment, p *problems) error {
	for _, h := range g.hosts {
		text, err := h.ReadFile("var/log/dpkg.log")
		if err != nil {
			return err
		}
		done := transactions(string(text))
		for what, times := range done {
			p.want(times == 1, "%s: dpkg did %q %d times", h.Name, what, times)
		}
		for _, d := range all {
			if d.Hostname != h.Name {
				continue
			}
			record, err := g.people.Author.Machine(ctx, id, d.Asset)
			if err != nil {
				return err
			}
			n := 0
			for _, r := range record.Receipts {
				for _, c := range r.Changes {
					n++
					p.want(done[transaction(c.Name, c.From, c.To)] == 1, "%s says that it changed %s from %s to %s, and dpkg's log does not", h.Name, c.Name, c.From, c.To)
				}
			}
			g.say("%s: %s, %d changes on record, %d transactions in dpkg's log since it was made", h.Name, d.Words, n, len(done))
		}
	}
	return nil
}

// transactions counts what dpkg's log says that was unpacked:
//
//	2026-11-28 10:00:01 upgrade libssl3:amd64 3.0.20-1~deb12u2 3.0.22-1~deb12u2
func transactions(log string) map[string]int {
	n := map[string]int{}
	for line := range strings.Lines(log) {
		f := strings.Fields(line)
		if len(f) == 6 && f[2] == "upgrade" {
			name, _, _ := strings.Cut(f[3], ":")
			n[transaction(name, f[4], f[5])]++
		}
	}
	return n
}

func transaction(name, from, to string) string {
	return fmt.Sprintf("%s from %s to %s", name, from, to)
}
