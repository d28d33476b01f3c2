package activities

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// GrantStore is what signatures of approvers need of the store.
type GrantStore interface {
	Papers(ctx context.Context, kind patching.PaperKind, subject string) ([]patching.Paper, error)
	SignPaper(ctx context.Context, p patching.Paper) error
	Plan(ctx context.Context, c patching.CycleID) (patching.Plan, error)
	Cycle(ctx context.Context, c patching.CycleID) (patching.Cycle, error)
	Deployments(ctx context.Context, f store.DeploymentFilter) ([]patching.Deployment, error)
	Devices(ctx context.Context, states ...patching.DeviceState) ([]patching.Device, error)
	Epoch(ctx context.Context) (int64, error)
}

// Granting knows what people have signed with their own keys, and gives orders what
// they rest on by it. It decides nothing: machines verify all of it again.
type Granting struct {
	Store GrantStore
	// Root returns the trust root in force.
	Root func() trust.Root
	Now  Clock

	mu sync.Mutex
	// rings are the proofs of the rings that are at work.
	rings map[ringKey]*trust.Ring
}

// ringKey names a ring as it was signed: of another root, or by one more signature, it
// is another.
type ringKey struct {
	cycle patching.CycleID
	ring  patching.RingName
	root  patching.Digest
	paper patching.Digest
	signs int
}

// keptRings bounds [Granting.rings]: a ring of 100,000 machines holds some 20 MB.
const keptRings = 4

// insists reports whether approvals have to be signed.
func (g *Granting) insists() bool { return g != nil && g.Root().Mode == trust.ModeGrants }

// asks notes whether approvals of a plan have to be signed, and by how many people.
func (g *Granting) asks(out *contract.PlanSummary, kind patching.Kind) {
	if out.Signed = g.insists(); out.Signed {
		out.Quorum = g.Root().Quorum.Of(kind)
	}
}

// vote is what came of a signature.
type vote struct {
	person trust.Person
	grants trust.Grants
	signed patching.Paper // the grants, with this signature alone
	paper  patching.Digest
	// persons are who count by now, with this one, once it was kept.
	persons []trust.Person
	quorum  int
}

// brokeGlass reports whether enough people have signed without waiting for the usual
// approvers.
func (v vote) brokeGlass() bool {
	return v.grants.BreakGlass != "" && len(v.persons) >= v.quorum
}

// judge says whose signature over grants of a plan it is. Refused says in words why it
// does not count. Nothing is kept yet.
func (g *Granting) judge(ctx context.Context, made patching.Plan, rings []patching.RingName, breakGlass string, armored string) (v vote, refused string, err error) {
	sig, err := trust.ParseSignature([]byte(armored))
	if err != nil {
		return v, err.Error(), nil //nolint:nilerr // told to who sent it
	}
	root := g.Root()
	if behind, err := g.behind(ctx, root); err != nil || behind != "" {
		return v, behind, err
	}
	v.grants = trust.GrantsFor(root, made, rings, breakGlass)
	notes, err := g.notes(ctx)
	if err != nil {
		return v, "", err
	}
	if v.person, err = root.Signer(sig, v.grants, notes); err != nil {
		return v, fmt.Sprintf("%v. What has to be signed is the text of: patchcycle cycle plan grants %s.", err, made.Cycle), nil
	}
	v.signed = patching.Paper{
		Kind: patching.PaperGrants, Subject: string(made.Cycle), Document: v.grants.Text(), At: g.Now().UTC(),
		Signatures: []patching.PaperSignature{{Account: v.person.Account, Key: v.person.Key.Fingerprint(), Signature: sig, At: g.Now().UTC()}},
	}
	v.paper = v.signed.Digest()
	return v, "", nil
}

// count keeps a signature and says who has signed by now. From here on it counts with
// machines too: who may not approve must have been refused before.
func (g *Granting) count(ctx context.Context, v *vote) error {
	if err := g.Store.SignPaper(ctx, v.signed); err != nil {
		return err
	}
	papers, err := g.Store.Papers(ctx, patching.PaperGrants, v.signed.Subject)
	if err != nil {
		return err
	}
	notes, err := g.notes(ctx)
	if err != nil {
		return err
	}
	for _, p := range papers {
		if p.Digest() == v.paper {
			v.persons, v.quorum, err = g.Root().Votes(trust.SignedPaper(p, notes), v.grants)
			return err
		}
	}
	return fmt.Errorf("the grants %s were kept and are not there", v.paper.Short())
}

// behind says in words why nobody can sign yet; empty: they can. Under a root that has yet
// to follow the record into its epoch, signatures would be void with the next one.
func (g *Granting) behind(ctx context.Context, root trust.Root) (string, error) {
	epoch, err := g.Store.Epoch(ctx)
	if err != nil || root.Epoch == epoch {
		return "", err
	}
	return fmt.Sprintf("the server began anew, and the holders of the root keys sign first: patchcycle trust draft --epoch %d, then sign and publish.", epoch), nil
}

// lapsed lists the rings of a cycle's plan for which nothing that people signed holds.
func (g *Granting) lapsed(ctx context.Context, cycle patching.CycleID) ([]contract.Lapse, error) {
	if !g.insists() {
		return nil, nil
	}
	made, err := g.Store.Plan(ctx, cycle)
	if err != nil {
		return nil, fmt.Errorf("plan of %s: %w", cycle, err)
	}
	root := g.Root()
	behind, err := g.behind(ctx, root)
	if err != nil {
		return nil, err
	}
	all, err := g.signedGrants(ctx, cycle)
	if err != nil {
		return nil, err
	}
	var out []contract.Lapse
	for i, ring := range made.Rings {
		why := cmp.Or(behind, root.Lapsed(ring, all))
		if i == 0 && why != "" && behind == "" {
			// The test ring may rest on its pre-approval.
			rows, err := g.Store.Deployments(ctx, store.DeploymentFilter{Cycle: cycle, Ring: ring.Name})
			if err != nil {
				return nil, fmt.Errorf("machines of ring %s: %w", ring.Name, err)
			}
			missing, err := g.missing(ctx, made, itemsOf(rows))
			if err != nil {
				return nil, err
			}
			if missing == "" {
				continue
			}
		}
		if why != "" {
			out = append(out, contract.Lapse{Ring: ring.Name, Why: strings.TrimSuffix(why, ".")})
		}
	}
	return out, nil
}

// signedGrants are the grants of a cycle with all their signatures.
func (g *Granting) signedGrants(ctx context.Context, cycle patching.CycleID) ([]trust.Signed, error) {
	papers, err := g.Store.Papers(ctx, patching.PaperGrants, string(cycle))
	if err != nil {
		return nil, err
	}
	notes, err := g.notes(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]trust.Signed, len(papers))
	for i, p := range papers {
		all[i] = trust.SignedPaper(p, notes)
	}
	return all, nil
}

// notes are the delegations of the trust root's approvers.
func (g *Granting) notes(ctx context.Context) ([]trust.Note, error) {
	papers, err := g.Store.Papers(ctx, patching.PaperDelegation, "")
	if err != nil {
		return nil, err
	}
	return g.Root().Notes(papers), nil
}

// warrant gives the drafts of a cycle what they rest on, where people have signed for
// it. A machine that nobody signed for gets none, and says so if it insists.
func (g *Granting) warrant(ctx context.Context, cycle patching.CycleID, drafts []trust.Draft) error {
	if g == nil {
		return nil
	}
	rings := map[patching.RingName]*trust.Ring{}
	for i := range drafts {
		d := &drafts[i]
		if spec, _ := d.Verb.Spec(); !spec.NeedsGrant {
			continue
		}
		ring, looked := rings[d.Ring]
		if !looked {
			var err error
			if ring, err = g.ring(ctx, cycle, d.Ring); err != nil {
				return fmt.Errorf("what was signed for ring %s: %w", d.Ring, err)
			}
			rings[d.Ring] = ring
		}
		if ring == nil {
			continue
		}
		w, err := ring.Warrant(d.Device)
		switch {
		case err != nil: // not among those that were signed for
		case d.Verb != trust.Revert && d.WindowRule != "" && w.Rule != d.WindowRule:
		default:
			d.Warrant = w
		}
	}
	return nil
}

// ring returns the proofs of a ring, nil if nobody has signed for it.
func (g *Granting) ring(ctx context.Context, cycle patching.CycleID, name patching.RingName) (*trust.Ring, error) {
	made, err := g.Store.Plan(ctx, cycle)
	if err != nil {
		return nil, fmt.Errorf("plan of %s: %w", cycle, err)
	}
	notes, err := g.notes(ctx)
	if err != nil {
		return nil, err
	}
	at := ringAt(made.Rings, name)
	if at < 0 {
		return nil, nil
	}
	if ring, err := g.granted(ctx, made, made.Rings[at], notes); ring != nil || err != nil {
		return ring, err
	}
	p, approval, err := g.preApproval(ctx, made.Policy, notes)
	if err != nil || p == nil {
		return nil, err
	}
	return g.once(ringKey{cycle, name, approval.Root, p.Digest(), len(p.Signatures)}, func() (*trust.Ring, error) {
		machines, err := readMachines(*p)
		if err != nil {
			return nil, err
		}
		return trust.NewPreApproved(trust.SignedPaper(*p, notes), machines)
	})
}

// granted returns the proofs of a ring by grants of its plan, or of an earlier revision
// that had the same machines in it.
func (g *Granting) granted(ctx context.Context, made patching.Plan, ring patching.PlanRing, notes []trust.Note) (*trust.Ring, error) {
	papers, err := g.Store.Papers(ctx, patching.PaperGrants, string(made.Cycle))
	if err != nil {
		return nil, err
	}
	root := g.Root()
	for _, p := range papers {
		s := trust.SignedPaper(p, notes)
		if root.Lapsed(ring, []trust.Signed{s}) != "" {
			continue
		}
		return g.once(ringKey{made.Cycle, ring.Name, ring.Root, p.Digest(), len(p.Signatures)}, func() (*trust.Ring, error) {
			items, keys, err := g.items(ctx, made.Cycle, ring.Name)
			if err != nil {
				return nil, err
			}
			proofs, err := trust.NewRing(s, items, keys)
			if err == nil && proofs.Root() != ring.Root {
				err = fmt.Errorf("the machines of ring %s are not those of its plan: their root is %s, the plan's %s", ring.Name, proofs.Root().Short(), ring.Root.Short())
			}
			return proofs, err
		})
	}
	return nil, nil
}

// once makes the proofs of a ring once for all its waves.
func (g *Granting) once(key ringKey, build func() (*trust.Ring, error)) (*trust.Ring, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ring, ok := g.rings[key]; ok {
		return ring, nil
	}
	ring, err := build()
	if err != nil {
		return nil, err
	}
	if len(g.rings) >= keptRings || g.rings == nil {
		g.rings = map[ringKey]*trust.Ring{}
	}
	g.rings[key] = ring
	return ring, nil
}

// items returns a ring's machines as the plan was sealed with them, and their keys.
func (g *Granting) items(ctx context.Context, cycle patching.CycleID, ring patching.RingName) ([]patching.PlanItem, []patching.Digest, error) {
	rows, err := g.Store.Deployments(ctx, store.DeploymentFilter{Cycle: cycle, Ring: ring})
	if err != nil {
		return nil, nil, fmt.Errorf("machines of ring %s: %w", ring, err)
	}
	devices, err := g.Store.Devices(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("devices: %w", err)
	}
	items, keys := sealed(itemsOf(rows), keysOf(devices))
	return items, keys, nil
}

// keysOf addresses the devices' keys.
func keysOf(devices []patching.Device) map[patching.DeviceID]patching.Digest {
	keys := make(map[patching.DeviceID]patching.Digest, len(devices))
	for _, d := range devices {
		keys[d.ID] = trust.PublicKey(d.Key).ID()
	}
	return keys
}

// sealed returns the machines of a ring in the order of its leaves: that of their
// devices, which no store and no revision of a plan changes.
func sealed(items []patching.PlanItem, keys map[patching.DeviceID]patching.Digest) ([]patching.PlanItem, []patching.Digest) {
	sorted := slices.Clone(items)
	slices.SortFunc(sorted, func(a, b patching.PlanItem) int { return strings.Compare(string(a.Device), string(b.Device)) })
	order := make([]patching.Digest, len(sorted))
	for n, i := range sorted {
		order[n] = keys[i.Device]
	}
	return sorted, order
}

// preApproval returns the pre-approval of a policy's machines that is in force, the
// newest of them; nil: none is.
func (g *Granting) preApproval(ctx context.Context, policy patching.PolicyName, notes []trust.Note) (*patching.Paper, trust.PreApproval, error) {
	papers, err := g.Store.Papers(ctx, patching.PaperPreApproval, string(policy))
	if err != nil {
		return nil, trust.PreApproval{}, err
	}
	root, now := g.Root(), g.Now()
	for i := range papers {
		p, err := trust.ReadPreApproval(papers[i].Document)
		if err != nil || p.Epoch != root.Epoch || now.Before(p.NotBefore) || now.After(p.NotAfter) {
			continue
		}
		if persons, need, err := root.Approves(trust.SignedPaper(papers[i], notes), p); err == nil && len(persons) >= need {
			return &papers[i], p, nil
		}
	}
	return nil, trust.PreApproval{}, nil
}

func readMachines(p patching.Paper) ([]trust.PreApproved, error) {
	var machines []trust.PreApproved
	dec := json.NewDecoder(bytes.NewReader(p.Machines))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&machines); err != nil {
		return nil, fmt.Errorf("machines of the pre-approval %s: %w", p.Digest().Short(), err)
	}
	return machines, nil
}

// missing says in words why the first ring of a plan may not begin on what was signed
// beforehand; empty: it may, or nobody has to have signed.
func (g *Granting) missing(ctx context.Context, made patching.Plan, items []patching.PlanItem) (string, error) {
	if !g.insists() {
		return "", nil
	}
	notes, err := g.notes(ctx)
	if err != nil {
		return "", err
	}
	p, approval, err := g.preApproval(ctx, made.Policy, notes)
	if err != nil {
		return "", err
	}
	if p == nil {
		return trust.Missing(nil, nil, made, items), nil
	}
	machines, err := readMachines(*p)
	if err != nil {
		return "", err
	}
	return trust.Missing(&approval, machines, made, items), nil
}
