package api

import (
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
)

func outlookShape(o plan.Outlook) *wire.Outlook {
	m, f := o.Mirror, o.Forecast
	out := &wire.Outlook{
		Mirror: wire.Mirror{
			Words: m.Words(), Machines: m.Machines, Of: m.Of, Kinds: m.Kinds, KindsOf: m.KindsOf,
			Like: m.Like, Untested: append([]string{}, m.Untested...), Patches: m.Patches, PatchesOf: m.PatchesOf,
		},
		Forecast: wire.Forecast{Words: f.Words(), Rings: []wire.RingForecast{}, End: f.End, Fits: f.Fits},
		WayBack:  wire.WayBack{Words: o.Back.Words(), Machines: o.Back.Machines - o.Back.Stuck, Stuck: o.Back.Stuck, Stays: []wire.Staying{}},
	}
	if kinds := len(o.Rehearsal.Kinds); kinds > 0 {
		asPlanned, unanswered, differ := o.Rehearsal.Count()
		r := &wire.Rehearsal{Words: o.Rehearsal.Words(), Kinds: kinds, AsPlanned: asPlanned, Unanswered: unanswered, Otherwise: []wire.Rehearsed{}}
		for _, k := range differ {
			r.Otherwise = append(r.Otherwise, wire.Rehearsed{Hostname: k.Hostname, Machines: k.Machines, Words: k.Words})
		}
		out.Rehearsal = r
	}
	if !o.Remediation.AsOf.IsZero() {
		out.Remediation = remediationShape(o.Remediation)
	}
	for _, p := range o.Back.Stays {
		out.WayBack.Stays = append(out.WayBack.Stays, wire.Staying(p))
	}
	for _, r := range f.Rings {
		out.Forecast.Rings = append(out.Forecast.Rings, wire.RingForecast{
			Name: r.Ring, Machines: r.Machines, Waves: r.Waves, Begin: r.Begin, End: r.End, Soaked: r.Soaked,
		})
	}
	if d := o.Change; d != nil {
		out.Change = &wire.Difference{
			Words: d.Words(), Stay: d.Stay, Ring: d.Ring, Patches: d.Patches, Time: d.Time, Enter: d.Enter,
			Leave: exclusions(d.Leave), Withdrawn: append([]string{}, d.Withdrawn...),
		}
	}
	return out
}

// exclusions lists the counted reasons in the order of the vocabulary.
func exclusions(count map[patching.Reason]int) []wire.Exclusion {
	out := []wire.Exclusion{}
	for _, r := range patching.AllReasons() {
		if n := count[r]; n > 0 {
			out = append(out, wire.Exclusion{Reason: r, Words: r.Words(), Machines: n})
		}
	}
	return out
}
