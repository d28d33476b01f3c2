package patching

import (
	"fmt"
	"time"
)

// Hold is one person's word that nothing starts on any machine. What has started runs
// to its end. The zero hold holds nothing.
type Hold struct {
	// Version counts what was said, from 1: the latest counts.
	Version int64
	// Lifted says that this word ends the hold before it.
	Lifted bool
	By     AccountName
	Reason string
	At     time.Time
	Until  time.Time // zero: until it is lifted
}

// Holds reports whether nothing may start at now.
func (h Hold) Holds(now time.Time) bool {
	return h.Version > 0 && !h.Lifted && (h.Until.IsZero() || now.Before(h.Until))
}

// HeldBetween returns for how long nothing could start between two instants, by all that
// was said of it, the newest first.
func HeldBetween(said []Hold, from, to time.Time) (sum time.Duration) {
	next := to // when the word after this one was said
	for _, h := range said {
		begins, ends := h.At, next
		if next = h.At; h.Lifted {
			continue
		}
		if !h.Until.IsZero() && h.Until.Before(ends) {
			ends = h.Until
		}
		if begins.Before(from) {
			begins = from
		}
		if ends.After(to) {
			ends = to
		}
		sum += max(0, ends.Sub(begins))
	}
	return sum
}

// Words say who holds, since when, until when and why; empty: nobody does.
func (h Hold) Words(now time.Time) string {
	if !h.Holds(now) {
		return ""
	}
	until := "until it is lifted"
	if !h.Until.IsZero() {
		until = "until " + h.Until.UTC().Format("2006-01-02 15:04 MST")
	}
	return fmt.Sprintf("Held by %s since %s, %s: %s. Nothing starts on any machine; what has started runs to its end.", h.By, h.At.UTC().Format("2006-01-02 15:04 MST"), until, h.Reason)
}
