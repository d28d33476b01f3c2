package activities_test

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// senders is a history: who sent the n-th signal.
type senders []string

func (s senders) SignalSender(_ context.Context, _, _, _ string, n int) (string, time.Time, error) {
	if n > len(s) {
		return "", time.Time{}, errors.New("history has no such signal")
	}
	return s[n-1], noon.Add(time.Minute), nil
}

// Serves U1, U5, G6: an approval counts if its sender is an approver and not
// the author; everything else is answered in words.
func TestWhoSentSomethingAndWhetherItCounts(t *testing.T) {
	plan := patching.DigestOf([]byte("plan"))
	approve := func(change func(*contract.VerifyActIn)) contract.VerifyActIn {
		in := contract.VerifyActIn{
			Cycle: monthly, Policy: "servers", Author: "ana", Verb: contract.VerbApprove, TrustSignals: true,
			Act: contract.Act{Request: "r-ben", Plan: plan},
		}
		if change != nil {
			change(&in)
		}
		return in
	}
	signal := func(n int, change func(*contract.VerifyActIn)) contract.VerifyActIn {
		return approve(func(in *contract.VerifyActIn) {
			in.Run, in.Ordinal, in.Act.Request = "run-1", n, ""
			if change != nil {
				change(in)
			}
		})
	}
	for name, c := range map[string]struct {
		in   contract.VerifyActIn
		who  patching.AccountName
		via  string
		says string // empty: it counts
	}{
		"an approver through the API":   {in: approve(nil), who: "ben", via: "api"},
		"an approver's signal":          {in: signal(1, nil), who: "ben", via: "signal"},
		"an approver of that policy":    {in: approve(request("r-petra")), who: "petra", via: "api"},
		"the author":                    {in: approve(request("r-ana")), who: "ana", via: "api", says: "the author of a cycle cannot approve it."},
		"an operator":                   {in: approve(request("r-olga")), who: "olga", via: "api", says: "it takes one of the roles [approver], and olga has [operator]."},
		"an auditor":                    {in: signal(2, nil), who: "uma", via: "signal", says: "it takes one of the roles [approver], and uma has [auditor]."},
		"an approver of another policy": {in: approve(request("r-dora")), who: "dora", via: "api", says: "policy servers is outside of what dora is limited to: policy:desktops."},
		"a revoked account":             {in: approve(request("r-rolf")), who: "rolf", via: "api", says: "the account was revoked."},
		"somebody without an account":   {in: signal(3, nil), who: "mallory", via: "signal", says: `there is no account "mallory".`},
		"the same person twice": {
			in:  approve(func(in *contract.VerifyActIn) { in.Counted = []patching.AccountName{"cleo", "ben"} }),
			who: "ben", via: "api", says: "ben has approved it already; a person counts once.",
		},
		"a request that is not on record": {in: approve(request("r-none")), via: "api", says: "no request r-none is on record."},
		"no request at all":               {in: approve(request("")), via: "api", says: "it came without the request that our API records; use the CLI, the API or a signal."},
		"a request for another verb": {
			in:  approve(func(in *contract.VerifyActIn) { in.Verb = contract.VerbReject }),
			who: "ben", via: "api", says: "the request on record is for something else.",
		},
		"a request for another plan": {
			in:  approve(func(in *contract.VerifyActIn) { in.Act.Plan = patching.DigestOf([]byte("other")) }),
			who: "ben", via: "api", says: "the request on record is for something else.",
		},
		"a request for another cycle": {
			in:  approve(func(in *contract.VerifyActIn) { in.Cycle = "cycle/servers/2026-12.1" }),
			who: "ben", via: "api", says: "the request on record is for something else.",
		},
		"a signal where the policy trusts none": {
			in:  signal(1, func(in *contract.VerifyActIn) { in.TrustSignals = false }),
			who: "ben", via: "signal", says: "the policy does not trust signals (approval.trust_signals); use the CLI or the API.",
		},
		"a signal that no server stamped": {in: signal(4, nil), via: "signal", says: "Temporal's server does not say who sent it; use the CLI or the API."},
		"a verb that there is not": {
			in:  signal(1, func(in *contract.VerifyActIn) { in.Verb = "reboot-everything" }),
			who: "ben", via: "signal", says: `there is no verb "reboot-everything".`,
		},
		"an operator who stops": {in: signal(5, func(in *contract.VerifyActIn) { in.Verb = contract.VerbStop }), who: "olga", via: "signal"},
		"an auditor who stops": {
			in: signal(2, func(in *contract.VerifyActIn) { in.Verb = contract.VerbStop }), who: "uma", via: "signal",
			says: "it takes one of the roles [operator approver security-lead], and uma has [auditor].",
		},
		"an author who stops their own cycle, being an operator too": {in: signal(6, func(in *contract.VerifyActIn) { in.Verb = contract.VerbStop }), who: "ana", via: "signal"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.begin(monthly, patching.Monthly)
			for _, who := range []patching.AccountName{"ben", "cleo"} {
				h.person(who, patching.RoleApprover, "*")
			}
			h.person("petra", patching.RoleApprover, "policy:servers")
			h.person("dora", patching.RoleApprover, "policy:desktops")
			h.person("olga", patching.RoleOperator, "*")
			h.person("uma", patching.RoleAuditor, "*")
			require.NoError(t, h.PutAccount(h.ctx, patching.Account{
				Name: "ana", Scopes: []string{"*"}, Created: h.now,
				Roles: []patching.Role{patching.RoleAuthor, patching.RoleApprover, patching.RoleOperator}, Token: patching.DigestOf([]byte("ana")),
			}))
			require.NoError(t, h.PutAccount(h.ctx, patching.Account{
				Name: "rolf", Roles: []patching.Role{patching.RoleApprover}, Scopes: []string{"*"},
				Created: h.now, Revoked: h.now, Token: patching.DigestOf([]byte("rolf")),
			}))
			for _, who := range []patching.AccountName{"ben", "ana", "olga", "petra", "dora", "rolf"} {
				require.NoError(t, h.PutRequest(h.ctx, store.Request{
					ID: "r-" + string(who), Account: who, Cycle: monthly,
					Verb: string(contract.VerbApprove), Plan: plan, At: noon,
				}))
			}
			people := &activities.People{Store: h.Store, History: senders{"ben", "uma", "mallory", "", "olga", "ana"}, Now: func() time.Time { return h.now }}
			out, err := people.Verify(h.ctx, c.in)
			require.NoError(t, err)
			require.Equal(t, c.says, out.Refused)
			require.Equal(t, name == "the same person twice", out.NotNow, "all else is for who sent it")
			require.Equal(t, c.who, out.Account)
			require.Equal(t, c.via, out.Via)

			again, err := people.Verify(h.ctx, c.in)
			require.NoError(t, err)
			require.Equal(t, out, again, "an attempt whose answer was lost is made again")
			last := h.audit()[len(h.audit())-1]
			require.Equal(t, string(c.who), last.Actor, "what does not count is on record too")
			require.Equal(t, string(c.in.Verb), last.Verb)
			votes, err := h.Approvals(h.ctx, c.in.Cycle)
			require.NoError(t, err)
			if c.in.Verb == contract.VerbApprove && c.who != "" {
				require.Len(t, votes, 1, "a vote is kept once")
				require.Equal(t, c.says, votes[0].Refused)
			}
		})
	}
}

// Serves U6: whoever is limited to a site defends its machines, and no others.
func TestASiteAdminTakesOutTheMachinesOfTheSiteAndNoOthers(t *testing.T) {
	h := newHouse(t)
	h.enrol(4) // odd ones in Berlin, even ones in Tokyo
	h.begin(monthly, patching.Monthly)
	h.person("sue", patching.RoleSiteAdmin, "site:berlin")
	h.person("bob", patching.RoleSiteAdmin, "site:berlin", "site:tokyo")
	h.person("dan", patching.RoleSiteAdmin, "policy:desktops")
	h.person("olga", patching.RoleOperator, "site:berlin")
	h.person("uma", patching.RoleAuditor, "site:berlin")
	for name, c := range map[string]struct {
		who    patching.AccountName
		verb   contract.Verb
		assets []patching.AssetID
		says   string // empty: it counts
	}{
		"machines of the site":        {who: "sue", assets: []patching.AssetID{"a001", "a003"}},
		"machines of both sites":      {who: "bob", assets: []patching.AssetID{"a001", "a002"}},
		"an operator of the site":     {who: "olga", assets: []patching.AssetID{"a001"}},
		"a machine of another site":   {who: "sue", assets: []patching.AssetID{"a002"}, says: "sue is limited to site:berlin, and this machine is not there: a002."},
		"one of another among them":   {who: "sue", assets: []patching.AssetID{"a001", "a002", "a003"}, says: "sue is limited to site:berlin, and this machine is not there: a002."},
		"a machine that nobody knows": {who: "sue", assets: []patching.AssetID{"a999"}, says: "sue is limited to site:berlin, and this machine is not there: a999."},
		"another policy":              {who: "dan", assets: []patching.AssetID{"a001"}, says: "policy servers is outside of what dan is limited to: policy:desktops."},
		"a role that may not":         {who: "uma", assets: []patching.AssetID{"a001"}, says: "it takes one of the roles [operator approver security-lead site-admin], and uma has [auditor]."},
		"the whole cycle":             {who: "olga", verb: contract.VerbStop, says: "policy servers is outside of what olga is limited to: site:berlin."},
	} {
		t.Run(name, func(t *testing.T) {
			people := &activities.People{Store: h.Store, History: senders{string(c.who)}, Now: func() time.Time { return h.now }}
			out, err := people.Verify(h.ctx, contract.VerifyActIn{
				Cycle: monthly, Policy: "servers", Author: "ana", Verb: cmp.Or(c.verb, contract.VerbAmend), TrustSignals: true,
				Run: "run-1", Ordinal: 1, Act: contract.Act{Reason: "payroll", Assets: c.assets},
			})
			require.NoError(t, err)
			require.Equal(t, c.says, out.Refused)
			require.Equal(t, c.who, out.Account)
		})
	}
}

func request(id string) func(*contract.VerifyActIn) {
	return func(in *contract.VerifyActIn) { in.Act.Request = id }
}

// A history that cannot be read is no refusal: it is tried again.
func TestASenderThatCannotBeLookedUpIsAnError(t *testing.T) {
	h := newHouse(t)
	people := &activities.People{Store: h.Store, History: senders{}, Now: func() time.Time { return h.now }}
	_, err := people.Verify(h.ctx, contract.VerifyActIn{Cycle: monthly, Verb: contract.VerbStop, Run: "run-1", Ordinal: 1, TrustSignals: true})
	require.ErrorContains(t, err, "sender of the signal: history has no such signal")
	require.Empty(t, h.audit())
}
