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
