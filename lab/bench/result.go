package main

import (
	"context"
	"path/filepath"

	"github.com/patchcycle/patchcycle/lab/measure"
	"github.com/patchcycle/patchcycle/patching"
)

// run is the document that a measurement leaves. Times are in seconds or, where
// the name says so, in milliseconds; memory and files in MB (2^20 bytes).
type run struct {
	measure.Head
	Engines []engineResult `json:"engines,omitempty"`
	Return  *returnResult  `json:"return,omitempty"`
}

type engineResult struct {
	Engine   string         `json:"engine"`
	StartNew float64        `json:"start_new"`
	Restarts []float64      `json:"restarts"`
	Rest     rest           `json:"rest"`
	Baseline baselineResult `json:"baseline"`
	Cycles   []cycleResult  `json:"cycles"`
}

// rest is a server to which nobody speaks. 100 percent are one core.
type rest struct {
	MemoryMB           float64 `json:"memory_mb"`
	CPUPercent         float64 `json:"cpu_percent"`
	DatabaseCPUPercent float64 `json:"database_cpu_percent"`
}

type baselineResult struct {
	Transaction unit         `json:"transaction"`
	Workflow    workflowUnit `json:"workflow_per_machine"`
}

// unit is what one thing costs of which N were done.
type unit struct {
	N          int     `json:"n"`
	WallMS     float64 `json:"wall_ms"`
	CPUMS      float64 `json:"cpu_ms"`
	DatabaseMS float64 `json:"database_cpu_ms"`
}

func (u unit) cpu() float64 { return u.CPUMS + u.DatabaseMS }

type workflowUnit struct {
	unit
	Transitions float64 `json:"transitions"`
	Events      float64 `json:"events"`
	Bytes       float64 `json:"bytes"`
}

// spent is what something took: in all by the clock, the rest per machine.
type spent struct {
	Seconds    float64 `json:"seconds"`
	ServerMS   float64 `json:"server_cpu_ms_per_machine"`
	DatabaseMS float64 `json:"database_cpu_ms_per_machine"`
	FleetMS    float64 `json:"fleet_cpu_ms_per_machine"`
	Writes     float64 `json:"rows_written_per_machine"`
}

func (s spent) cpu() float64 { return s.ServerMS + s.DatabaseMS }

type cycleResult struct {
	Machines   int                      `json:"machines"`
	Failed     string                   `json:"failed,omitempty"`
	LoadBefore float64                  `json:"load_before"`
	LoadAfter  float64                  `json:"load_after"`
	Enrol      spent                    `json:"enrol_and_first_inventory"`
	Rest       rest                     `json:"rest_with_fleet"`
	Cycle      spent                    `json:"cycle"`
	Phases     []phaseTime              `json:"phases"`
	Temporal   temporalCount            `json:"temporal"`
	MemoryMB   float64                  `json:"memory_mb"`
	PeakMB     float64                  `json:"peak_memory_mb"`
	StoreMB    float64                  `json:"store_mb"`
	EngineMB   float64                  `json:"engine_mb"`
	ClosedAs   string                   `json:"closed_as"`
	Outcomes   map[patching.Outcome]int `json:"outcomes"`
	Repeats    int                      `json:"installs_repeated"`
	Parts      []share                  `json:"profile_by_part"`
	Kinds      []share                  `json:"profile_by_kind"`
}

type phaseTime struct {
	Phase   string  `json:"phase"`
	Seconds float64 `json:"seconds"`
}

// temporalCount adds workflows up. Transitions include heartbeats.
type temporalCount struct {
	Workflows     int                  `json:"workflows"`
	Transitions   int64                `json:"transitions"`
	PerMachine    float64              `json:"transitions_per_machine"`
	Events        int64                `json:"events"`
	LongestEvents int64                `json:"events_of_longest_history"`
	Bytes         int64                `json:"bytes"`
	Types         map[string]typeCount `json:"types"`
}

type typeCount struct {
	Workflows   int   `json:"workflows"`
	Transitions int64 `json:"transitions"`
	Events      int64 `json:"events"`
}

// share is a part of a profile's CPU time.
type share struct {
	Name    string  `json:"name"`
	Percent float64 `json:"percent"`
	Seconds float64 `json:"seconds"`
}

func newRun(ctx context.Context, args []string) *run {
	return &run{Head: measure.Begin(ctx, "./lab/bench", args)}
}

// keep writes the document, also while there is more to come.
func (r *run) keep(dir string) error { return measure.Keep(filepath.Join(dir, "bench.json"), r) }
