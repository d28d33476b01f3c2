package trust

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves Q15, U1.
func TestAnOrderWithItsGrantIsTaken(t *testing.T) {
	o := newOffice(t)
	s := o.signed(t, o.grants(), o.ana, o.ben)
	require.NoError(t, o.take(o.ordered(t, o.draft(), o.warrant(t, s))))
	require.NoError(t, o.take(o.ordered(t, o.revert(), o.warrant(t, s))), "going back is approved with it")

	got, err := o.verifier().Order(o.ordered(t, o.draft(), o.warrant(t, s)), o.seen(), o.now)
	require.NoError(t, err)
	basis, err := o.verifier().Basis(got)
	require.NoError(t, err)
	assert.Equal(t, []Person{{Account: "ana", Key: o.ana.key}, {Account: "ben", Key: o.ben.key}}, basis.Persons)
}

func TestAMachineThatInsistsOnGrantsDoesSoUnderAnyTrustRoot(t *testing.T) {
	o := newOffice(t)
	o.root.Mode = ModeDispatcher
	require.NoError(t, o.take(o.ordered(t, o.draft(), nil)))
	v := o.verifier()
	v.Mode = ModeGrants
	_, err := v.Order(o.ordered(t, o.draft(), nil), o.seen(), o.now)
	assert.Equal(t, WhyGrant, WhyOf(err))
	_, err = v.Order(o.ordered(t, o.draft(), o.warrant(t, o.signed(t, o.grants(), o.ana, o.ben))), o.seen(), o.now)
	assert.NoError(t, err)
}

// Serves Q15. The attacker has the database, the dispatcher's key and whatever
// approvers have ever signed, and not their keys.
func TestWhoOwnsTheServerCannotHaveAMachinePatched(t *testing.T) {
	o := newOffice(t)
	good := o.signed(t, o.grants(), o.ana, o.ben)
	with := func(change func(*Grants), by ...person) Signed {
		g := o.grants()
		change(&g)
		return o.signed(t, g, by...)
	}
	order := func(change func(*Draft)) Draft {
		d := o.draft()
		change(&d)
		return d
	}
	warrant := func(s Signed, change func(*Warrant)) *Warrant {
		w := *o.warrant(t, s)
		change(&w)
		return &w
	}
	same := func(*Warrant) {}
	other := patching.DigestOf([]byte("what nobody has approved"))
	for _, c := range []struct {
		name    string
		draft   Draft
		warrant *Warrant
		want    Why
	}{
		{"without any grant", o.draft(), nil, WhyGrant},
		{"by no signature", o.draft(), warrant(Signed{Document: o.grants().Text()}, same), WhySignature},
		{"by one approver of two", o.draft(), o.warrant(t, o.signed(t, o.grants(), o.ana)), WhyQuorum},
		{"by one approver twice", o.draft(), o.warrant(t, o.signed(t, o.grants(), o.ana, o.ana)), WhySignature},
		{"by a key that nobody knows", o.draft(), o.warrant(t, o.signed(t, o.grants(), o.ana, o.eve)), WhyQuorum},
		{"by an approver of other policies", o.draft(), o.warrant(t, o.signed(t, o.grants(), o.ana, o.cy)), WhyQuorum},
		{"by the author", o.draft(), o.warrant(t, with(func(g *Grants) { g.Author = "ben" }, o.ana, o.ben)), WhyQuorum},
		{"as an emergency that nobody called", o.draft(), warrant(good, func(w *Warrant) {
			w.Grants = &Signed{Document: bytes.Replace(good.Document, []byte(`"monthly"`), []byte(`"emergency"`), 1), Signatures: good.Signatures}
		}), WhySignature},
		{"by break-glass that the trust root does not know", o.draft(), o.warrant(t, with(func(g *Grants) { g.BreakGlass = "it burns" }, o.ana, o.ben)), WhyQuorum},
		{"with another bundle", order(func(d *Draft) { d.Bundle = other }), o.warrant(t, good), WhyGrant},
		{"with another bundle, in the proof too", order(func(d *Draft) { d.Bundle = other }), warrant(good, func(w *Warrant) { w.Bundle = other }), WhyGrant},
		{"going back to something else", func() Draft { d := o.revert(); d.Rollback = other; return d }(), o.warrant(t, good), WhyGrant},
		{"in an earlier ring", order(func(d *Draft) { d.Ring = "test" }), o.warrant(t, good), WhyGrant},
		{"in another ring of the same plan", order(func(d *Draft) { d.Ring = "ring3" }), o.warrant(t, with(func(g *Grants) {
			*g = GrantsFor(o.root, o.plan, []patching.RingName{"ring2", "ring3"}, "")
		}, o.ana, o.ben)), WhyGrant},
		{"in a window that is open for longer", order(func(d *Draft) { d.WindowRule = "always in UTC" }), o.warrant(t, good), WhyGrant},
		{"in a window that is open for longer, in the proof too", order(func(d *Draft) { d.WindowRule = "always in UTC" }), warrant(good, func(w *Warrant) { w.Rule = "always in UTC" }), WhyGrant},
		{"by the proof of another machine", o.draft(), warrant(good, func(w *Warrant) {
			ring, err := NewRing(good, o.items, o.keys)
			require.NoError(t, err)
			foreign, err := ring.Warrant("d-2")
			require.NoError(t, err)
			w.Index, w.Proof = foreign.Index, foreign.Proof
		}), WhyGrant},
		{"by a proof that is longer than any tree", o.draft(), warrant(good, func(w *Warrant) { w.Proof = make([]patching.Digest, 33) }), WhySize},
		{"by the grant of another cycle", order(func(d *Draft) { d.Cycle = "cycle/servers/2026-12.1" }), o.warrant(t, good), WhyGrant},
		{"after the deadline of the plan", order(func(d *Draft) {
			d.NotAfter = o.plan.CloseBy.Add(time.Hour)
		}), o.warrant(t, good), WhyGrant},
		{"going back later than was approved", func() Draft {
			d := o.revert()
			d.NotAfter = o.plan.CloseBy.Add(RevertCover + time.Hour)
			return d
		}(), o.warrant(t, good), WhyGrant},
		{"by a grant of an earlier epoch", o.draft(), o.warrant(t, with(func(g *Grants) { g.Epoch = 9 }, o.ana, o.ben)), WhyEpoch},
		{"by a grant of another fleet", o.draft(), o.warrant(t, with(func(g *Grants) { g.Fleet = "other" }, o.ana, o.ben)), WhyFleet},
		{"by a signature over another kind of paper", o.draft(), warrant(Signed{
			Document:   o.grants().Text(),
			Signatures: []PersonSignature{o.ana.sign(t, PreApprovalPaper, o.grants().Text()), o.ben.sign(t, PreApprovalPaper, o.grants().Text())},
		}, same), WhySignature},
		{"by grants that are handed over as a pre-approval", o.draft(), warrant(good, func(w *Warrant) { w.PreApproval, w.Grants = w.Grants, nil }), WhySignature},
		{"by grants and a pre-approval at once", o.draft(), warrant(good, func(w *Warrant) { w.PreApproval = w.Grants }), WhyForm},
		{"by more signatures than are checked", o.draft(), warrant(good, func(w *Warrant) {
			w.Grants = &Signed{Document: good.Document, Signatures: make([]PersonSignature, 9)}
		}), WhySize},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := o.take(o.ordered(t, c.draft, c.warrant))
			require.Error(t, err)
			assert.Equal(t, c.want, WhyOf(err), err.Error())
		})
	}
}

// Every verb that changes a machine at somebody's wish needs approvers; looking,
// caches and holding do not.
func TestUnderGrantsNoVerbThatNeedsThemRunsWithout(t *testing.T) {
	o := newOffice(t)
	for _, v := range Verbs() {
		spec, _ := v.Spec()
		d := Draft{ID: "o-9", Device: "d-1", Verb: v, NotAfter: o.now.Add(time.Hour)}
		if spec.NeedsLease {
			d.Fence, d.WindowRule, d.Start, d.End = 7, "always in UTC", o.now, o.now.Add(time.Hour)
		}
		d.Bundle, d.Rollback = o.draft().Bundle, o.draft().Rollback
		switch v { //nolint:exhaustive // the others take no arguments
		case Repair:
			d.Args = RepairArgs{RepairConfigure}
		case Snapshot:
			d.Args = SnapshotArgs{SnapshotTake, "before"}
		case Service, Probe, Evidence:
			d.Args = NamedArgs{"nginx"}
		case Notify:
			d.Args = NotifyArgs{"tonight"}
		case Agent:
			d.Args = AgentArgs{Do: AgentUpdate, By: "ana", Reason: "new"}
		}
		err := o.take(o.ordered(t, d, nil))
		if spec.NeedsGrant {
			assert.Equal(t, WhyGrant, WhyOf(err), v)
		} else {
			assert.NoError(t, err, v)
		}
	}
}

func TestBreakGlassHasAQuorumOfItsOwnAndTheAuthorMayBreakIt(t *testing.T) {
	o := newOffice(t)
	o.root.Quorum.BreakGlass = 1
	o.plan.Author = "ana"
	g := GrantsFor(o.root, o.plan, []patching.RingName{"ring2"}, "exploited tonight, ben is on a plane")
	require.NoError(t, o.take(o.ordered(t, o.draft(), o.warrant(t, o.signed(t, g, o.ana)))))
	err := o.take(o.ordered(t, o.draft(), o.warrant(t, o.signed(t, g, o.ben))))
	assert.Equal(t, WhyQuorum, WhyOf(err), "ben has not that role")
}

func TestADelegateSignsForWhoDelegatedAndTheTwoCountOnce(t *testing.T) {
	o := newOffice(t)
	note := Delegation{
		V: 1, Fleet: "acme", From: "ana", To: "eve", Key: o.eve.key, Scopes: []string{"policy:servers"},
		NotBefore: o.plan.Made.Add(-time.Hour), NotAfter: o.plan.Made.Add(time.Hour), Reason: "holiday",
	}
	signed := func(d Delegation, by person) Note {
		return Note{Document: d.Text(), Signature: by.sign(t, DelegationPaper, d.Text())}
	}
	try := func(n Note, by ...person) error {
		s := o.signed(t, o.grants(), by...)
		s.Notes = []Note{n}
		return o.take(o.ordered(t, o.draft(), o.warrant(t, s)))
	}
	require.NoError(t, try(signed(note, o.ana), o.eve, o.ben))
	for _, c := range []struct {
		name string
		note Note
		by   []person
	}{
		{"together with who delegated", signed(note, o.ana), []person{o.eve, o.ana}},
		{"by a note that is signed by the delegate", signed(note, o.eve), []person{o.eve, o.ben}},
		{"by a note that is signed by another approver", signed(note, o.ben), []person{o.eve, o.ben}},
		{"by a note that is over", signed(func() Delegation { d := note; d.NotAfter = o.plan.Made.Add(-time.Minute); return d }(), o.ana), []person{o.eve, o.ben}},
		{"by a note that has not begun", signed(func() Delegation { d := note; d.NotBefore = o.plan.Made.Add(time.Minute); return d }(), o.ana), []person{o.eve, o.ben}},
		{"by a note for other policies", signed(func() Delegation { d := note; d.Scopes = []string{"policy:laptops"}; return d }(), o.ana), []person{o.eve, o.ben}},
		{"by a note for another key", signed(func() Delegation { d := note; d.Key = o.cy.key; return d }(), o.ana), []person{o.eve, o.ben}},
		{"by a note of another fleet", signed(func() Delegation { d := note; d.Fleet = "other"; return d }(), o.ana), []person{o.eve, o.ben}},
		{"by a note for longer than any holiday", signed(func() Delegation { d := note; d.NotAfter = d.NotBefore.Add(46 * 24 * time.Hour); return d }(), o.ana), []person{o.eve, o.ben}},
		{"by a note to oneself", signed(func() Delegation { d := note; d.To = "ana"; return d }(), o.ana), []person{o.eve, o.ben}},
		{"as the author's delegate's delegate", signed(func() Delegation { d := note; d.To = "dora"; return d }(), o.ana), []person{o.eve, o.ben}},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Error(t, try(c.note, c.by...)) })
	}
}

// Serves Q15.
func TestADelegateOfSeveralSignsByTheDelegationThatHolds(t *testing.T) {
	o := newOffice(t)
	note := func(from person, name patching.AccountName, change func(*Delegation)) Note {
		d := Delegation{
			V: 1, Fleet: "acme", From: name, To: "eve", Key: o.eve.key, Scopes: []string{"policy:servers"},
			NotBefore: o.plan.Made.Add(-time.Hour), NotAfter: o.plan.Made.Add(time.Hour), Reason: "holiday",
		}
		if change != nil {
			change(&d)
		}
		return Note{Document: d.Text(), Signature: from.sign(t, DelegationPaper, d.Text())}
	}
	holds := note(o.ana, "ana", nil)
	for name, other := range map[string]Note{
		"one that has not begun":        note(o.ana, "ana", func(d *Delegation) { d.NotBefore = o.plan.Made.Add(time.Minute) }),
		"one that is over":              note(o.ana, "ana", func(d *Delegation) { d.NotAfter = o.plan.Made.Add(-time.Minute) }),
		"one for another policy":        note(o.ana, "ana", func(d *Delegation) { d.Scopes = []string{"policy:laptops"} }),
		"one by who may not themselves": note(o.cy, "cy", nil),
		"one to another, that is over":  note(o.ana, "ana", func(d *Delegation) { d.Key = o.cy.key; d.NotAfter = o.plan.Made.Add(-time.Minute) }),
	} {
		t.Run(name, func(t *testing.T) {
			for _, notes := range [][]Note{{other, holds}, {holds, other}} {
				s := o.signed(t, o.grants(), o.eve, o.ben)
				s.Notes = notes
				require.NoError(t, o.take(o.ordered(t, o.draft(), o.warrant(t, s))))
			}
		})
	}
}

func TestAKeyOfHardwareCountsIfSomebodyTouchedIt(t *testing.T) {
	o := newOffice(t)
	for flags, counts := range map[byte]bool{1: true, 5: true, 0: false, 4: false} {
		token := newHardware(t, flags)
		o.root.Approvers[1].Key = token.key
		err := o.take(o.ordered(t, o.draft(), o.warrant(t, o.signed(t, o.grants(), o.ana, token))))
		assert.Equal(t, counts, err == nil, "flags %d: %v", flags, err)
	}
}

func TestAnApproversKeyIsRefusedThatIs(t *testing.T) {
	short := "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDKL7Yk1EbYz7xz1lG0sVKqxA1v2s3Lk7E7zj4R2yXy2u0vG9iUQ2Gv3T3bBqQdFq4i1C1E7mJbV7Yx0FQp5h2bq8w== x"
	good := string(newPerson(t, 1).key)
	for _, c := range []struct{ name, line string }{
		{"no key", "hello"},
		{"empty", ""},
		{"with options", `from="10.0.0.1" ` + good},
		{"two keys", good + "\n" + string(newPerson(t, 2).key)},
		{"a short or broken RSA key", short},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParsePersonKey(c.line)
			assert.Error(t, err)
		})
	}
	k, err := ParsePersonKey(good + " ana@work\n")
	require.NoError(t, err)
	assert.Equal(t, PersonKey(good), k, "the comment is no part of it")
	_, err = PersonKey(good + " ana@work").public()
	assert.Error(t, err, "a second spelling would count a key twice")
}

// Whatever byte of a grant is changed on the way, the machine does not take it.
func TestNoByteOfAGrantCanBeChanged(t *testing.T) {
	o := newOffice(t)
	s := o.signed(t, o.grants(), o.ana, o.ben)
	w := o.warrant(t, s)
	genuine := o.order(t, func() Draft { d := o.draft(); d.Warrant = w; return d }(), 41)
	rapid.Check(t, func(rt *rapid.T) {
		text := bytes.Clone(genuine.Grant)
		at := rapid.IntRange(0, len(text)-1).Draw(rt, "at")
		text[at] ^= rapid.Byte().Filter(func(b byte) bool { return b != 0 }).Draw(rt, "bits")
		changed := genuine
		changed.Grant = json.RawMessage(text)
		if !json.Valid(text) {
			return // the order itself is none then
		}
		if _, err := o.verifier().Basis(changed); err == nil {
			rt.Fatalf("byte %d may be changed: %s", at, text)
		}
	})
}

func TestATrustRootUnderWhichNobodyCouldApproveIsRefused(t *testing.T) {
	o := newOffice(t)
	for _, c := range []struct {
		name   string
		change func(*Root)
		want   Why
	}{
		{"no approvers", func(r *Root) { r.Approvers = []Approver{} }, WhyQuorum},
		{"a quorum that is larger than the number of people", func(r *Root) { r.Quorum.Monthly = 4 }, WhyQuorum},
		{"one person's two keys for two people", func(r *Root) {
			r.Approvers = []Approver{{"ana", o.ana.key, []string{RoleApprover}, []string{"*"}}, {"ana", o.eve.key, []string{RoleApprover}, []string{"*"}}}
		}, WhyQuorum},
		{"break-glass that nobody may break", func(r *Root) { r.Quorum.BreakGlass = 2 }, WhyQuorum},
		{"a key twice", func(r *Root) { r.Approvers[1].Key = o.ana.key }, WhyForm},
		{"a role that keys do not have", func(r *Root) { r.Approvers[0].Roles = []string{"operator"} }, WhyForm},
		{"more root keys than there are", func(r *Root) { r.Quorum.Root = 2 }, WhyForm},
		{"a key that is none", func(r *Root) { r.Approvers[0].Key = "ssh-ed25519 AAAA" }, WhyForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := newOffice(t).root
			c.change(&root)
			_, err := Pin(root.Seal(o.world.keys.Root), "")
			require.Error(t, err)
			assert.Equal(t, c.want, WhyOf(err), err.Error())
		})
	}
}

func TestARootOfSeveralKeysTakesAsManySignaturesAsItSays(t *testing.T) {
	w := newWorld()
	second, third := KeyFromSeed([32]byte{21}), KeyFromSeed([32]byte{22})
	w.root.RootKeys = append(w.root.RootKeys, second.Public(), third.Public())
	w.root.Quorum.Root = 2
	_, err := Pin(w.root.Seal(w.keys.Root), "")
	assert.Equal(t, WhyQuorum, WhyOf(err))
	_, err = Pin(w.root.Seal(w.keys.Root, w.keys.Root), "")
	assert.Equal(t, WhyQuorum, WhyOf(err), "a key counts once")
	pinned, err := Pin(w.root.Seal(w.keys.Root, third), "")
	require.NoError(t, err)
	next := w.root.Bump(2)
	_, err = pinned.Accept(next.Seal(second))
	assert.Equal(t, WhyQuorum, WhyOf(err))
	_, err = pinned.Accept(next.Seal(second, third))
	assert.NoError(t, err)
}

var _ ssh.Signer = hardware{}
