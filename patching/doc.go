// Package patching is the vocabulary of patchcycle: assets, what is installed
// on them and offered to them, patches, bundles, rings, waves, plans, orders'
// receipts and the outcome in which each asset of a cycle ends.
//
// It knows neither tables, nor the wire, nor a clock: every judgement that
// needs the time takes it as a parameter. What a reader sees on a screen or in
// a report is worded here once (see [Reason] and [Outcome]).
package patching
