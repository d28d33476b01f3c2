package agent

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// approver is a person with an OpenSSH key.
type approver struct {
	ssh.Signer
	key trust.PersonKey
}

func newApprover(t testing.TB, seed byte) approver {
	t.Helper()
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), seed)))
	require.NoError(t, err)
	key, err := trust.ParsePersonKey(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
	require.NoError(t, err)
	return approver{signer, key}
}

var archive = strings.Repeat("A", 40)

// underGrants is a machine that obeys only what ana has signed, and a server with
// all of its own keys.
func underGrants(t testing.TB) (*bench, approver) {
	t.Helper()
	b, ana := newBench(t), newApprover(t, 11)
	b.office.root.Mode = trust.ModeGrants
	b.office.root.Approvers = []trust.Approver{{Account: "ana", Key: ana.key, Roles: []string{trust.RoleApprover}, Scopes: []string{"*"}}}
	b.pinned = b.office.root.Seal(b.office.keys.Root)
	b.box.signers = map[string][]string{"bookworm-security": {archive}}
	b.boot()
	return b, ana
}

// grant has ana sign for the machine as the draft has it, and puts that into it.
func (b *bench) grant(d *trust.Draft, ana approver) {
	b.t.Helper()
	item := patching.PlanItem{Device: "d-1", Ring: d.Ring, WindowRule: rule, Bundle: d.Bundle, Rollback: d.Rollback}
	keys := []patching.Digest{b.key.Public().ID()}
	root, err := trust.RingRoot([][]byte{item.Leaf(keys[0])})
	require.NoError(b.t, err)
	grants := trust.GrantsFor(b.office.root, patching.Plan{
		Cycle: d.Cycle, Kind: patching.Monthly, Policy: "servers", Author: "dora", Made: tonight.Add(-time.Hour), CloseBy: tonight.Add(240 * time.Hour),
		Rings: []patching.PlanRing{{Name: d.Ring, Assets: 1, Root: root}},
	}, []patching.RingName{d.Ring}, "")
	sig, err := trust.Sign(trust.GrantsPaper, grants.Text(), ana)
	require.NoError(b.t, err)
	ring, err := trust.NewRing(trust.Signed{Document: grants.Text(), Signatures: []trust.PersonSignature{sig}}, []patching.PlanItem{item}, keys)
	require.NoError(b.t, err)
	d.Warrant, err = ring.Warrant("d-1")
	require.NoError(b.t, err)
}

// preApprove has ana sign for the machine beforehand.
func (b *bench) preApprove(d *trust.Draft, ana approver) {
	b.t.Helper()
	machines := []trust.PreApproved{{Device: "d-1", DeviceKey: b.key.Public().ID(), Rule: rule}}
	ring, err := trust.NewPreApproved(trust.Signed{}, machines)
	require.NoError(b.t, err)
	from := tonight.Add(-24 * time.Hour)
	p := trust.PreApproval{
		V: 1, Fleet: "acme", Epoch: 1, Policy: "servers", Root: ring.Root(), Machines: 1, Rule: trust.UpgradeRule, Keys: []string{archive},
		NotBefore: from, NotAfter: from.Add(trust.MaxPreApproval), RevertUntil: from.Add(trust.MaxPreApproval),
	}
	sig, err := trust.Sign(trust.PreApprovalPaper, p.Text(), ana)
	require.NoError(b.t, err)
	ring, err = trust.NewPreApproved(trust.Signed{Document: p.Text(), Signatures: []trust.PersonSignature{sig}}, machines)
	require.NoError(b.t, err)
	d.Warrant, err = ring.Warrant("d-1")
	require.NoError(b.t, err)
}

// order issues a draft and permits it.
func (b *bench) order(d trust.Draft) patching.Receipt {
	b.t.Helper()
	b.office.issue(d)
	b.office.permit(d.ID)
	return b.untilFinal(d.ID)
}

// Serves Q15, U1.
func TestUnderGrantsAMachineDoesWhatWasApprovedAndGoesBack(t *testing.T) {
	b, ana := underGrants(t)
	d := b.draft(trust.Apply, twoSteps())
	b.grant(&d, ana)
	assert.Equal(t, patching.Patched, b.order(d).Outcome)
	back := b.draft(trust.Revert, twoSteps())
	back.ID, back.Warrant, back.WindowRule, back.Start, back.End = "o-2", d.Warrant, "always in UTC", b.clock.now, tonight.Add(5*time.Hour)
	assert.Equal(t, patching.RolledBack, b.order(back).Outcome, "outside of its windows too")
}

func TestUnderGrantsAnOrderOnTheServersWordIsRefusedAndAnswered(t *testing.T) {
	b, _ := underGrants(t)
	end := b.order(b.draft(trust.Apply, small()))
	assert.Equal(t, patching.StageRefused, end.Stage)
	assert.Contains(t, end.Detail, "approvers have to have signed")
	assert.Empty(t, b.box.wrote)
}

func TestTheModeIsRaisedOnTheMachineAloneAndLoweredByNobody(t *testing.T) {
	b := newBench(t)
	next := b.office.root.Bump(1)
	next.Mode = trust.ModeGrants
	ana := newApprover(t, 11)
	next.Approvers = []trust.Approver{{Account: "ana", Key: ana.key, Roles: []string{trust.RoleApprover}, Scopes: []string{"*"}}}
	b.office.root, b.office.newRoot = next, next.Seal(b.office.keys.Root)
	assert.Equal(t, patching.Patched, b.order(b.draft(trust.Apply, small())).Outcome, "a later trust root raises nothing")

	b.rules.Mode = trust.ModeGrants
	again := b.draft(trust.Apply, small())
	again.ID = "o-2"
	assert.Equal(t, patching.StageRefused, b.order(again).Stage)

	lower := next.Bump(1)
	lower.Mode = trust.ModeDispatcher
	b.office.root, b.office.newRoot = lower, lower.Seal(b.office.keys.Root)
	again.ID = "o-3"
	assert.Equal(t, patching.StageRefused, b.order(again).Stage, "nothing remote lowers it")
}

func TestAnApproverWhoLeavesTheTrustRootTakesWhatHasNotStartedAlong(t *testing.T) {
	for _, verb := range []trust.Verb{trust.Apply, trust.Revert, trust.Reboot} {
		t.Run(string(verb), func(t *testing.T) {
			b, ana := underGrants(t)
			d := b.draft(verb, small())
			if verb == trust.Revert {
				b.box.installed["openssl"] = "2"
			}
			b.grant(&d, ana)
			b.clock.now = tonight.Add(-2 * time.Hour)
			b.office.issue(d)
			b.turn()
			require.NotNil(t, b.agent.state.find("o-1"), "accepted before its window")

			next := b.office.root.Bump(1)
			next.Approvers = []trust.Approver{{Account: "ben", Key: newApprover(t, 12).key, Roles: []string{trust.RoleApprover}, Scopes: []string{"*"}}}
			b.office.root, b.office.newRoot = next, next.Seal(b.office.keys.Root)
			b.until(tonight)
			b.office.permit("o-1")
			boot := b.box.Boot()
			end := b.untilFinal("o-1")
			assert.NotEqual(t, patching.Patched, end.Outcome)
			assert.Contains(t, end.Detail, "no approver's key")
			assert.Empty(t, b.box.wrote)
			assert.Equal(t, boot, b.box.Boot(), "it did not restart")
		})
	}
}

func TestAPreApprovedMachineRestarts(t *testing.T) {
	b, ana := underGrants(t)
	d := b.draft(trust.Reboot, small())
	b.preApprove(&d, ana)
	boot := b.box.Boot()
	assert.Equal(t, patching.StageFinished, b.order(d).Stage)
	assert.NotEqual(t, boot, b.box.Boot())
}

// Serves G5, Q15.
func TestAPreApprovedMachineUpgradesAndGoesBackToWhatItHad(t *testing.T) {
	b, ana := underGrants(t)
	d := b.draft(trust.Apply, twoSteps())
	b.preApprove(&d, ana)
	assert.Equal(t, patching.Patched, b.order(d).Outcome)
	back := b.draft(trust.Revert, twoSteps())
	back.ID, back.Warrant = "o-2", d.Warrant
	assert.Equal(t, patching.RolledBack, b.order(back).Outcome)
	assert.Equal(t, map[string]string{"openssl": "1", "nginx": "7", "linux": "5"}, b.box.installed)
}

// The server is an attacker's, and the machine was pre-approved: vendor-signed
// upgrades are what it can choose among, and nothing else.
func TestUnderAPreApprovalAnOwnedServerCannotOrder(t *testing.T) {
	other := patching.Patch{Action: patching.Install, Name: "netcat", Arch: "amd64", To: "1"}
	for _, c := range []struct {
		name   string
		bundle patching.Bundle
		spoil  func(*bench)
		words  string
	}{
		{"an older version", patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{upgrade("nginx", "7", "6")}}}}, nil, "not newer"},
		{"a removal", patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{upgrade("openssl", "1", "2"), {Action: patching.Remove, Name: "nginx", Arch: "amd64", From: "7"}}}}}, nil, "remove nginx"},
		{"a package alone", patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{other}}}}, nil, "upgrades nothing"},
		{"a package that no upgrade needs", patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{upgrade("openssl", "1", "2"), other}}}}, nil, "no upgrade needs netcat"},
		{"packages that others have signed", small(), func(b *bench) { b.box.signers = map[string][]string{"tools": {strings.Repeat("B", 40)}} }, "signed by"},
		{"packages of which one index is others'", small(), func(b *bench) { b.box.signers["tools"] = nil }, "signed by"},
		{"packages from who knows where", small(), func(b *bench) { b.box.signers = nil }, "no snapshot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, ana := underGrants(t)
			if c.spoil != nil {
				c.spoil(b)
			}
			d := b.draft(trust.Apply, c.bundle)
			b.preApprove(&d, ana)
			end := b.order(d)
			assert.Equal(t, patching.Deferred, end.Outcome)
			assert.Contains(t, end.Detail, c.words)
			assert.Empty(t, b.box.wrote)
		})
	}
}

func TestUnderAPreApprovalNothingIsTakenBackThatTheMachineWasNotGiven(t *testing.T) {
	b, ana := underGrants(t)
	back := b.draft(trust.Revert, small())
	b.box.installed["openssl"] = "2" // whoever did that
	b.preApprove(&back, ana)
	end := b.order(back)
	assert.Contains(t, end.Detail, "nothing was done here")
	assert.Empty(t, b.box.wrote)

	d := b.draft(trust.Apply, patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{upgrade("nginx", "7", "8")}}}})
	d.ID = "o-2"
	b.preApprove(&d, ana)
	assert.Equal(t, patching.Patched, b.order(d).Outcome)
	back.ID = "o-3"
	assert.Contains(t, b.order(back).Detail, "not the way back")
	assert.Equal(t, "2", b.box.installed["openssl"])
}

// Serves G5: a bundle that says of a version in place that it came from a flawed one does
// not make that the way back.
func TestUnderAPreApprovalNothingGoesBackToAVersionThatWasNotThere(t *testing.T) {
	b, ana := underGrants(t)
	one := func(patches ...patching.Patch) patching.Bundle {
		return patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: patches}}}
	}
	d := b.draft(trust.Apply, one(upgrade("openssl", "1", "2"), upgrade("nginx", "0.5", "7"))) // 7 is there
	b.preApprove(&d, ana)
	assert.Equal(t, patching.Patched, b.order(d).Outcome)
	back := b.draft(trust.Revert, one(upgrade("openssl", "1", "2"), upgrade("nginx", "0.5", "7")))
	back.ID, back.Warrant = "o-2", d.Warrant
	assert.Contains(t, b.order(back).Detail, "not the way back")
	assert.Equal(t, map[string]string{"openssl": "2", "nginx": "7", "linux": "5"}, b.box.installed)
}

func TestWhatAFirstTryBroughtIsTakenBackAfterTheSecond(t *testing.T) {
	b, ana := underGrants(t)
	d := b.draft(trust.Apply, twoSteps())
	b.preApprove(&d, ana)
	assert.Equal(t, patching.Patched, b.order(d).Outcome)
	b.box.installed["linux"] = "5" // its last package is gone again
	again := d
	again.ID = "o-2"
	assert.Equal(t, patching.Patched, b.order(again).Outcome)
	back := b.draft(trust.Revert, twoSteps())
	back.ID, back.Warrant = "o-3", d.Warrant
	assert.Equal(t, patching.RolledBack, b.order(back).Outcome)
	assert.Equal(t, map[string]string{"openssl": "1", "nginx": "7", "linux": "5"}, b.box.installed)
}

// A trust root whose root key changed twice while the agent was running is still
// the one that it starts with again.
func TestTwoChangesOfTheRootKeyAreRemembered(t *testing.T) {
	b := newBench(t)
	for n, before := byte(0), b.office.keys.Root; n < 2; n++ {
		fresh := trust.KeyFromSeed([32]byte{30 + n})
		next := b.office.root.Bump(1)
		next.RootKeys = []trust.PublicKey{fresh.Public()}
		b.office.root, b.office.newRoot = next, next.Seal(before, fresh)
		b.turn()
		before = fresh
	}
	require.Equal(t, int64(3), b.agent.root.Version)
	b.boot()
	assert.Equal(t, int64(3), b.agent.root.Version)
	assert.Equal(t, patching.Patched, b.order(b.draft(trust.Apply, small())).Outcome)
}
