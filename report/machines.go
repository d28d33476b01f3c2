package report

import (
	"maps"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// machines returns every machine of the cycle, by hostname.
func (f *facts) machines() []Machine {
	tasks := map[patching.AssetID]patching.TaskID{}
	for _, k := range f.tasks {
		if tasks[k.Asset] == "" || !k.State.Terminal() {
			tasks[k.Asset] = k.ID
		}
	}
	out := make([]Machine, 0, len(f.deployments))
	for i := range f.deployments {
		m := f.machine(&f.deployments[i])
		m.Task = tasks[m.Asset]
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b Machine) int {
		if c := strings.Compare(a.Hostname, b.Hostname); c != 0 {
			return c
		}
		return strings.Compare(string(a.Asset), string(b.Asset))
	})
	return out
}

func (f *facts) machine(d *patching.Deployment) Machine {
	a := f.assets[d.Asset]
	m := Machine{
		Asset: d.Asset, Hostname: orElse(a.Hostname, string(d.Asset)), Site: d.Site, OS: osWords(a.OS),
		Vendor: a.Vendor, Model: a.Model, Serial: a.Serial, BusinessUnit: a.BusinessUnit, Owner: a.Owner, Kind: d.Stratum,
		Ring: d.Ring, Group: f.groupOf(d), State: d.State, Outcome: d.Outcome, Words: d.Outcome.Words(),
		Reason: d.Reason, Detail: orElse(d.Detail, d.Why), Signature: f.answerOf(d).signature, Hold: f.holdOf(d),
		Released: d.Released, Answered: d.Answered, Verified: d.Verified, Repairs: d.Repairs, Freed: d.Freed,
		Bundle: patching.Digest(orElse(string(d.Bundle), string(d.Would))),
	}
	if d.Reason != "" {
		m.Why, m.Cause = d.Reason.Words(), d.Reason.Cause()
	}
	switch {
	case d.Outcome == "":
		m.Words, m.Why = stateWords(d), ""
	case unconfirmed(d):
		m.Words = "patched, not confirmed"
		m.Why = "The machine says that it installed everything; no fresh inventory has confirmed it."
	case d.Outcome == patching.RolledBack && d.Verified.IsZero():
		m.Words = "rolled back, not confirmed"
		m.Why = "The machine says that it has its earlier versions again; no fresh inventory has confirmed it."
	}
	if r, ok := f.before[d.Asset]; ok && r.Outcome != patching.Patched && r.Outcome != patching.AlreadyUpToDate {
		m.Before = orElse(r.Reason.Words(), sentence(r.Outcome.Words()))
		if r.Signature != "" {
			m.Before = strings.TrimSuffix(m.Before, ".") + " (" + r.Signature + ")."
		}
	}
	return m
}

// groupOf puts a machine into the one part of the report where it is named.
func (f *facts) groupOf(d *patching.Deployment) Group {
	switch d.Outcome {
	case "":
		return GroupInProgress
	case patching.Patched:
		if unconfirmed(d) {
			if f.closed() {
				return GroupException
			}
			return GroupInProgress
		}
		return GroupPatched
	case patching.AlreadyUpToDate:
		return GroupUpToDate
	case patching.Excluded, patching.NotApplicable:
		return GroupLeftOut
	case patching.Deferred:
		if d.Reason == patching.ReasonShadow {
			return GroupLeftOut
		}
		return GroupException
	default:
		return GroupException
	}
}

func stateWords(d *patching.Deployment) string {
	switch d.State {
	case patching.DeploymentStaged:
		return "instruction given, waiting for its start permit"
	case patching.DeploymentReleased:
		return "may start, no answer yet"
	case patching.DeploymentStarted:
		return "at work"
	default:
		return "planned"
	}
}

func osWords(o patching.OS) string {
	name := strings.TrimSuffix(orElse(o.Name, o.Family), " GNU/Linux") // which says nothing more
	release := orElse(o.Revision, o.Release)
	if release == "" || strings.Contains(name, release) {
		return name
	}
	return strings.TrimSpace(name + " " + release)
}

// bundleFacts lists the changes of every bundle that a machine names.
func (f *facts) bundleFacts() []BundleFacts {
	var out []BundleFacts
	for _, d := range slices.Sorted(maps.Keys(f.bundles)) {
		facts := BundleFacts{Digest: d}
		for _, p := range f.bundles[d].Patches() {
			facts.Changes = append(facts.Changes, Change{
				Action: p.Action, Package: p.Name, Arch: p.Arch, From: p.From, To: p.To, Security: p.Security,
			})
		}
		out = append(out, facts)
	}
	return out
}
