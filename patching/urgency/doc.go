// Package urgency decides how soon a finding on an asset has to be dealt with,
// under each regime that applies: its lane, its due date, and what started the
// clock.
//
// [Merge] and [Join] turn what feeds say of flaws into one view of an advisory,
// [NewFacts] joins it with an asset, and [Judge] asks decision tables of it. The
// tables are data (the folder tables, or anyone's own: see [Parse]); what their
// points mean in terms of facts is code, in points.go.
//
// What is not known stays so: a point without a fact has several possible values,
// so a table has several possible answers, and the policy says which one counts.
package urgency
