package trust

import "slices"

// Verb is what an order tells a machine to do. The table is closed: there is
// no shell, no URL and no writing of files.
type Verb string

// The verbs.
const (
	Collect  Verb = "collect"  // send a fresh inventory
	Simulate Verb = "simulate" // say what the bundle would change
	Prefetch Verb = "prefetch" // download the bundle
	Apply    Verb = "apply"    // carry the bundle out
	Revert   Verb = "revert"   // carry the rollback bundle out
	Reboot   Verb = "reboot"   // restart
	Repair   Verb = "repair"   // complete what was left half done
	Clean    Verb = "clean"    // empty caches, remove superseded kernels
	Snapshot Verb = "snapshot" // take or restore one; the provider is the host's
	Service  Verb = "service"  // restart a service that the host lists
	Probe    Verb = "probe"    // run a probe that the host lists
	Evidence Verb = "evidence" // collect what the host configured
	Notify   Verb = "notify"   // tell the people at the machine
	Agent    Verb = "agent"    // hold or update the agent itself
)

// Spec says what an order of a verb needs.
type Spec struct {
	// NeedsGrant: approvers' signatures, where the trust root asks for grants.
	NeedsGrant bool
	// NeedsLease: a start permit, a window and a fence: the verb disturbs.
	NeedsLease bool
	// NeedsBundle, NeedsRollback: the digest that the verb works on.
	NeedsBundle   bool
	NeedsRollback bool
}

var specs = map[Verb]Spec{
	Collect:  {},
	Simulate: {NeedsBundle: true},
	Prefetch: {NeedsBundle: true},
	Apply:    {NeedsGrant: true, NeedsLease: true, NeedsBundle: true},
	Revert:   {NeedsGrant: true, NeedsLease: true, NeedsRollback: true},
	Reboot:   {NeedsGrant: true, NeedsLease: true},
	Repair:   {NeedsLease: true},
	Clean:    {},
	Snapshot: {NeedsGrant: true, NeedsLease: true},
	Service:  {NeedsGrant: true, NeedsLease: true},
	Probe:    {},
	Evidence: {},
	Notify:   {},
	Agent:    {NeedsGrant: true},
}

// Verbs lists the table in alphabetical order.
func Verbs() []Verb {
	all := make([]Verb, 0, len(specs))
	for v := range specs {
		all = append(all, v)
	}
	slices.Sort(all)
	return all
}

// Spec returns what an order of the verb needs; ok is false for a verb that
// the table does not have.
func (v Verb) Spec() (s Spec, ok bool) {
	s, ok = specs[v]
	return s, ok
}
