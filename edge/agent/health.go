package agent

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// health asks what is wrong with the machine. Names are compared with those in
// the journal, which holds UTF-8.
func (a *Agent) health(ctx context.Context) (Health, error) {
	h, err := a.cfg.Machine.Health(ctx)
	failing := make([]string, len(h.Failing))
	for i, name := range h.Failing {
		failing[i] = strings.ToValidUTF8(name, "\uFFFD")
	}
	h.Failing = failing
	if h.Restarts != nil {
		counts := make(map[string]int, len(h.Restarts))
		for name, n := range h.Restarts {
			counts[strings.ToValidUTF8(name, "\uFFFD")] = n
		}
		h.Restarts = counts
	}
	return h, err
}

// baseline notes how the machine was before the order.
func (w *work) baseline(h Health) { w.Failing, w.Restarts = h.Failing, h.Restarts }

// decline is what is wrong with the machine and was not when an order began.
type decline struct {
	failing []string // what should run and does not
	looping []string // what dies again and again
	// restless: a service was started again since, perhaps no more than once.
	restless bool
	// counted: the machine counts how often services are started again.
	counted bool
}

func (d decline) none() bool { return len(d.failing) == 0 && len(d.looping) == 0 }

func (d decline) ending() ending {
	var parts []string
	if len(d.failing) > 0 {
		parts = append(parts, "Not running: "+list(d.failing))
	}
	if len(d.looping) > 0 {
		parts = append(parts, "Dies and is started again: "+list(d.looping))
	}
	first := slices.Concat(d.failing, d.looping)[0]
	return ending{patching.Failed, patching.ReasonServiceBroken, strings.Join(parts, ". "), first + ": not running"}
}

// worse compares the machine with what it was when the order began.
func (a *Agent) worse(ctx context.Context, w *work) (decline, error) {
	now, err := a.health(ctx)
	return declined(Health{Failing: w.Failing, Restarts: w.Restarts}, now), err
}

// loops is how many times more often than before a service may be started again
// until it counts as one that does not run. A single restart is no sign: some
// services end when a library of theirs is replaced, and rely on it.
const loops = 3

// declined compares two states of the machine. What failed before does not count. A
// service that died before has to do so more often within the order than in all
// the time before it.
func declined(before, now Health) decline {
	d := decline{counted: now.Restarts != nil}
	for _, name := range now.Failing {
		if !slices.Contains(before.Failing, name) {
			d.failing = append(d.failing, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.Restarts)) {
		had, more := before.Restarts[name], now.Restarts[name]
		if more >= had { // less: counted anew, since a restart of the machine or on purpose
			more -= had
		}
		switch {
		case slices.Contains(before.Failing, name), slices.Contains(now.Failing, name), more <= had:
		case more >= had+loops:
			d.looping = append(d.looping, name)
			d.restless = true
		default:
			d.restless = true
		}
	}
	return d
}
