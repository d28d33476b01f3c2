//go:build linux

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

const dpkgLog = "var/log/dpkg.log"

// beginWitness notes where dpkg's log ends on each machine: what is in it so far
// made the base, and did some things twice.
func (g *ground) beginWitness() error {
	g.logged = map[string]int{}
	for _, h := range g.hosts {
		text, err := h.ReadFile(dpkgLog)
		if err != nil {
			return err
		}
		g.logged[h.Name] = len(text)
	}
	return nil
}

// requireOnce holds what the server has on record against dpkg's own logs: what
// it says was changed was changed, and nothing was done twice.
func (g *ground) requireOnce(ctx context.Context, id patching.CycleID, all []wire.Deployment, p *problems) error {
	for _, h := range g.hosts {
		text, err := h.ReadFile(dpkgLog)
		if err != nil {
			return err
		}
		if len(text) < g.logged[h.Name] {
			return fmt.Errorf("%s: dpkg's log was cut", h.Name)
		}
		done := transactions(string(text[g.logged[h.Name]:]))
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
			g.say("%s: %s, %d packages changed by this cycle's record, %d in dpkg's log since the machine was made", h.Name, d.Words, n, len(done))
		}
	}
	return nil
}

// transactions counts what dpkg's log says that was begun:
//
//	2026-11-28 10:00:01 upgrade libssl3:amd64 3.0.20-1~deb12u2 3.0.22-1~deb12u2
//	2026-11-28 10:00:04 install linux-image-6.1.0-41-amd64:amd64 <none> 6.1.158-1
func transactions(log string) map[string]int {
	n := map[string]int{}
	for line := range strings.Lines(log) {
		f := strings.Fields(line)
		if len(f) == 6 && (f[2] == "upgrade" || f[2] == "install" || f[2] == "remove") {
			name, _, _ := strings.Cut(f[3], ":")
			n[transaction(name, strings.TrimSuffix(f[4], "<none>"), strings.TrimSuffix(f[5], "<none>"))]++
		}
	}
	return n
}

func transaction(name, from, to string) string {
	return fmt.Sprintf("%s from %s to %s", name, from, to)
}

// repeated names what dpkg's log says was begun again although its files had been
// unpacked already. What was cut off before that may be begun again.
func repeated(log string) []string {
	var again []string
	// By package: the version that is being put there, and the one whose files are.
	// A version that is to be replaced is called unpacked too.
	next, unpacked := map[string]string{}, map[string]string{}
	for line := range strings.Lines(log) {
		f := strings.Fields(line)
		switch {
		case len(f) == 6 && f[2] == "status" && f[3] == "unpacked" && next[f[4]] == f[5]:
			unpacked[f[4]] = f[5]
		case len(f) == 6 && f[2] == "status" && f[3] == "half-installed": // as it is while files are replaced
			delete(unpacked, f[4])
		case len(f) == 6 && (f[2] == "upgrade" || f[2] == "install"):
			if unpacked[f[3]] == f[5] {
				again = append(again, transaction(f[3], f[4], f[5]))
			}
			delete(unpacked, f[3])
			next[f[3]] = f[5]
		}
	}
	return again
}
