package plan

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// sift takes the assets that the policy selects and leaves out those that
// cannot be patched, each with the first cause that binds.
func (b *builder) sift() error {
	b.machines = make([]*machine, 0, len(b.Assets))
	room := make([]machine, len(b.Assets)) // one piece: a hundred thousand are collected more quickly
	seen := make(map[patching.AssetID]bool, len(b.Assets))
	for i := range b.Assets {
		a := &b.Assets[i]
		if seen[a.ID] {
			return fmt.Errorf("asset %s is listed twice", a.ID)
		}
		seen[a.ID] = true
		ours, err := b.sel.whole.Match(a)
		if err != nil {
			return err
		}
		if !ours {
			b.notSelected++
			continue
		}
		m := &room[i]
		b.begin(m, a)
		leave, err := b.barred(m)
		if err != nil {
			return err
		}
		if leave.Reason != "" {
			m.leave(leave.Reason, leave.Why)
		}
		b.machines = append(b.machines, m)
	}
	return nil
}

func (b *builder) begin(m *machine, a *patching.Asset) {
	name := cmp.Or(a.Hostname, string(a.ID))
	*m = machine{
		asset: a, ring: noRing, carried: b.carry[a.ID], alone: a.CarriesPatchcycle,
		name: name, hash: spreadHash(b.Cycle, name),
		item: patching.PlanItem{Asset: a.ID, Device: a.Device, Site: siteOf(a), Stratum: Stratum(a)},
	}
	if ref, known := b.Bundles[b.keyOf(a)]; known && !ref.Empty {
		m.item.Bundle, m.item.Rollback = ref.Bundle, ref.Rollback
	}
}

// spreadHash orders machines in a way that looks random but is the same
// whenever the plan is made, and another one in the next cycle. It goes by
// hostname: ids are drawn anew whenever a machine is enrolled, and the same fleet
// should get the same plan. A machine may call itself what it likes, and so bend
// its turn among those that the policy puts beside it, but nothing else.
func spreadHash(c patching.CycleID, name string) uint64 {
	sum := sha256.Sum256([]byte(string(c) + "\x00" + name))
	return binary.BigEndian.Uint64(sum[:])
}

func siteOf(a *patching.Asset) patching.SiteName {
	if a.Site == "" {
		return patching.Roaming
	}
	return a.Site
}

// Stratum names the kind of machine that an asset is: operating system,
// release, and role, which is its "role:…" tag or else its first service.
// Machines of a kind should behave alike.
func Stratum(a *patching.Asset) string {
	role := ""
	for _, t := range a.Tags {
		if r, ok := strings.CutPrefix(t, "role:"); ok {
			role = r
			break
		}
	}
	if role == "" && len(a.Services) > 0 {
		role = a.Services[0]
	}
	return strings.Join(strings.Fields(a.OS.Family+" "+a.OS.Release+" "+role), " ")
}

// barred returns the first cause that keeps a machine from being patched; an
// empty reason: none. What somebody decided comes before what happens to be so.
func (b *builder) barred(m *machine) (Leave, error) {
	a := m.asset
	if e, err := b.sel.excluded(a, b.Now); err != nil {
		return Leave{}, err
	} else if e != nil {
		return Leave{patching.ReasonExcludedBy, exclusionWords(*e)}, nil
	}
	if why, excepted := b.Excepted[a.ID]; excepted {
		return Leave{patching.ReasonExcepted, why}, nil
	}
	ref, resolved := b.Bundles[b.keyOf(a)]
	switch out, gone := b.Out[a.ID]; {
	case gone:
		return out, nil
	case a.Device == "":
		return Leave{Reason: patching.ReasonNotEnrolled}, nil
	case a.Manager == "":
		return Leave{Reason: patching.ReasonManagerUnknown}, nil
	case a.Inventoried.IsZero():
		return Leave{patching.ReasonInventoryStale, "it has never sent one"}, nil
	case b.Policy.Fresh > 0 && b.Now.Sub(a.Inventoried) > b.Policy.Fresh:
		return Leave{patching.ReasonInventoryStale, "the last one is of " + phrase.Moment(a.Inventoried)}, nil
	case !resolved:
		return Leave{patching.ReasonInventoryStale, "its newest inventory came after the assessment"}, nil
	case !slices.Contains(a.Allowed, "apply"):
		return Leave{patching.ReasonHostRules, allowedWords(a.Allowed)}, nil
	case ref.Empty && len(a.Broken) > 0: // nothing is offered for what is there already, though half
		return Leave{patching.ReasonHalfInstalled, strings.Join(a.Broken, ", ")}, nil
	case ref.Empty && ref.HeldBy != "":
		return Leave{patching.ReasonExcepted, ref.HeldBy}, nil
	case ref.Empty && len(ref.KeptBack) > 0:
		return Leave{patching.ReasonKeptBack, strings.Join(ref.KeptBack, ", ")}, nil
	case ref.Empty:
		return Leave{Reason: patching.ReasonNothingMissing}, nil
	}
	if why, err := b.Policy.Backup.Lacks(b.sel.backup, a, b.Backups[a.ID], b.Now); err != nil || why != "" {
		return Leave{patching.ReasonNoBackup, why}, err
	}
	if c, busy := b.Busy[a.ID]; busy {
		return Leave{patching.ReasonBusyElsewhere, string(c)}, nil
	}
	o := b.calendar.at(a)
	m.slots = o.slots
	return o.none, nil
}

// TakenOut returns the machines that ended before their turn, or left an earlier plan
// for that: a person or another cycle took them.
func TakenOut(rows []patching.Deployment) map[patching.AssetID]Leave {
	out := map[patching.AssetID]Leave{}
	for _, d := range rows {
		gone := d.Exclude == patching.ReasonRemoved || d.Exclude == patching.ReasonTakenOver
		if gone || d.Ring != "" && d.State.Terminal() && !d.Outcome.Bad() {
			out[d.Asset] = Leave{Reason: d.Reason, Why: d.Detail}
		}
	}
	return out
}

func allowedWords(allowed []string) string {
	if len(allowed) == 0 {
		return "they allow nothing"
	}
	return "they allow only: " + strings.Join(allowed, ", ")
}

func exclusionWords(e policy.Exclusion) string {
	words := e.Reason
	if e.Owner != "" {
		words += ", says " + e.Owner
	}
	if !e.Until.IsZero() {
		words += ", until " + e.Until.Format(time.DateOnly)
	}
	return words
}
