package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// PeopleStore is what judging people's acts needs of the store.
type PeopleStore interface {
	Account(ctx context.Context, name patching.AccountName) (patching.Account, error)
	Request(ctx context.Context, id string) (store.Request, error)
	Assets(ctx context.Context, f store.AssetFilter) ([]patching.Asset, error)
	Plan(ctx context.Context, c patching.CycleID) (patching.Plan, error)
	AddApproval(ctx context.Context, a patching.Approval) error
	Task(ctx context.Context, id patching.TaskID) (patching.Task, error)
	PutTasks(ctx context.Context, tasks []patching.Task) error
	AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error)
}

// History finds the sender that Temporal's server stamped on a signal. Names
// that clients write into an event are worth nothing: anyone can write any.
type History interface {
	// SignalSender returns the principal of the n-th signal of that name, from
	// 1, in the run; empty if the server stamps none.
	SignalSender(ctx context.Context, workflow, run, name string, n int) (principal string, at time.Time, err error)
}

// People finds out who did something and whether it counts.
type People struct {
	Store   PeopleStore
	History History
	// Granting counts what is signed; nil: nothing is.
	Granting *Granting
	Now      Clock
}

// Verify names the sender of an update or a signal and says in words if it does
// not count. Every act is on record, those that do not count too. What counts is the
// account that our API authenticated, or the principal that Temporal's server stamped;
// of an approval that is signed, whose key signed it, whoever brought it.
func (p *People) Verify(ctx context.Context, in contract.VerifyActIn) (contract.VerifyActOut, error) {
	out, err := p.sender(ctx, in)
	var v vote
	if err == nil && out.Refused == "" && in.Verb == contract.VerbApprove {
		out, v, err = p.signed(ctx, in, out)
	}
	if err != nil {
		return contract.VerifyActOut{}, err
	}
	if out.Refused == "" {
		if out.Refused, err = p.refuse(ctx, in, out); err != nil {
			return contract.VerifyActOut{}, err
		}
		if out.Refused == "" && in.Verb == contract.VerbApprove && slices.Contains(in.Counted, out.Account) {
			out.Refused, out.NotNow = string(out.Account)+" has approved it already; a person counts once.", true
		}
	}
	if out.Refused == "" && v.paper != "" {
		if err := p.Granting.count(ctx, &v); err != nil {
			return contract.VerifyActOut{}, err
		}
		out.Persons, out.Quorum = len(v.persons), v.quorum
	}
	if err := p.record(ctx, in, out); err != nil || out.Refused != "" || !v.brokeGlass() {
		return out, err
	}
	return out, p.askReview(ctx, v)
}

// CheckGrants says for which rings nothing that people signed holds any more.
func (p *People) CheckGrants(ctx context.Context, in contract.CheckGrantsIn) (contract.CheckGrantsOut, error) {
	stop := beat(ctx)
	defer stop()
	lapsed, err := p.Granting.lapsed(ctx, in.Cycle)
	return contract.CheckGrantsOut{Lapsed: lapsed}, err
}

func (p *People) sender(ctx context.Context, in contract.VerifyActIn) (contract.VerifyActOut, error) {
	if in.Ordinal > 0 {
		return p.signalSender(ctx, in)
	}
	out := contract.VerifyActOut{Via: "api", At: p.Now()}
	if in.Act.Request == "" {
		out.Refused = "it came without the request that our API records; use the CLI, the API or a signal."
		return out, nil
	}
	r, err := p.Store.Request(ctx, in.Act.Request)
	if errors.Is(err, store.ErrNotFound) {
		out.Refused = "no request " + in.Act.Request + " is on record."
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("request %s: %w", in.Act.Request, err)
	}
	out.Account, out.At = r.Account, r.At
	if r.Verb != string(in.Verb) || r.Cycle != in.Cycle || r.Plan != in.Act.Plan {
		out.Refused = "the request on record is for something else."
	}
	return out, nil
}

// signed says who has signed an approval. Without a signature it counts on the server's
// word, unless the trust root asks for more.
func (p *People) signed(ctx context.Context, in contract.VerifyActIn, out contract.VerifyActOut) (contract.VerifyActOut, vote, error) {
	switch {
	case in.Act.Signature == "" && p.Granting.insists():
		out.NotNow = true // whoever they are, they could sign
		out.Refused = fmt.Sprintf("the trust root asks for a signature: patchcycle cycle approve %s --plan %s --key FILE.", in.Cycle, in.Act.Plan.Short())
		return out, vote{}, nil
	case in.Act.Signature == "" && in.Act.BreakGlass != "":
		out.NotNow = true
		out.Refused = "break-glass has to be signed: approve with --key or --signature."
		return out, vote{}, nil
	case in.Act.Signature == "":
		return out, vote{}, nil
	case p.Granting == nil:
		out.Refused = "this server counts no signatures."
		return out, vote{}, nil
	}
	made, err := p.Store.Plan(ctx, in.Cycle)
	if err != nil {
		return out, vote{}, fmt.Errorf("plan of %s: %w", in.Cycle, err)
	}
	if made.Hash() != in.Act.Plan {
		out.Refused, out.NotNow = "another plan counts by now: look at it again.", true
		return out, vote{}, nil
	}
	v, refused, err := p.Granting.judge(ctx, made, in.Rings, in.Act.BreakGlass, in.Act.Signature)
	if err != nil {
		return out, v, err
	}
	out.Refused = refused
	if refused == "" {
		out.Account, out.By, out.Key, out.Paper = v.person.Account, v.person.By, v.person.Key.Fingerprint(), v.paper
	}
	return out, v, nil
}

func (p *People) signalSender(ctx context.Context, in contract.VerifyActIn) (contract.VerifyActOut, error) {
	out := contract.VerifyActOut{Via: "signal", At: p.Now()}
	who, at, err := p.History.SignalSender(ctx, string(in.Cycle), in.Run, string(in.Verb), in.Ordinal)
	if err != nil {
		return out, fmt.Errorf("sender of the signal: %w", err)
	}
	out.Account, out.At = patching.AccountName(who), at
	switch {
	case in.Verb == contract.VerbApprove && in.Act.Signature != "": // the signature says who
	case who == "":
		out.Refused = "Temporal's server does not say who sent it; use the CLI or the API."
	case !in.TrustSignals:
		out.Refused = "the policy does not trust signals (approval.trust_signals); use the CLI or the API."
	}
	return out, nil
}

// refuse says in words why the sender may not do that; empty: they may.
func (p *People) refuse(ctx context.Context, in contract.VerifyActIn, out contract.VerifyActOut) (string, error) {
	rule, ok := contract.RuleOf(in.Verb)
	if !ok {
		return fmt.Sprintf("there is no verb %q.", in.Verb), nil
	}
	account, err := p.Store.Account(ctx, out.Account)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return fmt.Sprintf("there is no account %q.", out.Account), nil
	case err != nil:
		return "", fmt.Errorf("account %s: %w", out.Account, err)
	case !account.Revoked.IsZero():
		return "the account was revoked.", nil
	case !account.Has(rule.May...):
		return fmt.Sprintf("it takes one of the roles %v, and %s has %v.", rule.May, account.Name, account.Roles), nil
	case in.Verb == contract.VerbApprove && account.Name == in.Author && in.Act.BreakGlass == "":
		return "the author of a cycle cannot approve it.", nil
	case in.Verb == contract.VerbApprove && in.Act.BreakGlass == "" &&
		(slices.Contains(in.Admitted, account.Name) || slices.Contains(in.Admitted, out.By)):
		return "whoever brought machines into a cycle cannot approve it.", nil
	}
	return p.outside(ctx, rule, account, in)
}

// outside says in words why the act is outside of the account's scope; empty: it
// is inside.
func (p *People) outside(ctx context.Context, rule contract.VerbRule, account patching.Account, in contract.VerifyActIn) (string, error) {
	at := map[patching.AssetID]patching.SiteName{}
	if rule.OfMachines && len(in.Act.Assets) > 0 && !account.Covers(in.Policy) {
		assets, err := p.Store.Assets(ctx, store.AssetFilter{IDs: in.Act.Assets})
		if err != nil {
			return "", fmt.Errorf("where the machines are: %w", err)
		}
		for _, a := range assets {
			at[a.ID] = cmp.Or(a.Site, patching.Roaming)
		}
	}
	return rule.Outside(account, in.Policy, in.Act.Assets, func(id patching.AssetID) (patching.SiteName, bool) {
		site, known := at[id]
		return site, known
	}), nil
}

// record keeps the vote and puts the act on the audit chain. A retried activity
// may record it twice: the chain then has two lines with the same request or
// signal, which say so.
func (p *People) record(ctx context.Context, in contract.VerifyActIn, out contract.VerifyActOut) error {
	verdicts := map[contract.Verb]patching.ApprovalVerdict{
		contract.VerbApprove: patching.Approve, contract.VerbReject: patching.Reject, contract.VerbSendBack: patching.SendBack,
	}
	reason := in.Act.Reason
	if in.Act.BreakGlass != "" { // its review quotes it
		reason = strings.TrimSpace("Break-glass: " + in.Act.BreakGlass + " " + reason)
	}
	if verdict, votes := verdicts[in.Verb]; votes && out.Account != "" {
		err := p.Store.AddApproval(ctx, patching.Approval{
			Cycle: in.Cycle, Plan: in.Act.Plan, Account: out.Account, Verdict: verdict,
			Reason: reason, Via: out.Via, At: out.At, Refused: out.Refused, Key: out.Key, Paper: out.Paper,
		})
		if err != nil {
			return fmt.Errorf("keep the vote of %s: %w", out.Account, err)
		}
	}
	source := "request " + in.Act.Request
	if in.Ordinal > 0 {
		source = fmt.Sprintf("signal %d of run %s", in.Ordinal, in.Run)
	}
	body := fmt.Sprintf("%s; plan %s; reason %q; refused %q", source, in.Act.Plan, in.Act.Reason, out.Refused)
	if out.Key != "" {
		body += fmt.Sprintf("; signed by %s over %s", out.Key, out.Paper)
	}
	if out.By != "" {
		body += fmt.Sprintf("; by %s in their name", out.By)
	}
	if in.Act.BreakGlass != "" {
		body += fmt.Sprintf("; break-glass %q", in.Act.BreakGlass)
	}
	_, err := p.Store.AppendAudit(ctx, patching.AuditEntry{
		At: out.At, Actor: string(out.Account), Verb: string(in.Verb), Subject: string(in.Cycle), Body: body,
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
