package activities_test

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// signatories are a house whose trust root asks for signatures of approvers.
type signatories struct {
	*house
	root   trust.Root
	people *activities.People
	keys   map[patching.AccountName]ssh.Signer
}

func newSignatories(t *testing.T) *signatories {
	t.Helper()
	h := &signatories{house: newHouse(t), keys: map[patching.AccountName]ssh.Signer{}}
	h.root = trust.Root{V: 1, Fleet: "acme", Version: 1, Epoch: 1, Mode: trust.ModeGrants, Quorum: trust.Quorum{Monthly: 2, Emergency: 1, BreakGlass: 1}}
	for n, name := range []patching.AccountName{"ana", "ben", "cy", "dee"} {
		h.person(name, patching.RoleApprover, "*")
		signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(n+1))))
		require.NoError(t, err)
		h.keys[name] = signer
		if name == "dee" {
			continue // has no key in the trust root
		}
		roles := []string{trust.RoleApprover}
		if name == "ana" {
			roles = append(roles, trust.RoleBreakGlass)
		}
		h.root.Approvers = append(h.root.Approvers, trust.Approver{Account: name, Key: h.key(name), Roles: roles, Scopes: []string{"*"}})
	}
	granting := &activities.Granting{Store: h.Store, Root: func() trust.Root { return h.root }, Now: func() time.Time { return h.now }}
	h.waves.Granting, h.campaigns.Granting, h.planning.Granting = granting, granting, granting
	h.people = &activities.People{Store: h.Store, History: senders{"", "", "", ""}, Granting: granting, Now: func() time.Time { return h.now }}
	return h
}

func (h *signatories) key(name patching.AccountName) trust.PersonKey {
	h.t.Helper()
	k, err := trust.ParsePersonKey(string(ssh.MarshalAuthorizedKey(h.keys[name].PublicKey())))
	require.NoError(h.t, err)
	return k
}

// vote has somebody sign for the rings that are asked for, and sends it as a signal,
// whose sender says nothing.
func (h *signatories) vote(s contract.CycleState, name patching.AccountName, change ...func(*contract.VerifyActIn)) contract.VerifyActOut {
	h.t.Helper()
	made, err := h.Plan(h.ctx, s.ID)
	require.NoError(h.t, err)
	in := contract.VerifyActIn{
		Cycle: s.ID, Policy: s.Policy, Author: s.Author, Verb: contract.VerbApprove, Run: "run-1", Ordinal: 1,
		Rings: s.AskedRings(), Act: contract.Act{Plan: made.Hash()},
	}
	for _, c := range change {
		c(&in)
	}
	if in.Act.Signature == "" {
		sig, err := trust.Sign(trust.GrantsPaper, trust.GrantsFor(h.root, made, in.Rings, in.Act.BreakGlass).Text(), h.keys[name])
		require.NoError(h.t, err)
		in.Act.Signature = string(sig.Armored())
	}
	out, err := h.people.Verify(h.ctx, in)
	require.NoError(h.t, err)
	return out
}

// taken reports whether the machine of a draft would obey it.
func (h *signatories) taken(d trust.Draft) error {
	h.t.Helper()
	var n int
	_, err := fmt.Sscanf(string(d.Device), "d%03d", &n)
	require.NoError(h.t, err)
	key := trust.PublicKey(fmt.Appendf(nil, "%032d", n))
	o, err := d.Order(h.root, 1, key, h.now)
	require.NoError(h.t, err)
	_, err = trust.Verifier{Root: h.root, Device: d.Device, DeviceKey: key.ID()}.Basis(o)
	return err
}

// preApprove has two people sign for the machines of a plan's test ring.
func (h *signatories) preApprove(s contract.CycleState, days int) {
	h.t.Helper()
	rows, err := h.Deployments(h.ctx, store.DeploymentFilter{Cycle: s.ID, Ring: "test"})
	require.NoError(h.t, err)
	var machines []trust.PreApproved
	for _, d := range rows {
		machines = append(machines, trust.PreApproved{Device: d.Device, DeviceKey: trust.PublicKey(fmt.Appendf(nil, "%032d", number(h.t, d.Asset))).ID(), Rule: d.WindowRule})
	}
	ring, err := trust.NewPreApproved(trust.Signed{}, machines)
	require.NoError(h.t, err)
	from := h.now.UTC().Truncate(time.Millisecond)
	p := trust.PreApproval{
		V: 1, Fleet: "acme", Epoch: 1, Policy: "servers", Root: ring.Root(), Machines: len(machines), Rule: trust.UpgradeRule,
		Keys:      []string{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		NotBefore: from, NotAfter: from.AddDate(0, 0, days), RevertUntil: from.AddDate(0, 0, days),
	}
	text, err := json.Marshal(machines)
	require.NoError(h.t, err)
	paper := patching.Paper{Kind: patching.PaperPreApproval, Subject: "servers", Document: p.Text(), Machines: text, At: h.now}
	for _, name := range []patching.AccountName{"ben", "cy"} {
		sig, err := trust.Sign(trust.PreApprovalPaper, p.Text(), h.keys[name])
		require.NoError(h.t, err)
		paper.Signatures = append(paper.Signatures, patching.PaperSignature{Account: name, Key: h.key(name).Fingerprint(), Signature: sig, At: h.now})
	}
	require.NoError(h.t, h.SignPaper(h.ctx, paper))
}

// Serves U1, Q15: from two people's signatures to orders that machines obey.
func TestMachinesObeyWhatEnoughPeopleSigned(t *testing.T) {
	h := newSignatories(t)
	h.enrol(20)
	s := h.begin(monthly, patching.Monthly)
	require.True(t, h.plan(&s).Signed)
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	require.Equal(t, []patching.RingName{"early", "broad"}, s.AskedRings())

	first := h.vote(s, "ben")
	require.Empty(t, first.Refused)
	require.Equal(t, patching.AccountName("ben"), first.Account)
	require.Equal(t, [2]int{1, 2}, [2]int{first.Persons, first.Quorum})
	h.release(s, "early")
	for _, d := range h.desk.drafts(trust.Apply) {
		require.Nil(t, d.Warrant, "one of two has signed")
	}
	second := h.vote(s, "cy")
	require.Equal(t, [2]int{2, 2}, [2]int{second.Persons, second.Quorum})
	h.release(s, "broad")
	obeyed := 0
	for _, d := range h.desk.drafts(trust.Apply) {
		if d.Ring == "broad" {
			require.NoError(t, h.taken(d))
			obeyed++
		}
	}
	require.NotZero(t, obeyed)

	votes, err := h.Approvals(h.ctx, s.ID)
	require.NoError(t, err)
	require.Len(t, votes, 2)
	require.Equal(t, h.key("ben").Fingerprint(), votes[0].Key)
	require.Equal(t, second.Paper, votes[1].Paper)
	entries := h.audit()
	require.Contains(t, entries[len(entries)-1].Body, "signed by "+h.key("cy").Fingerprint())
}

func TestASignatureDoesNotCountThat(t *testing.T) {
	for name, c := range map[string]struct {
		who    patching.AccountName
		change func(*signatories, *contract.VerifyActIn)
		says   string
	}{
		"is missing": {who: "ben", change: func(_ *signatories, in *contract.VerifyActIn) {
			in.Act.Signature, in.Act.Request, in.Ordinal = "", "r-1", 0
		}, says: "asks for a signature"},
		"is by the author":                       {who: "ana", says: "author"},
		"is by nobody's key":                     {who: "dee", says: "no approver's key"},
		"cannot be read":                         {who: "ben", change: func(_ *signatories, in *contract.VerifyActIn) { in.Act.Signature = "hello" }, says: "no SSH signature"},
		"is for other rings than now":            {who: "ben", change: func(h *signatories, in *contract.VerifyActIn) { h.signFor(in, "broad") }, says: "cycle plan grants"},
		"is break-glass by somebody who may not": {who: "ben", change: func(_ *signatories, in *contract.VerifyActIn) { in.Act.BreakGlass = "it burns" }, says: "break-glass"},
		"is for another plan": {who: "ben", change: func(_ *signatories, in *contract.VerifyActIn) {
			in.Act.Plan, in.Act.Signature = patching.DigestOf([]byte("other")), "x"
		}, says: "another plan counts"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newSignatories(t)
			h.enrol(8)
			s := h.begin(monthly, patching.Monthly)
			h.plan(&s)
			s.Rings = []contract.RingState{{Name: "test", Ended: true}}
			require.NoError(t, h.PutRequest(h.ctx, store.Request{ID: "r-1", Account: "ben", Verb: "approve", Cycle: s.ID, Plan: s.Plan.Hash, At: h.now}))
			var out contract.VerifyActOut
			if name == "is missing" {
				in := contract.VerifyActIn{Cycle: s.ID, Policy: "servers", Author: "ana", Verb: contract.VerbApprove, Act: contract.Act{Request: "r-1", Plan: s.Plan.Hash}}
				var err error
				out, err = h.people.Verify(h.ctx, in)
				require.NoError(t, err)
			} else {
				out = h.vote(s, c.who, func(in *contract.VerifyActIn) {
					if c.change != nil {
						c.change(h, in)
					}
				})
			}
			require.Contains(t, out.Refused, c.says)
		})
	}
}

// signFor signs for another ring than the one that is asked for.
func (h *signatories) signFor(in *contract.VerifyActIn, ring patching.RingName) {
	h.t.Helper()
	made, err := h.Plan(h.ctx, in.Cycle)
	require.NoError(h.t, err)
	sig, err := trust.Sign(trust.GrantsPaper, trust.GrantsFor(h.root, made, []patching.RingName{ring}, "").Text(), h.keys["ben"])
	require.NoError(h.t, err)
	in.Act.Signature = string(sig.Armored())
}

func TestBreakGlassCountsByItselfAndIsOnRecord(t *testing.T) {
	h := newSignatories(t)
	h.enrol(8)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	out := h.vote(s, "ana", func(in *contract.VerifyActIn) { in.Act.BreakGlass = "exploited tonight" })
	require.Empty(t, out.Refused, "the author may break the glass")
	require.Equal(t, [2]int{1, 1}, [2]int{out.Persons, out.Quorum})
	h.release(s, "early")
	for _, d := range h.desk.drafts(trust.Apply) {
		require.NoError(t, h.taken(d))
	}
	entries := h.audit()
	require.True(t, slices.ContainsFunc(entries, func(e patching.AuditEntry) bool {
		return e.Verb == "approve" && strings.Contains(e.Body, `break-glass "exploited tonight"`)
	}))
	votes, err := h.Approvals(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, "Break-glass: exploited tonight", votes[0].Reason, "the report says so")
}

// reviews are the tasks that ask somebody to review what others did.
func (h *signatories) reviews() []patching.Task {
	h.t.Helper()
	all, err := h.Tasks(h.ctx, store.TaskFilter{Open: true})
	require.NoError(h.t, err)
	return slices.DeleteFunc(all, func(t patching.Task) bool { return !t.IsReview() })
}

// Serves U1, G6, G8: who did not wait for the usual approvers is asked about it.
func TestBreakGlassIsReviewedOnceItLetMachinesThrough(t *testing.T) {
	h := newSignatories(t)
	h.root.Quorum.BreakGlass = 2
	h.root.Approvers[1].Roles = append(h.root.Approvers[1].Roles, trust.RoleBreakGlass) // ben's
	h.enrol(20)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	broken := func(in *contract.VerifyActIn) { in.Act.BreakGlass = "exploited tonight" }

	require.Empty(t, h.vote(s, "cy").Refused)
	require.Empty(t, h.vote(s, "ana", broken).Refused)
	require.Empty(t, h.reviews(), "one of two lets nothing through, nor does the usual way ask for a review")
	require.Empty(t, h.vote(s, "ben", broken).Refused)
	require.Empty(t, h.vote(s, "ben", broken).Refused, "the activity is tried again")

	open := h.reviews()
	require.Len(t, open, 1)
	k := open[0]
	require.Equal(t, []patching.AccountName{"ana", "ben"}, k.NotBy)
	require.Equal(t, patching.ReasonBreakGlass, k.Cause)
	require.Equal(t, s.ID, k.Cycle)
	require.Equal(t, fmt.Sprintf(`Signed by ana, ben: "exploited tonight". It let through ring early (%d machines), broad (%d machines) of plan %s, until 1 Dec 2026 12:00 UTC.`,
		len(h.ring(s.ID, "early")), len(h.ring(s.ID, "broad")), s.Plan.Hash.Short()), k.Tried)
	require.Contains(t, k.Steps, "cycle machines "+string(s.ID)+" --ring early\n")
	require.Equal(t, h.now.Add(7*24*time.Hour), k.Due)
	entries := slices.DeleteFunc(h.audit(), func(e patching.AuditEntry) bool { return e.Verb != "review opened" })
	require.Len(t, entries, 1)
	require.Equal(t, string(s.ID), entries[0].Subject)
	require.Contains(t, entries[0].Body, string(k.ID))

	_, err := h.cycles.Close(h.ctx, contract.CloseCycleIn{State: s})
	require.NoError(t, err)
	h.now = h.now.AddDate(0, 1, 0)
	require.NoError(t, h.tasks.Judge(h.ctx))
	require.Equal(t, open, h.reviews(), "neither the close nor a scan ends it")
}

// Serves G6: the two are behind one signature, and neither reviews it.
func TestWhoSignsForSomebodyElseDoesNotReviewIt(t *testing.T) {
	h := newSignatories(t)
	h.enrol(8)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	h.delegate("ana", "dee")
	out := h.vote(s, "dee", func(in *contract.VerifyActIn) { in.Act.BreakGlass = "exploited tonight" })
	require.Empty(t, out.Refused)
	open := h.reviews()
	require.Len(t, open, 1)
	require.Equal(t, []patching.AccountName{"ana", "dee"}, open[0].NotBy)
	require.Contains(t, open[0].Tried, "Signed by ana (by dee)")
}

// lapsed are the rings that people would be asked for again, with the words.
func (h *signatories) lapsed(s contract.CycleState) (rings []patching.RingName, why string) {
	h.t.Helper()
	out, err := h.people.CheckGrants(h.ctx, contract.CheckGrantsIn{Cycle: s.ID})
	require.NoError(h.t, err)
	for _, l := range out.Lapsed {
		rings, why = append(rings, l.Ring), why+l.Why+"; "
	}
	return rings, why
}

// Serves U1, Q15: from the epoch that voids what was signed to machines that obey again.
func TestAfterAnEpochPeopleSignAgainAndMachinesObeyThat(t *testing.T) {
	h := newSignatories(t)
	h.enrol(20)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.preApprove(s, 90)
	rings, _ := h.lapsed(s)
	require.Equal(t, []patching.RingName{"early", "broad"}, rings, "the test ring has its pre-approval")
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	h.vote(s, "ben")
	h.vote(s, "cy")
	rings, _ = h.lapsed(s)
	require.Empty(t, rings)

	epoch, err := h.BumpEpoch(h.ctx)
	require.NoError(t, err)
	all := []patching.RingName{"test", "early", "broad"}
	rings, why := h.lapsed(s)
	require.Equal(t, all, rings, "of the old root nothing holds either")
	require.Contains(t, why, "trust draft --epoch 2")
	require.Contains(t, h.vote(s, "ben").Refused, "trust draft --epoch 2", "what is signed before the root has followed would be void")
	h.root.Epoch = epoch
	rings, why = h.lapsed(s)
	require.Equal(t, all, rings)
	require.Contains(t, why, "the server began anew after people had signed for ring broad")
	h.release(s, "broad")
	for _, d := range h.desk.drafts(trust.Apply) {
		require.Nil(t, d.Warrant)
	}

	s.Rings = append(s.Rings, contract.RingState{Name: "early", Ended: true})
	s.Regrant = &contract.Regrant{Back: []patching.RingName{"test", "early"}}
	require.Equal(t, all, s.AskedRings())
	h.vote(s, "ben")
	require.Equal(t, 2, h.vote(s, "cy").Persons)
	rings, _ = h.lapsed(s)
	require.Empty(t, rings, "one signature covers all of them")
	h.desk.issued = nil
	h.release(s, "early")
	obeyed := h.desk.drafts(trust.Apply)
	require.NotEmpty(t, obeyed)
	for _, d := range obeyed {
		require.NoError(t, h.taken(d))
	}

	h.root.Mode = trust.ModeDispatcher
	rings, _ = h.lapsed(s)
	require.Empty(t, rings, "nobody signs there")
}

// Serves G5, Q15.
func TestTheTestRingGoesAheadOnItsPreApproval(t *testing.T) {
	h := newSignatories(t)
	h.enrol(8)
	s := h.begin(monthly, patching.Monthly)
	out := h.plan(&s)
	require.True(t, out.Rings[0].Approve, "nobody has signed for it")
	require.Contains(t, out.Unsigned, "no pre-approval")
	require.Equal(t, []patching.RingName{"test"}, s.AskedRings(), "after it the plan is made again")

	h.preApprove(s, 1)
	require.Contains(t, h.plan(&s).Unsigned, "ends on", "it has to hold until the windows are over")
	h.now = h.now.Add(time.Second) // the newest counts
	h.preApprove(s, 90)
	out = h.plan(&s)
	require.Empty(t, out.Unsigned)
	require.False(t, out.Rings[0].Approve)
	h.release(s, "test")
	for _, d := range h.desk.drafts(trust.Apply) {
		require.NoError(t, h.taken(d))
	}
}

func TestADelegateSignsForAnApproverWhoIsAway(t *testing.T) {
	h := newSignatories(t)
	h.enrol(8)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	h.delegate("cy", "dee")
	out := h.vote(s, "dee")
	require.Empty(t, out.Refused)
	require.Equal(t, [2]patching.AccountName{"cy", "dee"}, [2]patching.AccountName{out.Account, out.By})
	require.Equal(t, 2, h.vote(s, "ben").Persons)
	h.release(s, "early")
	for _, d := range h.desk.drafts(trust.Apply) {
		require.NoError(t, h.taken(d))
	}
}

// Serves G6, Q15: a signature that does not count is not kept either, for it would count
// with machines, and beside the next one.
func TestTheSignatureOfWhoMayNotApproveIsNotKept(t *testing.T) {
	for why, c := range map[string]struct {
		by    patching.AccountName
		spoil func(*signatories) func(*contract.VerifyActIn)
	}{
		"brought machines in": {"cy", func(*signatories) func(*contract.VerifyActIn) {
			return func(in *contract.VerifyActIn) { in.Admitted = []patching.AccountName{"cy"} }
		}},
		"is the deputy of another and brought machines in": {"dee", func(h *signatories) func(*contract.VerifyActIn) {
			h.delegate("cy", "dee")
			return func(in *contract.VerifyActIn) { in.Admitted = []patching.AccountName{"dee"} }
		}},
		"has no account any more": {"cy", func(h *signatories) func(*contract.VerifyActIn) {
			gone, err := h.Account(h.ctx, "cy")
			require.NoError(h.t, err)
			gone.Revoked = h.now
			require.NoError(h.t, h.PutAccount(h.ctx, gone))
			return func(*contract.VerifyActIn) {}
		}},
	} {
		t.Run(why, func(t *testing.T) {
			h := newSignatories(t)
			h.enrol(8)
			s := h.begin(monthly, patching.Monthly)
			h.plan(&s)
			s.Rings = []contract.RingState{{Name: "test", Ended: true}}
			require.NotEmpty(t, h.vote(s, c.by, c.spoil(h)).Refused)
			papers, err := h.Papers(h.ctx, patching.PaperGrants, string(s.ID))
			require.NoError(t, err)
			require.Empty(t, papers)
			require.Equal(t, 1, h.vote(s, "ben").Persons)
		})
	}
}

// A deputy who is to sign at Christmas as well can still sign today, and what was signed
// today still counts then.
func TestASecondDelegationSpoilsNotTheFirst(t *testing.T) {
	h := newSignatories(t)
	h.enrol(8)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	h.delegate("cy", "dee")
	h.now = h.now.Add(time.Minute)
	h.delegateFrom("cy", "dee", h.now.AddDate(0, 0, 20))
	require.Empty(t, h.vote(s, "dee").Refused)
	h.now = h.now.Add(time.Minute)
	h.delegateFrom("cy", "dee", h.now.AddDate(0, 0, 40))
	require.Equal(t, 2, h.vote(s, "ben").Persons)
	h.release(s, "early")
	for _, d := range h.desk.drafts(trust.Apply) {
		require.NoError(t, h.taken(d))
	}
}

// delegate has somebody sign that another signs for them.
func (h *signatories) delegate(of, to patching.AccountName) {
	h.t.Helper()
	h.delegateFrom(of, to, h.now.Add(-time.Hour))
}

func (h *signatories) delegateFrom(of, to patching.AccountName, from time.Time) {
	h.t.Helper()
	at := from.UTC().Truncate(time.Millisecond)
	note := trust.Delegation{
		V: 1, Fleet: "acme", From: of, To: to, Key: h.key(to), Scopes: []string{"*"},
		NotBefore: at, NotAfter: at.AddDate(0, 0, 14), Reason: "holiday",
	}
	sig, err := trust.Sign(trust.DelegationPaper, note.Text(), h.keys[of])
	require.NoError(h.t, err)
	require.NoError(h.t, h.SignPaper(h.ctx, patching.Paper{
		Kind: patching.PaperDelegation, Subject: string(of), Document: note.Text(), At: h.now,
		Signatures: []patching.PaperSignature{{Account: of, Key: h.key(of).Fingerprint(), Signature: sig, At: h.now}},
	}))
}
