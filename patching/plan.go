package patching

import (
	"bytes"
	"fmt"
	"time"
)

// Plan holds the decisions of one cycle that stand above single machines. Its
// hash is what people approve; through each ring's root it covers every
// machine, bundle and window rule, which are kept as [PlanItem] rows.
type Plan struct {
	Cycle    CycleID
	Revision int // 1 before the test ring, 2 when made again after it, more when amended
	Kind     Kind
	Shadow   bool
	Policy   PolicyName
	// PolicyVersion addresses the policy document that the plan was made with;
	// the cycle goes on under it, whatever is applied meanwhile (G3).
	PolicyVersion Digest
	Author        AccountName
	Made          time.Time
	CloseBy       time.Time
	Rings         []PlanRing
	// Excluded counts the assets that the plan leaves out, by reason.
	Excluded map[Reason]int
}

// PlanRing is one ring of a plan, in the order in which rings are deployed.
type PlanRing struct {
	Name   RingName
	Assets int
	// Root is the Merkle root over the ring's items; a grant signs it.
	Root Digest
	// StandIns says which other machines make up the ring, and why, where none of
	// those that the policy selects for it takes part; empty: the policy's do.
	StandIns string
}

// PlanItem is what the plan says of one asset: its ring, wave and bundle, or
// why it is left out. An item has a ring or an exclusion, never both.
type PlanItem struct {
	Asset  AssetID
	Device DeviceID
	Site   SiteName
	Ring   RingName // empty: excluded
	Wave   WaveID
	// Position orders the assets of a wave; batches are released by it.
	Position int
	// WindowRule is signed; Start and End are the occurrence that the wave uses.
	WindowRule string
	Start, End time.Time
	Bundle     Digest
	// Rollback addresses the bundle that undoes Bundle; empty: irreversible.
	Rollback Digest
	// Stratum groups assets that should behave alike: OS and role. Gates count by it.
	Stratum string
	Exclude Reason
	// Why completes the reason with names ("held by ana until 2027-01-01").
	Why string
	// Would addresses what an excluded machine would have got; empty: nothing.
	Would Digest
}

// WaveSummary is what a ring has to know of one of its waves.
type WaveSummary struct {
	ID         WaveID
	Site       SiteName
	Window     string
	Start, End time.Time
	Assets     int
}

// Canonical returns the text whose digest is the plan's hash. It is meant to be
// read by the people who approve it.
func (p Plan) Canonical() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "patchcycle plan v1\ncycle\t%s\nrevision\t%d\nkind\t%s\nshadow\t%t\npolicy\t%s\t%s\nauthor\t%s\nmade\t%s\nclose by\t%s\n",
		p.Cycle, p.Revision, p.Kind, p.Shadow, p.Policy, p.PolicyVersion, p.Author,
		p.Made.UTC().Format(time.RFC3339), p.CloseBy.UTC().Format(time.RFC3339))
	for _, r := range p.Rings {
		fmt.Fprintf(&b, "ring\t%s\t%d\t%s\n", r.Name, r.Assets, r.Root)
		if r.StandIns != "" {
			fmt.Fprintf(&b, "stand-ins\t%s\t%s\n", r.Name, r.StandIns)
		}
	}
	for _, r := range AllReasons() {
		if n := p.Excluded[r]; n > 0 {
			fmt.Fprintf(&b, "excluded\t%s\t%d\n", r, n)
		}
	}
	return b.Bytes()
}

// Hash addresses the plan.
func (p Plan) Hash() Digest { return DigestOf(p.Canonical()) }

// Assets returns how many machines the plan would touch.
func (p Plan) Assets() int {
	n := 0
	for _, r := range p.Rings {
		n += r.Assets
	}
	return n
}

// RingNames returns the plan's rings, in their order.
func (p Plan) RingNames() []RingName {
	names := make([]RingName, len(p.Rings))
	for i, r := range p.Rings {
		names[i] = r.Name
	}
	return names
}

// Leaf returns the text of the item's leaf in its ring's Merkle tree: the
// device and its key, the window rule, and both bundles.
func (i PlanItem) Leaf(deviceKey Digest) []byte {
	return fmt.Appendf(nil, "leaf v1\n%s\n%s\n%s\n%s\n%s\n", i.Device, deviceKey, i.WindowRule, i.Bundle, i.Rollback)
}
