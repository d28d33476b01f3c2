package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

type newRootInput struct{ Body wire.NewTrustRoot }

type nextKeyInput struct{ Body wire.NextKey }

type papersInput struct {
	Kind    patching.PaperKind `query:"kind" enum:"grants,pre-approval,delegation" default:"grants"`
	Subject string             `query:"subject" doc:"A cycle of grants, a policy of pre-approvals, who delegates."`
}

type newPaperInput struct{ Body wire.NewPaper }

type newPreApprovalInput struct{ Body wire.NewPreApproval }

func (s *server) addTrust(api huma.API) {
	handle(s, api, about("trust", "get-trust-root", http.MethodGet, "/trust", "Show the trust root"), s.trustRoot)
	op := about("trust", "put-trust-root", http.MethodPost, "/trust", "Put a newer trust root in force")
	op.Description = "It is taken by the rules of the machines: signed by the holders of the root keys, of a later version, no earlier epoch and no lower mode."
	op.MaxBodyBytes = 2 * trust.MaxEnvelope
	handle(s, api, op, s.putTrustRoot)
	handle(s, api, about("trust", "make-next-key", http.MethodPost, "/trust/keys", "Make a key that can take the place of one of the server's"), s.nextKey)
	handle(s, api, about("trust", "list-papers", http.MethodGet, "/trust/papers", "List what people have signed"), s.papers)
	op = about("trust", "sign-paper", http.MethodPost, "/trust/papers", "Hand in a signature under a pre-approval or a delegation")
	op.MaxBodyBytes = 8 << 20 // the machines of a test ring
	handle(s, api, op, s.signPaper)
	handle(s, api, about("trust", "draft-pre-approval", http.MethodPost, "/trust/pre-approvals", "Show what has to be signed to pre-approve a test ring"), s.draftPreApproval)
}

func (s *server) trustRoot(context.Context, *struct{}) (wire.TrustRoot, error) {
	if s.Trust == nil {
		return wire.TrustRoot{}, errNoTrust()
	}
	envelope, behind := s.Trust.Envelope()
	return wire.TrustRoot{Envelope: string(envelope), Behind: behind}, nil
}

func errNoTrust() error {
	p := notFound("This server has no trust root of its own.")
	p.WayOut = "Ask the server that machines speak to."
	return p
}

func (s *server) putTrustRoot(ctx context.Context, in *newRootInput) (wire.TrustRoot, error) {
	if s.Trust == nil {
		return wire.TrustRoot{}, errNoTrust()
	}
	pinned, err := trust.Pin([]byte(in.Body.Envelope), "")
	if err != nil {
		return wire.TrustRoot{}, invalid("body.envelope", "it is no trust root: %v", err)
	}
	words := fmt.Sprintf("version %d; epoch %d; mode %s; %d approvers; fingerprint %s", pinned.Version, pinned.Epoch, pinned.Mode, len(pinned.Approvers), pinned.Fingerprint())
	err = s.change(ctx, "put trust root", pinned.Fleet, words, func() error {
		if err := s.Trust.Adopt([]byte(in.Body.Envelope)); err != nil {
			return invalid("body.envelope", "it was not put in force: %v", err)
		}
		return nil
	})
	if err != nil {
		return wire.TrustRoot{}, err
	}
	return s.trustRoot(ctx, nil)
}

func (s *server) nextKey(ctx context.Context, in *nextKeyInput) (out wire.NextKey, err error) {
	if s.Trust == nil {
		return out, errNoTrust()
	}
	err = s.change(ctx, "make next key", in.Body.Kind, "it signs nothing before a trust root names it", func() error {
		key, err := s.Trust.NextKey(in.Body.Kind)
		out = wire.NextKey{Kind: in.Body.Kind, Key: key}
		return err
	})
	return out, err
}

func (s *server) papers(ctx context.Context, in *papersInput) (wire.Papers, error) {
	out := wire.Papers{Items: []wire.Paper{}}
	all, err := s.Store.Papers(ctx, in.Kind, in.Subject)
	for _, p := range all {
		shape := wire.Paper{
			Kind: p.Kind, Subject: p.Subject, Digest: p.Digest(), Document: string(p.Document), At: p.At,
			Signatures: []wire.PaperSignature{}, Words: s.paperWords(p),
		}
		for _, sig := range p.Signatures {
			shape.Signatures = append(shape.Signatures, wire.PaperSignature{Account: sig.Account, Key: sig.Key, At: sig.At})
		}
		out.Items = append(out.Items, shape)
	}
	return out, err
}

// paperWords says what a paper is worth now.
func (s *server) paperWords(p patching.Paper) string {
	signed := fmt.Sprintf("Signed by %d.", len(p.Signatures))
	switch p.Kind {
	case patching.PaperPreApproval:
		if a, err := trust.ReadPreApproval(p.Document); err == nil {
			if s.Trust != nil {
				signed = fmt.Sprintf("Signed by %d of %d.", len(p.Signatures), s.Trust.Root().Quorum.Monthly)
			}
			return fmt.Sprintf("%s %s of policy %s, from %s until %s.", signed, phrase.Count(a.Machines, "machine"), a.Policy, a.NotBefore.Format(time.DateOnly), a.NotAfter.Format(time.DateOnly))
		}
	case patching.PaperDelegation:
		if d, err := trust.ReadDelegation(p.Document); err == nil {
			last := d.NotAfter.Add(-time.Millisecond) // people name the last day, which ends at midnight
			return fmt.Sprintf("%s signs for %s (%s) from %s until %s: %s", d.To, d.From, strings.Join(d.Scopes, ", "), d.NotBefore.Format(time.DateOnly), last.Format(time.DateOnly), d.Reason)
		}
	case patching.PaperGrants:
		if g, err := trust.ReadGrants(p.Document); err == nil {
			return fmt.Sprintf("%s Rings of plan %s, until %s.", signed, g.Plan.Short(), g.NotAfter.Format(time.DateOnly))
		}
	}
	return "It cannot be read."
}

func (s *server) signPaper(ctx context.Context, in *newPaperInput) (wire.Papers, error) {
	if s.Trust == nil {
		return wire.Papers{}, errNoTrust()
	}
	sig, err := trust.ParseSignature([]byte(in.Body.Signature))
	if err != nil {
		return wire.Papers{}, invalid("body.signature", "%v", err)
	}
	var p patching.Paper
	if in.Body.Kind == patching.PaperDelegation {
		p, err = s.delegation(in.Body, sig)
	} else {
		p, err = s.preApproval(ctx, in.Body, sig)
	}
	if err != nil {
		return wire.Papers{}, err
	}
	words := fmt.Sprintf("%s; signed by %s with %s", p.Digest(), p.Signatures[0].Account, p.Signatures[0].Key)
	if err := s.change(ctx, "sign "+string(p.Kind), p.Subject, words, func() error { return s.Store.SignPaper(ctx, p) }); err != nil {
		return wire.Papers{}, err
	}
	return s.papers(ctx, &papersInput{Kind: p.Kind, Subject: p.Subject})
}

func (s *server) paper(kind patching.PaperKind, subject, document string, account patching.AccountName, sig trust.PersonSignature) patching.Paper {
	key, _ := sig.Key()
	now := s.Now().UTC()
	return patching.Paper{
		Kind: kind, Subject: subject, Document: []byte(document), At: now,
		Signatures: []patching.PaperSignature{{Account: account, Key: key.Fingerprint(), Signature: sig, At: now}},
	}
}

func (s *server) delegation(in wire.NewPaper, sig trust.PersonSignature) (patching.Paper, error) {
	d, err := s.Trust.Root().Delegates(trust.Note{Document: []byte(in.Document), Signature: sig})
	if err != nil {
		return patching.Paper{}, invalid("body.document", "%v", err)
	}
	return s.paper(in.Kind, string(d.From), in.Document, d.From, sig), nil
}

func (s *server) preApproval(ctx context.Context, in wire.NewPaper, sig trust.PersonSignature) (patching.Paper, error) {
	p, err := trust.ReadPreApproval([]byte(in.Document))
	if err != nil {
		return patching.Paper{}, invalid("body.document", "%v", err)
	}
	papers, err := s.Store.Papers(ctx, patching.PaperDelegation, "")
	if err != nil {
		return patching.Paper{}, err
	}
	root := s.Trust.Root()
	who, err := root.PreApprover(sig, p, root.Notes(papers))
	if err != nil {
		return patching.Paper{}, invalid("body.signature", "%v", err)
	}
	ring, err := trust.NewPreApproved(trust.Signed{}, in.Machines)
	if err != nil || ring.Root() != p.Root || len(in.Machines) != p.Machines {
		return patching.Paper{}, invalid("body.machines", "they are not those that were signed for")
	}
	paper := s.paper(in.Kind, string(p.Policy), in.Document, who.Account, sig)
	paper.Machines, err = json.Marshal(in.Machines)
	return paper, err
}

func (s *server) draftPreApproval(ctx context.Context, in *newPreApprovalInput) (wire.PreApproval, error) {
	if s.Trust == nil {
		return wire.PreApproval{}, errNoTrust()
	}
	made, err := s.Store.Plan(ctx, in.Body.Cycle)
	if err != nil {
		return wire.PreApproval{}, absent(aCycle, in.Body.Cycle, err)
	}
	if len(made.Rings) == 0 {
		return wire.PreApproval{}, invalid("body.cycle", "its plan has no rings")
	}
	rows, err := s.Store.Deployments(ctx, store.DeploymentFilter{Cycle: made.Cycle, Ring: made.Rings[0].Name})
	if err != nil {
		return wire.PreApproval{}, err
	}
	keys, err := s.deviceKeys(ctx)
	if err != nil {
		return wire.PreApproval{}, err
	}
	machines := make([]trust.PreApproved, 0, len(rows))
	for _, d := range rows {
		machines = append(machines, trust.PreApproved{Device: d.Device, DeviceKey: keys[d.Device], Rule: d.WindowRule})
	}
	ring, err := trust.NewPreApproved(trust.Signed{}, machines)
	if err != nil {
		return wire.PreApproval{}, err
	}
	root, from := s.Trust.Root(), s.Now().UTC().Truncate(time.Second)
	slices.Sort(in.Body.Keys)
	until := from.AddDate(0, 0, in.Body.Days)
	p := trust.PreApproval{
		V: 1, Fleet: root.Fleet, Epoch: root.Epoch, Policy: made.Policy, Root: ring.Root(), Machines: len(machines), Rule: trust.UpgradeRule,
		Keys: in.Body.Keys, NotBefore: from, NotAfter: until, RevertUntil: until.Add(trust.RevertCover),
	}
	if err := p.Validate(); err != nil {
		return wire.PreApproval{}, invalid("body", "%v", err)
	}
	if p, err = s.begun(ctx, p); err != nil {
		return wire.PreApproval{}, err
	}
	return wire.PreApproval{Namespace: string(trust.PreApprovalPaper), Text: string(p.Text()), Machines: machines}, nil
}

// joinFor is for how long a pre-approval that lacks signatures is offered to the next who
// sign: after that too little of its time is left.
const joinFor = 14 * 24 * time.Hour

// begun returns the pre-approval that others have signed already and that says the same
// for the same number of days, or the one given: people who sign one after the other
// sign one text.
func (s *server) begun(ctx context.Context, p trust.PreApproval) (trust.PreApproval, error) {
	papers, err := s.Store.Papers(ctx, patching.PaperPreApproval, string(p.Policy))
	if err != nil {
		return p, err
	}
	delegations, err := s.Store.Papers(ctx, patching.PaperDelegation, "")
	if err != nil {
		return p, err
	}
	root := s.Trust.Root()
	notes := root.Notes(delegations)
	for _, paper := range papers {
		is, err := trust.ReadPreApproval(paper.Document)
		if err != nil || is.NotBefore.After(p.NotBefore) || p.NotBefore.Sub(is.NotBefore) > joinFor {
			continue
		}
		same, length := is, is.NotAfter.Sub(is.NotBefore)
		same.NotBefore, same.NotAfter, same.RevertUntil = p.NotBefore, p.NotBefore.Add(length), p.NotBefore.Add(length).Add(is.RevertUntil.Sub(is.NotAfter))
		if !bytes.Equal(same.Text(), p.Text()) {
			continue
		}
		if persons, need, err := root.Approves(trust.SignedPaper(paper, notes), is); err == nil && len(persons) < need {
			return is, nil
		}
	}
	return p, nil
}

func (s *server) deviceKeys(ctx context.Context) (map[patching.DeviceID]patching.Digest, error) {
	devices, err := s.Store.Devices(ctx)
	keys := make(map[patching.DeviceID]patching.Digest, len(devices))
	for _, d := range devices {
		keys[d.ID] = trust.PublicKey(d.Key).ID()
	}
	return keys, err
}

type grantsInput struct {
	CyclePath
	BreakGlass string `query:"break_glass" maxLength:"1000" doc:"Why the usual approvers cannot be waited for."`
}

func (s *server) grants(ctx context.Context, in *grantsInput) (wire.Grants, error) {
	if s.Trust == nil {
		return wire.Grants{}, errNoTrust()
	}
	c, err := s.Store.Cycle(ctx, in.ID())
	if err != nil {
		return wire.Grants{}, absent(aCycle, in.ID(), err)
	}
	made, err := s.Store.Plan(ctx, in.ID())
	if errors.Is(err, store.ErrNotFound) {
		return wire.Grants{}, notFound(fmt.Sprintf("%s has no plan yet.", in.ID()))
	}
	if err != nil {
		return wire.Grants{}, err
	}
	var state contract.CycleState
	if err := json.Unmarshal(c.State, &state); err != nil {
		return wire.Grants{}, fmt.Errorf("state of %s: %w", c.ID, err)
	}
	if _, behind := s.Trust.Envelope(); behind != "" { // what is signed now would be void with the root of the epoch
		return wire.Grants{}, conflict(behind, "patchcycle trust show")
	}
	root, rings := s.Trust.Root(), state.AskedRings()
	g := trust.GrantsFor(root, made, rings, in.BreakGlass)
	out := wire.Grants{
		Cycle: c.ID, Plan: g.Plan, Needed: root.Mode == trust.ModeGrants, Namespace: string(trust.GrantsPaper), Text: string(g.Text()),
		Rings: rings, Signed: []patching.AccountName{},
	}
	if _, out.Quorum, err = root.Votes(trust.Signed{}, g); err != nil {
		return out, invalid("query.break_glass", "%v", err)
	}
	papers, err := s.Store.Papers(ctx, patching.PaperGrants, string(c.ID))
	for _, p := range papers {
		if string(p.Document) != out.Text {
			continue
		}
		for _, sig := range p.Signatures {
			out.Signed = append(out.Signed, sig.Account)
		}
	}
	return out, err
}
