package e2e_test

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// keyring is who has which OpenSSH key.
type keyring map[patching.AccountName]ssh.Signer

func newKeyring(t *testing.T, people ...patching.AccountName) keyring {
	t.Helper()
	k := keyring{}
	for n, who := range people {
		signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(n+1))))
		require.NoError(t, err)
		k[who] = signer
	}
	return k
}

func (k keyring) sign(t *testing.T, who patching.AccountName, paper, text string) string {
	t.Helper()
	sig, err := trust.Sign(trust.Paper(paper), []byte(text), k[who])
	require.NoError(t, err)
	return string(sig.Armored())
}

// ceremony takes the root key away from the server and has it sign a root under which
// two people approve. It returns that key, as its holder would keep it.
func (h *house) ceremony(t *testing.T, keys keyring) trust.Key {
	t.Helper()
	file := filepath.Join(h.config.Dir, "keys", "root.key")
	home, err := trust.LoadKey(file)
	require.NoError(t, err)
	require.NoError(t, os.Remove(file))
	is, err := h.admin.TrustRoot(t.Context())
	require.NoError(t, err)
	root, err := trust.ReadRoot([]byte(is.Envelope))
	require.NoError(t, err)
	next := root.Bump(root.Epoch)
	next.Mode, next.Quorum.Monthly = trust.ModeGrants, 2
	for who, signer := range keys {
		key, err := trust.ParsePersonKey(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
		require.NoError(t, err)
		next.Approvers = append(next.Approvers, trust.Approver{Account: who, Key: key, Roles: []string{trust.RoleApprover}, Scopes: []string{"*"}})
	}
	_, err = h.admin.PutTrustRoot(t.Context(), next.Draft())
	requireCode(t, err, wire.CodeInvalid) // nobody has signed it
	h.publish(t, next, home)
	return home
}

// publish has the holder of the root key sign a root, and puts it in force.
func (h *house) publish(t *testing.T, next trust.Root, home trust.Key) {
	t.Helper()
	signed, err := trust.AddSignature(next.Draft(), home)
	require.NoError(t, err)
	_, err = h.admin.PutTrustRoot(t.Context(), signed)
	require.NoError(t, err)
}

// approveSigned has Ben approve through the API and Amy by a signal that any token can
// send, each with a signature of their own.
func (h *house) approveSigned(t *testing.T, id patching.CycleID, keys keyring) {
	t.Helper()
	c := h.await(t, id, patching.PhaseApproval)
	_, err := h.as(t, ben).Do(t.Context(), id, "approve", wire.Act{Plan: c.Plan}, client.NewKey())
	require.ErrorContains(t, err, "asks for a signature")
	grants, err := h.as(t, ben).Grants(t.Context(), id, "")
	require.NoError(t, err)
	require.True(t, grants.Needed)
	answer, err := h.as(t, ben).Do(t.Context(), id, "approve", wire.Act{Plan: c.Plan, Signature: keys.sign(t, ben, grants.Namespace, grants.Text)}, client.NewKey())
	require.NoError(t, err)
	require.Contains(t, answer.Words, "1 of 2")
	require.NoError(t, h.signal(t, amy, id, "approve", contract.Act{Plan: c.Plan, Signature: keys.sign(t, ben, grants.Namespace, grants.Text)}))
	h.awaitNote(t, id, "counts once")
	require.NoError(t, h.signal(t, amy, id, "approve", contract.Act{Plan: c.Plan, Signature: keys.sign(t, amy, grants.Namespace, grants.Text)}))
}

// Serves Q15, U1, G5: machines that obey only what people have signed, a cycle without
// a pre-approval, and the next one with it.
func TestAFleetThatObeysOnlyWhatPeopleSigned(t *testing.T) {
	h, keys := newHouse(t), newKeyring(t, ben, amy)
	h.ceremony(t, keys)
	s := h.newSite(t, "signed", truth.Profile{Machines: 12}, nil)
	id := s.begin(t)
	c := h.await(t, id, patching.PhaseApproval)
	require.Contains(t, c.Words, "no pre-approval of policy signed is in force")
	h.approveSigned(t, id, keys)
	first := c.Plan
	for c.Phase != patching.PhaseApproval || c.Plan == first { // the test ring goes first
		c = h.next(t, id, c)
	}
	h.approveSigned(t, id, keys)
	c = h.await(t, id, patching.PhaseClosed)
	h.requireConserved(t, id, 12)
	s.requireNoRepeat(t)
	require.Positive(t, c.Outcomes[patching.Patched], "%v", c.Outcomes)
	require.Zero(t, c.Outcomes[patching.Failed], "%v", c.Outcomes)
	votes, err := h.admin.Approvals(t.Context(), id)
	require.NoError(t, err)
	counted := 0
	for _, v := range votes.Items {
		if v.Counts {
			counted++
			require.NotEmpty(t, v.Key)
		}
	}
	require.Equal(t, 4, counted)

	draft, err := h.as(t, ben).DraftPreApproval(t.Context(), wire.NewPreApproval{Cycle: id, Days: 60, Keys: []string{sim.ArchiveKey}})
	require.NoError(t, err)
	for _, who := range []patching.AccountName{ben, amy} {
		_, err := h.as(t, who).SignPaper(t.Context(), wire.NewPaper{
			Kind: patching.PaperPreApproval, Document: draft.Text, Machines: draft.Machines, Signature: keys.sign(t, who, draft.Namespace, draft.Text),
		})
		require.NoError(t, err)
	}
	papers, err := h.admin.Papers(t.Context(), patching.PaperPreApproval, "signed")
	require.NoError(t, err)
	require.Len(t, papers.Items, 1)
	require.Contains(t, papers.Items[0].Words, "Signed by 2")
}

// Serves Q1, Q15, U1: an epoch voids what was signed while a ring is at work. The cycle asks
// once more, for that ring, the one that would follow without asking, and the way back of the
// one that is done; no machine has to say that nobody signed for it.
func TestAnEpochVoidsWhatWasSignedAndTheCycleAsksOnceMore(t *testing.T) {
	h, keys := newHouse(t, func(c *serve.Config) { c.UI = "" }), newKeyring(t, ben, amy)
	home := h.ceremony(t, keys)
	s := h.newSite(t, "anew", truth.Profile{Machines: 16}, func(_ []truth.Machine, r *rules) { r.Batch = 2 })
	id := s.begin(t)
	c := h.await(t, id, patching.PhaseApproval)
	h.approveSigned(t, id, keys)
	for first := c.Plan; c.Phase != patching.PhaseApproval || c.Plan == first; {
		c = h.next(t, id, c)
	}
	h.approveSigned(t, id, keys)
	until(t, 40*time.Second, "a ring at work", func() bool { return len(h.held(t, id)) > 0 })

	h.rebuild(t, 2)
	c = h.await(t, id, patching.PhaseApproval)
	require.Contains(t, c.Words, "once more (the server began anew, and the holders of the root keys sign first")
	_, err := h.as(t, ben).Grants(t.Context(), id, "")
	require.ErrorContains(t, err, "trust draft --epoch 2")
	is, err := h.admin.TrustRoot(t.Context())
	require.NoError(t, err)
	root, err := trust.ReadRoot([]byte(is.Envelope))
	require.NoError(t, err)
	h.publish(t, root.Bump(2), home)
	grants, err := h.as(t, ben).Grants(t.Context(), id, "")
	require.NoError(t, err)
	require.Equal(t, patching.RingName("test"), grants.Rings[0], "its way back")
	require.Equal(t, patching.RingName("broad"), grants.Rings[len(grants.Rings)-1])
	h.approveSigned(t, id, keys)
	c = h.await(t, id, patching.PhaseClosed)
	require.Equal(t, patching.ClosedSuccessful, c.ClosedAs, c.Words)
	h.requireConserved(t, id, 16)
	s.requireNoRepeat(t)
	require.Zero(t, c.Outcomes[patching.Failed], "%v", c.Outcomes)
}

// next waits until the cycle says something else.
func (h *house) next(t *testing.T, id patching.CycleID, c wire.CycleDetail) wire.CycleDetail {
	t.Helper()
	next, err := h.admin.WatchCycle(t.Context(), id, c.Mark, 10*time.Second)
	require.NoError(t, err)
	require.False(t, next.Phase.Terminal(), next.Words)
	return next
}
