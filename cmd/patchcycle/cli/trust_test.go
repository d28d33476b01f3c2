package cli

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/console/planfile"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// sshKey makes a person's key with OpenSSH's program.
func sshKey(t *testing.T, name string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), name)
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", file).CombinedOutput()
	require.NoError(t, err, "install openssh-client: %s", out)
	return file
}

// Serves U1, Q15: the ceremony of docs/trust.md, up to an approval that is signed.
func TestTheCeremonyGoesFromKeysToASignedApproval(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	ben := sshKey(t, "ben")

	first := strings.TrimSpace(h.ok("trust", "key", in("first.key")))
	require.NotEqual(t, ExitOK, h.run("trust", "key", in("first.key")).code, "no key is made over another")
	out := h.run("trust", "draft", in("next.json"), "--approver", "ben="+ben+".pub:approver+break-glass", "--root-key", first,
		"--quorum", "monthly=1,break-glass=1", "--mode", "grants")
	require.Equal(t, ExitOK, out.code, out.errs)
	require.Contains(t, out.out, "ben")
	h.ok("trust", "sign", in("next.json"), "--key", in("first.key"))
	shown := h.ok("trust", "show", in("next.json"))
	require.Contains(t, shown, "grants")
	require.Contains(t, shown, "SHA256:")
	for _, key := range []string{first, "root", "dispatcher", "lease"} { // whose holders see there what they sign
		require.Contains(t, shown, key)
	}
	h.ok("trust", "publish", in("next.json"))
	require.Equal(t, trust.ModeGrants, h.root.Mode)
	require.Len(t, h.root.RootKeys, 2)

	made, _ := sealedPlan(t)
	h.sealedCycle(made)
	h.ok("cycle", "approve", string(cycleID), "--plan", string(made.Hash()), "--key", ben)
	act := h.engine.acts[len(h.engine.acts)-1]
	sig, err := trust.ParseSignature([]byte(act.Signature))
	require.NoError(t, err)
	who, err := h.root.Signer(sig, trust.GrantsFor(h.root, made, []patching.RingName{"early"}, ""), nil)
	require.NoError(t, err)
	assert.Equal(t, patching.AccountName("ben"), who.Account)

	text := h.ok("cycle", "plan", "grants", string(cycleID))
	require.NoError(t, os.WriteFile(in("grants"), []byte(text), 0o600))
	require.NoError(t, os.WriteFile(in("plan"), []byte(h.ok("cycle", "plan", "file", string(cycleID))), 0o600))
	require.Contains(t, h.ok("cycle", "plan", "digest", in("plan"), "--grants", in("grants")), string(made.Hash()))
	signed, err := exec.Command("ssh-keygen", "-Y", "sign", "-f", ben, "-n", string(trust.GrantsPaper), in("grants")).CombinedOutput()
	require.NoError(t, err, string(signed))
	h.ok("cycle", "approve", string(cycleID), "--plan", string(made.Hash()), "--signature", in("grants.sig"))

	require.NoError(t, os.WriteFile(in("other"), []byte(strings.Replace(text, "ana", "eve", 1)), 0o600))
	bad := h.run("cycle", "plan", "digest", in("plan"), "--grants", in("other"))
	assert.Equal(t, ExitFailed, bad.code)
	assert.Contains(t, bad.errs, "Do not sign it")
}

// Serves U1: who pre-approves second signs the text of the first, whatever the hour; in two
// texts of one signature each nobody would have pre-approved anything.
func TestTwoPeoplePreApproveInOneText(t *testing.T) {
	h := newHouse(t)
	made, _ := sealedPlan(t)
	h.sealedCycle(made)
	h.root.Mode, h.root.Quorum.Monthly = trust.ModeGrants, 2
	keys := map[string]string{}
	for _, name := range []string{"ben", "cy"} {
		keys[name] = sshKey(t, name)
		line, err := os.ReadFile(keys[name] + ".pub")
		require.NoError(t, err)
		key, err := trust.ParsePersonKey(string(line))
		require.NoError(t, err)
		h.root.Approvers = append(h.root.Approvers, trust.Approver{Account: patching.AccountName(name), Key: key, Roles: []string{trust.RoleApprover}, Scopes: []string{"*"}})
	}
	h.as("ben", patching.RoleApprover)
	require.Contains(t, h.run("doctor").out, "A plan takes the signatures of 2 people, and of the 2 approvers of the trust root 1 have an account that may approve.")
	h.as("cy", patching.RoleApprover)
	require.Contains(t, h.run("doctor").out, "People who may approve: 3.", "root approves too")
	sign := func(name string, more ...string) string {
		return h.ok(append([]string{"trust", "pre-approve", string(cycleID), "--repository-key", strings.Repeat("A1", 20), "--key", keys[name]}, more...)...)
	}
	require.Contains(t, sign("ben"), "Signed by 1 of 2.")
	h.later.Store(int64(30 * time.Hour))
	require.Contains(t, sign("cy"), "Signed by 2 of 2.")
	require.Contains(t, sign("cy", "--days", "30"), "Signed by 1 of 2.", "that is another text")
	h.later.Store(int64(30 * 24 * time.Hour))
	require.Contains(t, sign("cy"), "Signed by 1 of 2.", "a renewal has times of its own")
}

// Serves Q15: a slip in a draft would be signed and put in force.
func TestADraftThatDoesNotDoWhatItSaysIsNotWritten(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	ben := sshKey(t, "ben") + ".pub"
	h.ok("trust", "draft", in("next.json"), "--approver", "ben="+ben)
	h.ok("trust", "sign", in("next.json"), "--key", rootKeyOf(t, in("root.key")))
	h.ok("trust", "publish", in("next.json"))
	h.ok("trust", "key", in("mine.key"))
	for _, c := range []struct {
		says string
		args []string
	}{
		{"--drop-approver bne: the root has no approver", []string{"--drop-approver", "bne"}},
		{"--epoch 1: the root is of epoch 1", []string{"--epoch", "1"}},
		{"--epoch -5", []string{"--epoch", "-5"}},
		{"name of their account", []string{"--approver", "Cy Young=" + ben}},
		{"\"polcy:servers\" is no scope", []string{"--approver", "cy=" + ben + ":approver:polcy:servers"}},
		{"\"site:berlin\" is no scope", []string{"--approver", "cy=" + ben + ":approver:policy:servers+site:berlin"}},
		{"at most 8", []string{"--quorum", "monthly=9"}},
	} {
		r := h.run(append([]string{"trust", "draft", in("other.json")}, c.args...)...)
		assert.Equal(t, ExitUsage, r.code, c.args)
		assert.Contains(t, r.errs, c.says)
	}
	assert.NoFileExists(t, in("other.json"))

	before := read(t, in("mine.key"))
	for _, args := range [][]string{{"draft", in("mine.key")}, {"sign", in("next.json"), "--key", in("mine.key"), "--out", in("mine.key")}} {
		r := h.run(append([]string{"trust"}, args...)...)
		assert.Equal(t, ExitFailed, r.code)
		assert.Contains(t, r.errs, "mine.key is there already, and is no trust root")
	}
	assert.Equal(t, before, read(t, in("mine.key")))
	for _, verb := range []string{"show", "publish"} {
		assert.Contains(t, h.run("trust", verb, in("mine.key")).errs, in("mine.key")+": not an envelope")
	}
}

// Serves Q15: holders compare the root keys with those that they noted.
func TestWhoSignsARootSeesItsKeys(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	mine := strings.TrimSpace(h.ok("trust", "key", filepath.Join(dir, "mine.key")))
	next := filepath.Join(dir, "next.json")
	h.ok("trust", "draft", next, "--root-key", mine)
	out := h.ok("trust", "sign", next, "--key", filepath.Join(dir, "mine.key"))
	for _, keys := range [][]trust.PublicKey{h.root.RootKeys, h.root.DispatcherKeys, h.root.LeaseKeys} {
		assert.Contains(t, out, base64.StdEncoding.EncodeToString(keys[0]))
	}
	assert.Contains(t, out, mine)
}

// rootKeyOf writes the house's root key into a file.
func rootKeyOf(t *testing.T, file string) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(trust.KeyFromSeed([32]byte{1}).Private())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	return file
}

// sealedCycle puts a cycle on record that waits for the approval of a plan.
func (h *house) sealedCycle(made patching.Plan) {
	h.t.Helper()
	ctx := h.t.Context()
	_, err := h.store.OpenCycle(ctx, patching.Cycle{ID: cycleID, Kind: patching.Monthly, Policy: "demo", Author: "ana", Opened: noon, Phase: patching.PhaseApproval})
	require.NoError(h.t, err)
	_, text := sealedPlan(h.t)
	f, err := planfile.Read(text)
	require.NoError(h.t, err)
	var items []patching.PlanItem
	for d, b := range f.Bundles {
		_, err := h.store.PutContents(ctx, "bundle", [][]byte{b.Canonical()})
		require.NoError(h.t, err)
		for _, id := range []string{"d-1", "d-2"} {
			items = append(items, patching.PlanItem{
				Asset: patching.AssetID(id), Device: patching.DeviceID(id), Ring: "early", Wave: "w", WindowRule: "always in UTC", Bundle: d, Start: noon, End: noon.AddDate(0, 0, 1),
			})
		}
	}
	require.NoError(h.t, h.store.PutEnrolToken(ctx, store.EnrolToken{Hash: "sha256:t", Site: "amsterdam", Uses: 2, Expires: noon.AddDate(0, 0, 1), AutoAccept: true}))
	for _, id := range []string{"d-1", "d-2"} {
		_, err := h.store.Enrol(ctx, "sha256:t", noon, patching.Device{ID: patching.DeviceID(id), Asset: patching.AssetID(id), Key: []byte(id)}, patching.Asset{ID: patching.AssetID(id), Hostname: id})
		require.NoError(h.t, err)
	}
	require.NoError(h.t, h.store.PutPlan(ctx, made, items))
	state := contract.CycleState{ID: cycleID, Policy: "demo", Phase: patching.PhaseApproval, Plan: contract.PlanSummary{Hash: made.Hash(), Rings: []contract.RingSummary{{Name: "early"}}}}
	text, err = json.Marshal(state)
	require.NoError(h.t, err)
	require.NoError(h.t, h.store.SaveCycle(ctx, patching.Cycle{ID: cycleID, Phase: patching.PhaseApproval, Plan: made.Hash(), State: text}))
}

func TestSigningSaysWhatIsWrong(t *testing.T) {
	h := newHouse(t)
	made, _ := sealedPlan(t)
	h.sealedCycle(made)
	for _, c := range []struct {
		says string
		args []string
	}{
		{"ssh-keygen did not sign", []string{"--key", filepath.Join(t.TempDir(), "none")}},
		{"one of them", []string{"--key", "a", "--signature", "b"}},
		{"has to be signed", []string{"--break-glass", "it burns"}},
		{"no SSH signature", []string{"--signature", h.policy()}},
		{"break-glass", []string{"--break-glass", "it burns", "--signature", h.policy()}}, // this root knows none
	} {
		r := h.run(append([]string{"cycle", "approve", string(cycleID), "--plan", string(made.Hash())}, c.args...)...)
		assert.NotEqual(t, ExitOK, r.code)
		assert.Contains(t, r.errs, c.says)
	}
	assert.Empty(t, h.engine.acts)
}

// sealedPlan is a plan of one ring with two machines, as a server writes its file.
func sealedPlan(t testing.TB) (patching.Plan, []byte) {
	t.Helper()
	bundle := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{{Action: patching.Upgrade, Name: "openssl", Arch: "amd64", From: "1", To: "2"}}}}}
	var leaves [][]byte
	lines := []wire.PlanFile{{}}
	for _, d := range []patching.DeviceID{"d-1", "d-2"} {
		key := trust.PublicKey(d).ID()
		leaves = append(leaves, patching.PlanItem{Device: d, WindowRule: "always in UTC", Bundle: bundle.Digest()}.Leaf(key))
		lines = append(lines, wire.PlanFile{Machine: &wire.PlanMachine{
			Asset: patching.AssetID(d), Hostname: string(d), Ring: "early", Device: d, DeviceKey: key, Rule: "always in UTC", Bundle: bundle.Digest(),
		}})
	}
	root, err := trust.RingRoot(leaves)
	require.NoError(t, err)
	made := patching.Plan{
		Cycle: cycleID, Revision: 2, Kind: patching.Monthly, Policy: "demo", PolicyVersion: "sha256:1", Author: "ana", Made: noon, CloseBy: noon.AddDate(0, 0, 14),
		Rings: []patching.PlanRing{{Name: "early", Assets: 2, Root: root}},
	}
	lines[0].Plan = string(made.Canonical())
	lines = append(lines, wire.PlanFile{Bundle: string(bundle.Canonical())})
	var b bytes.Buffer
	for _, l := range lines {
		require.NoError(t, json.NewEncoder(&b).Encode(l))
	}
	return made, b.Bytes()
}
