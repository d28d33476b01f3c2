package report

import (
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
)

// rings says how each ring of the plan went, in the order of deployment.
func (f *facts) rings() []Ring {
	names := f.ringNames()
	out := make([]Ring, len(names))
	at := map[patching.RingName]int{}
	for i, name := range names {
		out[i] = Ring{Name: name, Soak: f.soakOf(name)}
		at[name] = i
	}
	outcomes := make([]map[patching.Outcome]int, len(names))
	waves := make([]map[patching.WaveID]bool, len(names))
	sites := make([]map[patching.SiteName]bool, len(names))
	for i := range names {
		outcomes[i], waves[i], sites[i] = map[patching.Outcome]int{}, map[patching.WaveID]bool{}, map[patching.SiteName]bool{}
	}
	for i := range f.deployments {
		d := &f.deployments[i]
		n, planned := at[d.Ring]
		if !planned {
			continue
		}
		r := &out[n]
		r.Machines++
		outcomes[n][d.Outcome]++
		waves[n][d.Wave], sites[n][d.Site] = true, true
		if !d.Released.IsZero() {
			r.Released++
			if r.Began.IsZero() || d.Released.Before(r.Began) {
				r.Began = d.Released
			}
		}
		if !d.Answered.IsZero() {
			r.Answered++
			if d.Answered.After(r.Ended) {
				r.Ended = d.Answered
			}
		}
	}
	for i := range out {
		out[i].StandIns = f.standIns(out[i].Name)
		out[i].Outcomes, out[i].Waves, out[i].Sites = outcomeCounts(outcomes[i]), len(waves[i]), len(sites[i])
		f.judged(&out[i])
		out[i].Words = f.ringWords(&out[i])
	}
	return out
}

// ringNames are those of the plan that counts; a ring that only machines name
// comes after them.
func (f *facts) ringNames() []patching.RingName {
	var names []patching.RingName
	seen := map[patching.RingName]bool{"": true}
	add := func(name patching.RingName) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	if n := len(f.plans); n > 0 {
		for _, r := range f.plans[n-1].Rings {
			add(r.Name)
		}
	}
	for i := range f.deployments {
		add(f.deployments[i].Ring)
	}
	return names
}

// standIns is what the plan that counts says of the ring.
func (f *facts) standIns(name patching.RingName) string {
	if n := len(f.plans); n > 0 {
		for _, r := range f.plans[n-1].Rings {
			if r.Name == name {
				return r.StandIns
			}
		}
	}
	return ""
}

func (f *facts) soakOf(name patching.RingName) time.Duration {
	if f.policy == nil {
		return 0
	}
	r, ok := f.policy.Ring(name)
	if !ok {
		return 0
	}
	return plan.Soak(r, f.cycle.Kind, f.policy)
}

// judged adds the decision that settled the ring: the gate's last word on it,
// or that of the wave that halted it.
func (f *facts) judged(r *Ring) {
	id := patching.RingID(f.cycle.ID, r.Name)
	r.Asked = map[patching.GateVerb]int{}
	var own, halt *store.DecisionRow
	for i := range f.decisions {
		row := &f.decisions[i]
		switch {
		case row.Subject == id:
			own = row
			if q, err := gate.ParseTerms(row.ParamsText); err == nil && q.SoakUntil.After(r.Soaked) {
				r.Soaked = q.SoakUntil
			}
		case !strings.HasPrefix(row.Subject, id+"/"):
			continue
		case row.Decision.Verb == patching.Halt:
			halt = row
		}
		r.Asked[row.Decision.Verb]++
	}
	if own == nil {
		own = halt
	}
	if own != nil {
		fact := f.gateFact(own)
		r.Gate = &fact
	}
}

func (f *facts) gateFact(row *store.DecisionRow) GateFact {
	d := row.Decision
	return GateFact{
		At: d.At, Subject: row.Subject, Where: f.where(row.Subject), OfWave: strings.Contains(row.Subject, "/wave/"), Verb: d.Verb, Words: d.Why, Until: d.Until,
		Rules: d.Gate, Params: d.Params, Tally: d.Tally,
	}
}

// where puts the id of a ring or a wave into words.
func (f *facts) where(subject string) string {
	rest, ok := strings.CutPrefix(subject, string(f.cycle.ID)+"/ring/")
	if !ok {
		return subject
	}
	ring, wave, isWave := strings.Cut(rest, "/wave/")
	if !isWave {
		return "ring " + ring
	}
	parts := strings.Split(wave, "/")
	words := "ring " + ring + ", wave at " + parts[0]
	if t, err := time.Parse("20060102T1504Z", parts[len(parts)-1]); err == nil {
		words += " of " + moment(t)
	}
	return words
}

func (f *facts) ringWords(r *Ring) string {
	permission := "Covered by the approval of the plan."
	switch {
	case f.cycle.Shadow:
		return "Shadow mode: nothing was installed, so nobody was asked."
	case r.StandIns != "":
		permission = "It asks for an approval of its own, because others stand in: " + r.StandIns + "."
		if who := f.approvedBefore(r.Began); len(who) > 0 {
			permission = "Approved by " + list(who) + " before it began, because others stood in: " + r.StandIns + "."
		}
	case r.Name == policy.TestRing:
		permission = "Runs before the approval, under the test ring's pre-approval."
	}
	switch {
	case r.Gate != nil:
		return permission
	case r.Released > 0:
		return permission + " The gate has not spoken yet."
	case f.closed():
		return "Not begun: the cycle closed before its turn."
	default:
		return permission + " Not begun."
	}
}

// approvedBefore names those whose approval of whatever plan counted by then.
func (f *facts) approvedBefore(at time.Time) []string {
	var who []string
	for _, a := range f.approvals {
		name := string(a.Account)
		if a.Verdict == patching.Approve && a.Refused == "" && a.At.Before(at) && !slices.Contains(who, name) {
			who = append(who, name)
		}
	}
	return who
}

// chances are for defects that hit these shares of machines, in percent.
var chances = []float64{1, 3, 10, 30}

// testRing says how well the test ring stood for the others, and what it could
// have seen.
func (f *facts) testRing() TestRing {
	items := make([]patching.PlanItem, len(f.deployments))
	for i := range f.deployments {
		items[i] = f.deployments[i].PlanItem
	}
	m := plan.Mirror(items, policy.TestRing, f.bundles)
	t := TestRing{Machines: m.Machines, Mirror: m.Words(), Needed: gate.MachinesToSee(0.03, 0.95)}
	for i := range f.deployments {
		if d := &f.deployments[i]; d.Ring == policy.TestRing && !d.Answered.IsZero() {
			t.Answered++
		}
	}
	for _, defect := range chances {
		t.Chances = append(t.Chances, Chance{Defect: defect, Percent: 100 * gate.DetectionChance(t.Answered, defect/100)})
	}
	return t
}
