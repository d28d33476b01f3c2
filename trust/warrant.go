package trust

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Warrant is what an order rests on where approvers have to have signed: what they
// signed, and the proof that this machine is a part of it. Either Grants or
// PreApproval is set.
type Warrant struct {
	Grants      *Signed `json:"grants"`
	PreApproval *Signed `json:"pre_approval"`
	// Rule, Bundle and Rollback are those of the machine's leaf; bundles are empty in
	// a pre-approval.
	Rule     string          `json:"rule"`
	Bundle   patching.Digest `json:"bundle"`
	Rollback patching.Digest `json:"rollback"`
	// Index is the leaf's place, Proof the hashes from there to the root.
	Index int               `json:"index"`
	Proof []patching.Digest `json:"proof"`
}

// maxProof bounds a proof: a tree of 2^32 leaves.
const maxProof = 32

// Basis is what a verified order rests on.
type Basis struct {
	// PreApproval is set if nobody has seen the plan: its rule has to be held to.
	PreApproval *PreApproval
	// Persons are who signed and counted, none in mode dispatcher.
	Persons []Person
	// BreakGlass says why the usual approvers were not waited for.
	BreakGlass string
}

// Basis verifies what an order rests on that was verified otherwise. Where nobody
// has to have signed, a grant that comes along is not looked at.
func (v Verifier) Basis(o Order) (Basis, error) {
	switch {
	case v.mode() != ModeGrants || !o.NeedsGrant():
		return Basis{}, nil
	case string(o.Grant) == "null":
		return Basis{}, refuse(WhyGrant, "approvers have to have signed for this machine, and the order carries no grant")
	}
	var w Warrant
	if err := Decode(o.Grant, &w); err != nil {
		return Basis{}, refuse(WhyForm, "grant: %w", err)
	}
	if len(w.Proof) > maxProof {
		return Basis{}, refuse(WhySize, "a proof of %d hashes, at most %d are checked", len(w.Proof), maxProof)
	}
	switch {
	case w.Grants != nil && w.PreApproval == nil:
		return v.byGrants(o, w)
	case w.PreApproval != nil && w.Grants == nil:
		return v.byPreApproval(o, w)
	}
	return Basis{}, refuse(WhyForm, "an order rests on grants or on a pre-approval, one of them")
}

func (v Verifier) byGrants(o Order, w Warrant) (Basis, error) {
	keys, err := w.Grants.signers(GrantsPaper)
	if err != nil {
		return Basis{}, err
	}
	g, err := ReadGrants(w.Grants.Document)
	if err != nil {
		return Basis{}, err
	}
	rule, err := v.Root.quorumOf(g)
	if err != nil {
		return Basis{}, err
	}
	persons, err := v.Root.count(keys, w.Grants.Notes, rule)
	if err != nil {
		return Basis{}, err
	}
	if err := v.ours("grants", g.Fleet, g.Epoch); err != nil {
		return Basis{}, err
	}
	ring, ok := g.ring(o.Ring)
	switch {
	case g.Cycle != o.Cycle:
		return Basis{}, refuse(WhyGrant, "the grant is of %.80q, the order of %.80q", g.Cycle, o.Cycle)
	case !ok:
		return Basis{}, refuse(WhyGrant, "ring %.64q is not among those that were approved", o.Ring)
	}
	if err := w.within(o, g.NotAfter, g.RevertUntil); err != nil {
		return Basis{}, err
	}
	if o.Verb == Apply && o.Bundle != w.Bundle || o.Verb == Revert && (o.Rollback != w.Rollback || w.Rollback == "") {
		return Basis{}, refuse(WhyGrant, "another bundle was approved for this machine")
	}
	leaf := patching.PlanItem{Device: v.Device, WindowRule: w.Rule, Bundle: w.Bundle, Rollback: w.Rollback}.Leaf(v.DeviceKey)
	if err := VerifyProof(ring.Root, ring.Machines, w.Index, leaf, w.Proof); err != nil {
		return Basis{}, refuse(WhyGrant, "this machine is not among those that were approved: %w", err)
	}
	return Basis{Persons: persons, BreakGlass: g.BreakGlass}, nil
}

func (v Verifier) byPreApproval(o Order, w Warrant) (Basis, error) {
	keys, err := w.PreApproval.signers(PreApprovalPaper)
	if err != nil {
		return Basis{}, err
	}
	p, err := ReadPreApproval(w.PreApproval.Document)
	if err != nil {
		return Basis{}, err
	}
	persons, err := v.Root.count(keys, w.PreApproval.Notes, v.Root.preApprovalQuorum(p))
	if err != nil {
		return Basis{}, err
	}
	if err := v.ours("pre-approval", p.Fleet, p.Epoch); err != nil {
		return Basis{}, err
	}
	switch {
	case o.Verb != Apply && o.Verb != Revert && o.Verb != Reboot:
		return Basis{}, refuse(WhyGrant, "a %s was not pre-approved", o.Verb)
	case w.Bundle != "" || w.Rollback != "":
		return Basis{}, refuse(WhyForm, "a pre-approval names no bundles")
	case o.NotBefore.Before(p.NotBefore):
		return Basis{}, refuse(WhyGrant, "pre-approved from %s on", p.NotBefore.Format(time.RFC3339))
	}
	if err := w.within(o, p.NotAfter, p.RevertUntil); err != nil {
		return Basis{}, err
	}
	if err := VerifyProof(p.Root, p.Machines, w.Index, PreApprovedLeaf(v.Device, v.DeviceKey, w.Rule), w.Proof); err != nil {
		return Basis{}, refuse(WhyGrant, "this machine is not among those that were pre-approved: %w", err)
	}
	return Basis{PreApproval: &p, Persons: persons}, nil
}

// within checks the order's times against what was approved. Going back is covered
// outside of the windows too, and for longer.
func (w Warrant) within(o Order, notAfter, revertUntil time.Time) error {
	if o.Verb == Revert {
		if o.NotAfter.After(revertUntil) {
			return refuse(WhyGrant, "going back was approved until %s, the order is valid until %s", revertUntil.Format(time.RFC3339), o.NotAfter.Format(time.RFC3339))
		}
		return nil
	}
	switch {
	case o.NotAfter.After(notAfter):
		return refuse(WhyGrant, "approved until %s, the order is valid until %s", notAfter.Format(time.RFC3339), o.NotAfter.Format(time.RFC3339))
	case o.Window == nil || o.Window.Rule != w.Rule:
		return refuse(WhyGrant, "another window was approved for this machine: %.80q", w.Rule)
	}
	return nil
}

// ours checks that a document is of this fleet and epoch.
func (v Verifier) ours(what, fleet string, epoch int64) error {
	switch {
	case fleet != v.Root.Fleet:
		return refuse(WhyFleet, "%s of fleet %.64q, this machine belongs to %q", what, fleet, v.Root.Fleet)
	case epoch != v.Root.Epoch:
		return refuse(WhyEpoch, "%s of epoch %d, the trust root has %d: it has to be signed anew", what, epoch, v.Root.Epoch)
	}
	return nil
}

// raw returns the warrant as it stands in an order; nil: null.
func (w *Warrant) raw() json.RawMessage {
	if w == nil {
		return null
	}
	return Canonical(w)
}

// Ring proves for the machines of a ring what was approved. It may be used by many
// at a time.
type Ring struct {
	tree   *Tree
	places map[patching.DeviceID]place
	base   Warrant
}

type place struct {
	index            int
	rule             string
	bundle, rollback patching.Digest
}

// NewRing makes the proofs of a ring's items by its grants. Items have the plan's
// order, keys those of their devices, as the plan was sealed with.
func NewRing(grants Signed, items []patching.PlanItem, keys []patching.Digest) (*Ring, error) {
	r := &Ring{base: Warrant{Grants: &grants}, places: make(map[patching.DeviceID]place, len(items))}
	leaves := make([][]byte, len(items))
	for n, i := range items {
		leaves[n] = i.Leaf(keys[n])
		r.places[i.Device] = place{n, i.WindowRule, i.Bundle, i.Rollback}
	}
	return r.grow(leaves)
}

// NewPreApproved makes the proofs of pre-approved machines.
func NewPreApproved(approval Signed, machines []PreApproved) (*Ring, error) {
	r := &Ring{base: Warrant{PreApproval: &approval}, places: make(map[patching.DeviceID]place, len(machines))}
	leaves := make([][]byte, len(machines))
	for n, m := range machines {
		leaves[n] = PreApprovedLeaf(m.Device, m.DeviceKey, m.Rule)
		r.places[m.Device] = place{index: n, rule: m.Rule}
	}
	return r.grow(leaves)
}

// PreApproved is a machine of a pre-approval.
type PreApproved struct {
	Device    patching.DeviceID `json:"device"`
	DeviceKey patching.Digest   `json:"device_key"`
	Rule      string            `json:"rule"`
}

func (r *Ring) grow(leaves [][]byte) (*Ring, error) {
	var err error
	r.tree, err = NewTree(leaves)
	return r, err
}

// Root is the Merkle root, to be compared with what was signed.
func (r *Ring) Root() patching.Digest { return r.tree.Root() }

// Warrant returns what an order to the device rests on.
func (r *Ring) Warrant(device patching.DeviceID) (*Warrant, error) {
	at, ok := r.places[device]
	if !ok {
		return nil, fmt.Errorf("device %s is no part of what was approved", device)
	}
	proof, err := r.tree.Proof(at.index)
	if err != nil {
		return nil, err
	}
	w := r.base
	w.Rule, w.Bundle, w.Rollback, w.Index, w.Proof = at.rule, at.bundle, at.rollback, at.index, proof
	return &w, nil
}
