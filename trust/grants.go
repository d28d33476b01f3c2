package trust

import (
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Grants is what approvers sign: the rings of one plan that may be deployed, and
// until when. One signature covers all of them. Its text is canonical JSON, and
// what ssh-keygen signs.
type Grants struct {
	V      int                  `json:"v"` // format: 1
	Fleet  string               `json:"fleet"`
	Epoch  int64                `json:"epoch"`
	Cycle  patching.CycleID     `json:"cycle"`
	Kind   patching.Kind        `json:"kind"`
	Policy patching.PolicyName  `json:"policy"`
	Author patching.AccountName `json:"author"`
	// Plan is the hash of the plan's text, which people read.
	Plan patching.Digest `json:"plan"`
	// Made is when the plan was made: who could sign for whom is judged by it.
	Made  time.Time   `json:"made"`
	Rings []RingGrant `json:"rings"`
	// NotAfter is the deadline of everything but going back, RevertUntil that of
	// going back.
	NotAfter    time.Time `json:"not_after"`
	RevertUntil time.Time `json:"revert_until"`
	// BreakGlass says why the usual approvers could not be waited for; empty: they
	// were. It has a quorum of its own.
	BreakGlass string `json:"break_glass"`
}

// RingGrant is one ring of the plan.
type RingGrant struct {
	Ring patching.RingName `json:"ring"`
	// Root is the Merkle root over the leaves of the ring's machines, Machines how
	// many there are.
	Root     patching.Digest `json:"root"`
	Machines int             `json:"machines"`
}

// RevertCover is for how long after the plan's date going back is covered: a flaw
// that shows late shows with the next month's work.
const RevertCover = 30 * 24 * time.Hour

// maxRings bounds a document; maxWords a reason in it, in bytes.
const (
	maxRings = 256
	maxWords = 1024
)

// GrantsFor returns what has to be signed for rings of a plan. It follows from the
// plan and the trust root alone, so that everybody who has both signs the same
// text. A ring that the plan does not have is left out.
func GrantsFor(root Root, p patching.Plan, rings []patching.RingName, breakGlass string) Grants {
	g := Grants{
		V: 1, Fleet: root.Fleet, Epoch: root.Epoch, Cycle: p.Cycle, Kind: p.Kind, Policy: p.Policy, Author: p.Author,
		Plan: p.Hash(), Made: instant(p.Made), Rings: []RingGrant{},
		NotAfter: instant(p.CloseBy), RevertUntil: instant(p.CloseBy.Add(RevertCover)), BreakGlass: breakGlass,
	}
	for _, r := range p.Rings {
		if slices.Contains(rings, r.Name) {
			g.Rings = append(g.Rings, RingGrant{Ring: r.Name, Root: r.Root, Machines: r.Assets})
		}
	}
	return g
}

// Text is what is signed.
func (g Grants) Text() []byte { return Canonical(g) }

// ring returns the grant of a ring.
func (g Grants) ring(name patching.RingName) (RingGrant, bool) {
	for _, r := range g.Rings {
		if r.Ring == name {
			return r, true
		}
	}
	return RingGrant{}, false
}

// Validate checks all that can be said of the document by itself.
func (g Grants) Validate() error {
	switch {
	case g.V != 1:
		return refuse(WhyFormat, "grants of format %d, this program reads 1", g.V)
	case g.Fleet == "" || g.Epoch < 1 || g.Cycle == "" || g.Policy == "" || !g.Plan.Valid():
		return refuse(WhyForm, "grants: fleet, epoch, cycle, policy and plan must be given")
	case g.Kind != patching.Monthly && g.Kind != patching.Emergency:
		return refuse(WhyForm, "grants: %.32q is no kind of cycle", g.Kind)
	case !spelledOnce(g.Made, g.NotAfter, g.RevertUntil):
		return refuse(WhyForm, "grants: times are in UTC, to the millisecond")
	case !g.NotAfter.After(g.Made) || g.RevertUntil.Before(g.NotAfter) || g.RevertUntil.Sub(g.Made) > maxSpan:
		return refuse(WhyForm, "grants: made %s, valid until %s, for going back until %s: want a span of at most %d days", g.Made, g.NotAfter, g.RevertUntil, maxSpan/(24*time.Hour))
	case len(g.Rings) == 0 || len(g.Rings) > maxRings:
		return refuse(WhyForm, "grants: %d rings, want 1 to %d", len(g.Rings), maxRings)
	case len(g.BreakGlass) > maxWords:
		return refuse(WhyForm, "grants: a reason has at most %d bytes", maxWords)
	}
	for i, r := range g.Rings {
		if r.Ring == "" || !r.Root.Valid() || r.Machines < 1 {
			return refuse(WhyForm, "grants: ring %.64q needs a root and a number of machines", r.Ring)
		}
		if _, again := (Grants{Rings: g.Rings[:i]}).ring(r.Ring); again {
			return refuse(WhyForm, "grants: ring %.64q stands in it twice", r.Ring)
		}
	}
	return nil
}

// ReadGrants reads grants, whoever has signed them.
func ReadGrants(text []byte) (Grants, error) {
	var g Grants
	if err := Decode(text, &g); err != nil {
		return Grants{}, refuse(WhyForm, "grants: %w", err)
	}
	return g, g.Validate()
}

// quorumRule is what the quorum of a document is counted by.
type quorumRule struct {
	role   string
	scope  patching.PolicyName
	need   int
	author patching.AccountName // may not sign; empty: everybody may
	made   time.Time
	words  string
}

// The roles of approvers' keys in the trust root.
const (
	// RoleApprover signs grants, pre-approvals and delegations.
	RoleApprover = string(patching.RoleApprover)
	// RoleBreakGlass signs grants when the usual approvers cannot be waited for.
	RoleBreakGlass = "break-glass"
)

func (r Root) quorumOf(g Grants) (quorumRule, error) {
	q := quorumRule{role: RoleApprover, scope: g.Policy, need: r.Quorum.Of(g.Kind), author: g.Author, made: g.Made, words: "a monthly cycle"}
	if g.Kind == patching.Emergency {
		q.words = "an emergency"
	}
	if g.BreakGlass != "" {
		if r.Quorum.BreakGlass == 0 {
			return q, refuse(WhyQuorum, "the trust root knows no break-glass")
		}
		// At night the author may be the only one there: the review afterwards is for that.
		q.role, q.need, q.author, q.words = RoleBreakGlass, r.Quorum.BreakGlass, "", "break-glass"
	}
	return q, nil
}

func (r Root) preApprovalQuorum(p PreApproval) quorumRule {
	return quorumRule{role: RoleApprover, scope: p.Policy, need: r.Quorum.Monthly, made: p.NotBefore, words: "a pre-approval"}
}

func (q quorumRule) String() string { return fmt.Sprintf("%s takes %d", q.words, q.need) }
