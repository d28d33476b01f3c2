package trust

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

var debianKey = strings.Repeat("A", 40)

func (o office) preApproval(t testing.TB) (PreApproval, []PreApproved) {
	t.Helper()
	machines := []PreApproved{
		{Device: "d-1", DeviceKey: o.device.Public().ID(), Rule: o.draft().WindowRule},
		{Device: "d-2", DeviceKey: o.keys[2], Rule: o.draft().WindowRule},
	}
	ring, err := NewPreApproved(Signed{}, machines)
	require.NoError(t, err)
	from := o.now.Add(-24 * time.Hour)
	return PreApproval{
		V: 1, Fleet: "acme", Epoch: 1, Policy: "servers", Root: ring.Root(), Machines: 2, Rule: UpgradeRule, Keys: []string{debianKey},
		NotBefore: from, NotAfter: from.Add(MaxPreApproval), RevertUntil: from.Add(MaxPreApproval + RevertCover),
	}, machines
}

func (o office) preApproved(t testing.TB, p PreApproval, machines []PreApproved, by ...person) *Warrant {
	t.Helper()
	s := Signed{Document: p.Text()}
	for _, who := range by {
		s.Signatures = append(s.Signatures, who.sign(t, PreApprovalPaper, s.Document))
	}
	ring, err := NewPreApproved(s, machines)
	require.NoError(t, err)
	w, err := ring.Warrant("d-1")
	require.NoError(t, err)
	return w
}

// Serves G5, Q15.
func TestAPreApprovedMachineTakesWhatNobodyHasSeen(t *testing.T) {
	o := newOffice(t)
	p, machines := o.preApproval(t)
	w := o.preApproved(t, p, machines, o.ana, o.ben)
	order, err := o.verifier().Order(o.ordered(t, o.draft(), w), o.seen(), o.now)
	require.NoError(t, err)
	basis, err := o.verifier().Basis(order)
	require.NoError(t, err)
	assert.Equal(t, &p, basis.PreApproval, "the rule has to be held to")
	require.NoError(t, o.take(o.ordered(t, o.revert(), w)))
}

func TestAPreApprovalIsNotStretchedTo(t *testing.T) {
	o := newOffice(t)
	p, machines := o.preApproval(t)
	with := func(change func(*PreApproval)) *Warrant {
		other := p
		change(&other)
		return o.preApproved(t, other, machines, o.ana, o.ben)
	}
	good := o.preApproved(t, p, machines, o.ana, o.ben)
	foreign := *good
	foreign.Bundle = o.draft().Bundle
	order := func(change func(*Draft)) Draft {
		d := o.draft()
		change(&d)
		return d
	}
	for _, c := range []struct {
		name    string
		draft   Draft
		warrant *Warrant
		want    Why
	}{
		{"more days than a quarter", o.draft(), with(func(p *PreApproval) { p.NotAfter = p.NotBefore.Add(MaxPreApproval + time.Hour) }), WhyForm},
		{"what is over", o.draft(), with(func(p *PreApproval) {
			p.NotBefore, p.NotAfter, p.RevertUntil = o.now.Add(-48*time.Hour), o.now.Add(time.Hour), o.now.Add(time.Hour)
		}), WhyGrant},
		{"what has not begun", o.draft(), with(func(p *PreApproval) {
			p.NotBefore, p.NotAfter, p.RevertUntil = o.now.Add(time.Minute), o.now.Add(48*time.Hour), o.now.Add(48*time.Hour)
		}), WhyGrant},
		{"a rule that nobody knows", o.draft(), with(func(p *PreApproval) { p.Rule = "anything" }), WhyForm},
		{"no repositories", o.draft(), with(func(p *PreApproval) { p.Keys = nil }), WhyForm},
		{"one approver where it takes two", o.draft(), o.preApproved(t, p, machines, o.ana), WhyQuorum},
		{"another window", order(func(d *Draft) { d.WindowRule = "always in UTC" }), good, WhyGrant},
		{"a bundle that it cannot name", o.draft(), &foreign, WhyForm},
		{"going back for longer than is covered", o.draft(), with(func(p *PreApproval) { p.RevertUntil = p.NotAfter.Add(RevertCover + time.Hour) }), WhyForm},
		{"machines that are not in it", o.draft(), with(func(p *PreApproval) { p.Root = patching.DigestOf([]byte("others")) }), WhyGrant},
		{"a service's restart", order(func(d *Draft) { d.Verb, d.Args, d.Bundle, d.Rollback = Service, NamedArgs{"nginx"}, "", "" }), good, WhyGrant},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := o.take(o.ordered(t, c.draft, c.warrant))
			require.Error(t, err)
			assert.Equal(t, c.want, WhyOf(err), err.Error())
		})
	}
}

func TestOnlyUpgradesFromTheNamedRepositoriesArePreApproved(t *testing.T) {
	p, _ := newOffice(t).preApproval(t)
	bundle := func(patches ...patching.Patch) patching.Bundle {
		return patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: patches}}}
	}
	up := patching.Patch{Action: patching.Upgrade, Name: "openssl", From: "3.0.9-1", To: "3.0.11-1~deb12u2"}
	for _, c := range []struct {
		name   string
		bundle patching.Bundle
		ok     bool
	}{
		{"an upgrade", bundle(up), true},
		{"an upgrade with what it needs", bundle(up, patching.Patch{Action: patching.Install, Name: "libssl3", To: "3"}), true},
		{"nothing at all", bundle(), true},
		{"an upgrade that is older", bundle(patching.Patch{Action: patching.Upgrade, Name: "openssl", From: "3.0.11-1", To: "3.0.9-1"}), false},
		{"an upgrade to the same version", bundle(patching.Patch{Action: patching.Upgrade, Name: "openssl", From: "1", To: "1"}), false},
		{"a version that cannot be compared", bundle(patching.Patch{Action: patching.Upgrade, Name: "openssl", From: "1", To: "§"}), false},
		{"a removal", bundle(up, patching.Patch{Action: patching.Remove, Name: "auditd", From: "1"}), false},
		{"a downgrade", bundle(patching.Patch{Action: patching.Downgrade, Name: "openssl", From: "2", To: "1"}), false},
		{"a package and nothing else", bundle(patching.Patch{Action: patching.Install, Name: "netcat", To: "1"}), false},
		{"a manager that nobody knows", patching.Bundle{Manager: "brew", Steps: bundle(up).Steps}, false},
	} {
		err := p.Covers(c.bundle)
		assert.Equal(t, c.ok, err == nil, "%s: %v", c.name, err)
	}
	assert.NoError(t, p.SignedBy("bookworm-security", []string{"B", debianKey}))
	assert.Error(t, p.SignedBy("stable", []string{"B"}))
	assert.Error(t, p.SignedBy("stable", nil))
}

func TestGoingBackUnderAPreApprovalLeadsToWhatWasThere(t *testing.T) {
	bundle := func(patches ...patching.Patch) patching.Bundle {
		return patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: patches}}}
	}
	forth := []patching.Patch{
		{Action: patching.Upgrade, Name: "openssl", Arch: "amd64", From: "1", To: "2"},
		{Action: patching.Install, Name: "libssl3", Arch: "amd64", To: "2"},
	}
	back := func(name, from, to string) patching.Bundle {
		return bundle(patching.Patch{Action: patching.Downgrade, Name: name, Arch: "amd64", From: from, To: to})
	}
	assert.NoError(t, Undoes(back("openssl", "2", "1"), forth))
	assert.NoError(t, Undoes(back("libssl3", "2", ""), forth), "what came with it goes")
	assert.Error(t, Undoes(back("openssl", "2", "0.9"), forth), "further back than it was")
	assert.Error(t, Undoes(back("auditd", "2", ""), forth), "what was not touched stays")
}
