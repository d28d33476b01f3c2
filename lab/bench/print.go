package main

import (
	"fmt"
	"io"
	"strings"
)

// print writes the tables of docs/performance.md.
func (r *run) print(w io.Writer) error {
	p := &page{w: w}
	p.line("`%s`, commit %.10s, %s, %.0f s; %d cores (%s), %s, %s; load %.1f before, %.1f after.\n",
		r.Command, r.Commit, r.Began.Format("2006-01-02 15:04 MST"), r.Seconds, r.Cores, r.Processor, r.System, r.Go, r.LoadBefore, r.LoadAfter)
	p.row("", "start, new", "start again", "memory at rest", "CPU at rest", "database's CPU at rest")
	p.rule(6)
	for _, e := range r.Engines {
		p.row(e.Engine, seconds(e.StartNew), spread(e.Restarts), mb(e.Rest.MemoryMB), percent(e.Rest.CPUPercent), percent(e.Rest.DatabaseCPUPercent))
	}
	for _, e := range r.Engines {
		e.print(p)
	}
	return p.err
}

func (e engineResult) print(p *page) {
	p.line("\n### %s\n", e.Engine)
	b := e.Baseline
	p.line("A bare durable transaction: %.2f ms, %.2f ms CPU. A workflow with one empty activity: %.1f ms CPU, %.1f transitions, %.0f events.\n",
		b.Transaction.WallMS, b.Transaction.cpu(), b.Workflow.cpu(), b.Workflow.Transitions, b.Workflow.Events)
	var done []cycleResult
	head := []string{"machines"}
	for _, c := range e.Cycles {
		if c.Failed != "" {
			p.line("%d machines: %s\n", c.Machines, c.Failed)
			continue
		}
		done, head = append(done, c), append(head, fmt.Sprint(c.Machines))
	}
	if len(done) == 0 {
		return
	}
	p.row(head...)
	p.rule(len(head))
	each := func(name string, f func(cycleResult) string) {
		cells := []string{name}
		for _, c := range done {
			cells = append(cells, f(c))
		}
		p.row(cells...)
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
	p.line("\nWhere the server's CPU went at %d machines, by part: %s. By kind: %s.", last.Machines, words(last.Parts), words(last.Kinds))
	var phases []string
	for _, ph := range last.Phases {
		phases = append(phases, fmt.Sprintf("%s %.1f s", ph.Phase, ph.Seconds))
	}
	p.line("\nPhases: %s.", strings.Join(phases, ", "))
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

// page writes Markdown and keeps the first error.
type page struct {
	w   io.Writer
	err error
}

func (p *page) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *page) row(cells ...string) { p.line("| %s |", strings.Join(cells, " | ")) }

func (p *page) rule(n int) { p.line("|%s", strings.Repeat(" --- |", n)) }

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
