package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/patchcycle/patchcycle/lab/bench/back"
	"github.com/patchcycle/patchcycle/lab/measure"
)

// print writes the tables of docs/performance.md.
func (r *run) print(w io.Writer) error {
	p := r.head(w)
	p.Row("", "start, new", "start again", "memory at rest", "CPU at rest", "database's CPU at rest")
	p.Rule(6)
	for _, e := range r.Engines {
		p.Row(e.Engine, seconds(e.StartNew), spread(e.Restarts), mb(e.Rest.MemoryMB), percent(e.Rest.CPUPercent), percent(e.Rest.DatabaseCPUPercent))
	}
	for _, e := range r.Engines {
		e.print(p)
	}
	return p.Err()
}

// head begins a page with what was run, where and when.
func (r *run) head(w io.Writer) *measure.Page {
	p := measure.NewPage(w)
	p.Line("%s\n", r.Head.String())
	return p
}

// printReturn writes what a return took.
func (r *run) printReturn(w io.Writer) error {
	p, b := r.head(w), r.Return
	p.Line("%d machines behind %d relays. Enrolled, with their first inventory, after %.0f s; %d had their order when the server was killed.", b.Machines, b.Relays, b.Enrol, b.Ordered)
	p.Line("The server was away for %.0f s, %d receipts waited; it served %.1f s after its start.\n", b.Outage, b.Waiting, b.Start)
	p.Row("seconds after the server's start", "half", "90 %", "99 %", "all")
	p.Rule(5)
	each := func(name string, of func(back.Progress) int) {
		cells := []string{name}
		for _, share := range []float64{0.5, 0.9, 0.99, 1} {
			cells = append(cells, seconds(b.Curve.Reached(share, b.Machines, of)))
		}
		p.Row(cells...)
	}
	each("machines heard of again", func(p back.Progress) int { return p.Heard })
	each("last receipts on record", func(p back.Progress) int { return p.Finished })
	p.Line("\nServer: %.0f s CPU, %.0f MB at its peak, store %.0f MB. Fleet with its relays: %.0f s CPU, %.0f MB.\n", b.ServerCPU, b.ServerMB, b.StoreMB, b.FleetCPU, b.FleetMB)
	p.Row("receipts", "on record", "of orders")
	p.Rule(3)
	for _, s := range b.Stages {
		p.Row(strings.TrimSpace(fmt.Sprint(s.Name, " ", s.Outcome)), fmt.Sprint(s.Receipts), fmt.Sprint(s.Orders))
	}
	p.Line("\nLost or twice: %s.", cmp.Or(b.Wrong, "nothing"))
	p.Line("\nWhere the server's CPU went, by part: %s. By kind: %s.", words(b.Parts), words(b.Kinds))
	return p.Err()
}

func (e engineResult) print(p *measure.Page) {
	p.Line("\n### %s\n", e.Engine)
	b := e.Baseline
	p.Line("A bare durable transaction: %.2f ms, %.2f ms CPU. A workflow with one empty activity: %.1f ms CPU, %.1f transitions, %.0f events.\n",
		b.Transaction.WallMS, b.Transaction.cpu(), b.Workflow.cpu(), b.Workflow.Transitions, b.Workflow.Events)
	var done []cycleResult
	head := []string{"machines"}
	for _, c := range e.Cycles {
		if c.Failed != "" {
			p.Line("%d machines: %s\n", c.Machines, c.Failed)
			continue
		}
		done, head = append(done, c), append(head, fmt.Sprint(c.Machines))
	}
	if len(done) == 0 {
		return
	}
	p.Row(head...)
	p.Rule(len(head))
	each := func(name string, f func(cycleResult) string) {
		cells := []string{name}
		for _, c := range done {
			cells = append(cells, f(c))
		}
		p.Row(cells...)
	}
	each("enrol, first inventory", func(c cycleResult) string { return seconds(c.Enrol.Seconds) })
	each("cycle, start to closed", func(c cycleResult) string { return seconds(c.Cycle.Seconds) })
	each("server's CPU a machine, ms", func(c cycleResult) string { return fmt.Sprintf("%.1f", c.Cycle.ServerMS) })
	each("database's CPU a machine, ms", func(c cycleResult) string { return fmt.Sprintf("%.1f", c.Cycle.DatabaseMS) })
	each("(fleet's CPU a machine, ms)", func(c cycleResult) string { return fmt.Sprintf("%.1f", c.Cycle.FleetMS) })
	each("rows written a machine", func(c cycleResult) string { return fmt.Sprintf("%.1f", c.Cycle.Writes) })
	each("state transitions, heartbeats included", func(c cycleResult) string { return fmt.Sprint(c.Temporal.Transitions) })
	each("of them a machine", func(c cycleResult) string { return fmt.Sprintf("%.3f", c.Temporal.PerMachine) })
	each("workflows", func(c cycleResult) string { return fmt.Sprint(c.Temporal.Workflows) })
	each("history events (longest history)", func(c cycleResult) string { return fmt.Sprintf("%d (%d)", c.Temporal.Events, c.Temporal.LongestEvents) })
	each("history, kB", func(c cycleResult) string { return fmt.Sprintf("%.0f", float64(c.Temporal.Bytes)/1024) })
	each("memory after, at its peak", func(c cycleResult) string { return mb(c.MemoryMB) + ", " + mb(c.PeakMB) })
	each("CPU at rest, machines connected", func(c cycleResult) string { return percent(c.Rest.CPUPercent + c.Rest.DatabaseCPUPercent) })
	each("store, engine on disk", func(c cycleResult) string { return mb(c.StoreMB) + ", " + mb(c.EngineMB) })
	each("installed twice", func(c cycleResult) string { return fmt.Sprint(c.Repeats) })
	each("closed", func(c cycleResult) string { return c.ClosedAs })
	each("load before, after", func(c cycleResult) string { return fmt.Sprintf("%.1f, %.1f", c.LoadBefore, c.LoadAfter) })
	each("CPU a machine, in empty workflows", func(c cycleResult) string { return fmt.Sprintf("%.2f", c.Cycle.cpu()/b.Workflow.cpu()) })
	each("CPU a machine, in bare transactions", func(c cycleResult) string { return fmt.Sprintf("%.1f", c.Cycle.cpu()/b.Transaction.cpu()) })
	each("transitions a machine, in empty workflows", func(c cycleResult) string { return fmt.Sprintf("%.3f", c.Temporal.PerMachine/b.Workflow.Transitions) })
	last := done[len(done)-1]
	p.Line("\nWhere the server's CPU went at %d machines, by part: %s. By kind: %s.", last.Machines, words(last.Parts), words(last.Kinds))
	var phases []string
	for _, ph := range last.Phases {
		phases = append(phases, fmt.Sprintf("%s %.1f s", ph.Phase, ph.Seconds))
	}
	p.Line("\nPhases: %s.", strings.Join(phases, ", "))
}

func words(shares []share) string {
	var out []string
	for _, s := range shares {
		if s.Percent >= 1 {
			out = append(out, fmt.Sprintf("%s %.0f %%", s.Name, s.Percent))
		}
	}
	return strings.Join(out, ", ")
}

func seconds(s float64) string { return fmt.Sprintf("%.1f s", s) }
func mb(v float64) string      { return fmt.Sprintf("%.0f MB", v) }
func percent(v float64) string { return fmt.Sprintf("%.1f %%", v) }

// spread is the least and the most of sorted times.
func spread(s []float64) string {
	if len(s) == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f–%.1f s", s[0], s[len(s)-1])
}
