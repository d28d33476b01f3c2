// Package health decides whether a machine is worse after a patch than before.
package health

import (
	"fmt"
	"slices"
	"strings"
)

// State is what a machine says of itself at one moment.
type State struct {
	// Failing names units that should run and do not ("nginx.service").
	Failing []string
	// Running names the services that run.
	Running []string
	// Load is the load average of 15 minutes for each processor, Memory the share
	// of memory in use, 0 to 1; zero is unknown.
	Load, Memory float64
}

// Compare names in words all that worked before and does not any more (Q2,
// G13); nothing: the machine is not worse. What was broken before is not held
// against the patch.
func Compare(before, after State) (worse []string) {
	for _, unit := range sorted(after.Failing) {
		if !slices.Contains(before.Failing, unit) {
			worse = append(worse, unit+" fails")
		}
	}
	for _, service := range sorted(before.Running) {
		if lasting(service) && !slices.Contains(after.Running, service) && !slices.Contains(after.Failing, service) {
			worse = append(worse, service+" ran before and does not run now")
		}
	}
	return worse
}

// Notes tells what a person may want to look at: load and memory differ from
// one hour to the next, so they never count as worse.
func Notes(before, after State) (notes []string) {
	// Half as much again is more than the noise of a quiet machine; below these
	// floors nobody would notice.
	if before.Load > 0 && after.Load > max(0.5, 1.5*before.Load) {
		notes = append(notes, fmt.Sprintf("The load went from %.1f to %.1f for each processor.", before.Load, after.Load))
	}
	if before.Memory > 0 && after.Memory > max(0.5, 1.5*before.Memory) {
		notes = append(notes, fmt.Sprintf("Memory in use went from %.0f %% to %.0f %%.", 100*before.Memory, 100*after.Memory))
	}
	return notes
}

// passing are services that belong to somebody's login, not to the machine.
var passing = []string{"user@", "user-runtime-dir@", "session-"}

func lasting(service string) bool {
	return !slices.ContainsFunc(passing, func(p string) bool { return strings.HasPrefix(service, p) })
}

func sorted(names []string) []string {
	s := slices.Clone(names)
	slices.Sort(s)
	return slices.Compact(s)
}
