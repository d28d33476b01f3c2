//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/usage"
	"github.com/patchcycle/patchcycle/patching"
)

// plainName is a package that does nothing. Each wave brings the next version of it.
const plainName = "lab-plain"

func plain(version int) faults.Deb {
	text := strconv.Itoa(version)
	return faults.Deb{
		Name: plainName, Version: text, Description: "does nothing",
		Files: map[string]faults.File{"usr/share/lab-plain/version": {Data: []byte(text + "\n")}},
	}
}

// wave is what it cost to bring one update to machines. CPU is in seconds.
type wave struct {
	by       string
	machines int
	took     time.Duration
	// controller is the CPU of who brings it; for us that is the server.
	controller float64
	// server is the CPU of ours meanwhile: all machines fetch their packages from it.
	server float64
}

// idle is a server whose machines want nothing.
type idle struct {
	machines int
	took     time.Duration
	server   float64 // CPU seconds
}

// minute is what the server spends in one, in CPU seconds.
func (r idle) minute() float64 { return r.server / r.took.Minutes() }

// restFor is how long an idle server is looked at.
const restFor = time.Minute

// waves brings one small update to some machines and then to all, by a cycle, by
// plain ssh and by ansible: the same machines, packages and server in the same run.
func (g *ground) waves(ctx context.Context) error {
	r, err := newRivals(ctx, g.dir)
	if err != nil {
		return err
	}
	// What counts is who brings the update, not how many packages apt knows of.
	g.labOnly = true
	if err := g.found(ctx, "openssh-server", "python3", "python3-apt"); err != nil {
		return err
	}
	if err := g.repo.Publish(plain(0)); err != nil {
		return err
	}
	for _, args := range [][]string{update, {install, "-q", "-y", plainName}} {
		if err := g.lab.Apt(ctx, args...); err != nil {
			return err
		}
	}
	if err := g.lab.Install("root/.ssh/authorized_keys", r.authorized, 0o600); err != nil {
		return err
	}
	most := slices.Max(g.sizes)
	if err := g.boot(ctx, make([]nspawn.HostOptions, most)); err != nil {
		return err
	}
	if err := r.know(g.hosts[0]); err != nil {
		return err
	}
	if err := g.close(); err != nil {
		return err
	}
	if err := g.serve(ctx); err != nil {
		return err
	}
	m := measured{sizes: g.sizes}
	for _, n := range g.sizes {
		if err := g.enrol(ctx, g.hosts[g.enrolled:n]); err != nil {
			return err
		}
		g.say("%d machines are enrolled", n)
		rest, err := g.rest(ctx)
		if err != nil {
			return err
		}
		m.rests = append(m.rests, rest)
		if err := g.wave(ctx, &m, "patchcycle", n, func() (float64, error) { return g.byCycle(ctx, n) }); err != nil {
			return err
		}
	}
	for by, rival := range r.all() {
		for _, n := range g.sizes {
			if err := g.wave(ctx, &m, by, n, func() (float64, error) { return rival(ctx, g.lab, g.hosts[:n]) }); err != nil {
				return err
			}
		}
	}
	return m.print(g.out)
}

// rest looks at the server while nobody wants anything.
func (g *ground) rest(ctx context.Context) (idle, error) {
	_ = pause.For(ctx, 20*time.Second) // for what the last step left to do
	began, before := time.Now(), g.serverCPU()
	_ = pause.For(ctx, restFor)
	return idle{g.enrolled, time.Since(began), g.serverCPU() - before}, ctx.Err()
}

func (g *ground) serverCPU() float64 { return usage.Tree(g.server.Process.Pid) }

// wave publishes a version, lets machines know of it, and measures how it is
// brought to them. Bring returns the CPU of who does.
func (g *ground) wave(ctx context.Context, m *measured, by string, n int, bring func() (float64, error)) error {
	version := len(m.waves) + 1
	if err := g.repo.Publish(plain(version)); err != nil {
		return err
	}
	if err := g.learn(ctx, g.hosts[:n]); err != nil {
		return err
	}
	began, before := time.Now(), g.serverCPU()
	cpu, err := bring()
	if err != nil {
		return fmt.Errorf("%s, %d machines: %w", by, n, err)
	}
	w := wave{by: by, machines: n, took: time.Since(began), controller: cpu, server: g.serverCPU() - before}
	g.say("%s, %d machines: %.2f CPU seconds, %.0f s", by, n, w.controller, w.took.Seconds())
	m.waves = append(m.waves, w)
	return each(g.hosts[:n], func(h *nspawn.Host) error {
		has, err := h.Output(ctx, "dpkg-query", "-W", "-f", "${Version}", plainName)
		if err == nil && has != strconv.Itoa(version) {
			err = fmt.Errorf("%s has version %s of %s after %s brought %d", h.Name, has, plainName, by, version)
		}
		return err
	})
}

// byCycle is the cycle of the other runs, three rings and an approval.
func (g *ground) byCycle(ctx context.Context, n int) (float64, error) {
	before := g.serverCPU()
	c, err := g.run(ctx, policyText, nil)
	if err == nil && c.Outcomes[patching.Patched] != n {
		err = fmt.Errorf("%d of %d machines are patched: %s", c.Outcomes[patching.Patched], n, c.Words)
	}
	return g.serverCPU() - before, err
}

// measured is all that was measured, by ascending numbers of machines.
type measured struct {
	sizes []int
	waves []wave
	rests []idle
}

// print writes the tables of docs/performance.md.
func (m measured) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n| to bring one small update to | %s a machine more | of patchcycle's | the server's, for packages |\n| --- |%s --- | --- | --- |\n",
		cells(m.sizes, func(n int) string { return fmt.Sprintf("%d machines |", n) }), strings.Repeat(" --- |", len(m.sizes)))
	ours := m.slope("patchcycle", func(w wave) float64 { return w.controller })
	for _, by := range m.names() {
		slope, serving := m.slope(by, func(w wave) float64 { return w.controller }), "in it"
		if by != m.names()[0] {
			serving = ms(m.slope(by, func(w wave) float64 { return w.server }))
		}
		fmt.Fprintf(&b, "| %s | %s %s | %.2f | %s |\n", by, cells(m.of(by), func(w wave) string {
			return fmt.Sprintf("%.2f s CPU, %.0f s |", w.controller, w.took.Seconds())
		}), ms(slope), slope/ours, serving)
	}
	b.WriteString("\n| machines that want nothing | the server's CPU, of one core | a machine more, each minute |\n| --- | --- | --- |\n")
	for i, r := range m.rests {
		more := ""
		if i > 0 {
			before := m.rests[i-1]
			more = ms((r.minute() - before.minute()) / float64(r.machines-before.machines))
		}
		fmt.Fprintf(&b, "| %d | %.1f %% | %s |\n", r.machines, 100*r.minute()/60, more)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func ms(seconds float64) string { return fmt.Sprintf("%.0f ms", 1000*seconds) }

func cells[T any](all []T, text func(T) string) string {
	var b strings.Builder
	for i, v := range all {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(text(v))
	}
	return b.String()
}

func (m measured) names() (all []string) {
	for _, w := range m.waves {
		if !slices.Contains(all, w.by) {
			all = append(all, w.by)
		}
	}
	return all
}

func (m measured) of(by string) (all []wave) {
	for _, w := range m.waves {
		if w.by == by {
			all = append(all, w)
		}
	}
	return all
}

// slope is what one machine more costs, between the smallest wave and the largest:
// what is there once, whatever the number, falls out.
func (m measured) slope(by string, of func(wave) float64) float64 {
	all := m.of(by)
	first, last := all[0], all[len(all)-1]
	return (of(last) - of(first)) / float64(last.machines-first.machines)
}
