package trust

import (
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Signed is a document with the signatures of people. Notes are delegations that
// some of them go back to.
type Signed struct {
	Document   []byte            `json:"document"`
	Signatures []PersonSignature `json:"signatures"`
	Notes      []Note            `json:"notes"`
}

// Note is a delegation with the signature of who delegates.
type Note struct {
	Document  []byte          `json:"document"`
	Signature PersonSignature `json:"signature"`
}

// Delegation is an approver's dated word that another key signs in their name. It
// takes nothing away from the approver, and the two of them count once.
type Delegation struct {
	V         int                  `json:"v"` // format: 1
	Fleet     string               `json:"fleet"`
	From      patching.AccountName `json:"from"`
	To        patching.AccountName `json:"to"`
	Key       PersonKey            `json:"key"` // of To
	Scopes    []string             `json:"scopes"`
	NotBefore time.Time            `json:"not_before"`
	NotAfter  time.Time            `json:"not_after"`
	Reason    string               `json:"reason"`
}

// MaxDelegation is for how long one may be delegated to: longer than a holiday is
// a change of the trust root.
const MaxDelegation = 45 * 24 * time.Hour

// MaxNotes is how many delegations a document may come with. It bounds the work that one
// can cause, as [maxSignatures] does.
const MaxNotes = maxSignatures

// Text is what is signed.
func (d Delegation) Text() []byte { return Canonical(d) }

// Validate checks all that can be said of the note by itself.
func (d Delegation) Validate() error {
	if _, err := d.Key.public(); err != nil {
		return refuse(WhyForm, "delegation: %w", err)
	}
	switch {
	case d.V != 1:
		return refuse(WhyFormat, "delegation of format %d, this program reads 1", d.V)
	case d.Fleet == "" || d.From == "" || d.To == "" || d.From == d.To || len(d.Scopes) == 0:
		return refuse(WhyForm, "delegation: fleet, from, to (somebody else) and scopes must be given")
	case d.Reason == "" || len(d.Reason) > maxWords:
		return refuse(WhyForm, "delegation: a reason has 1 to %d bytes", maxWords)
	case !spelledOnce(d.NotBefore, d.NotAfter) || !d.NotAfter.After(d.NotBefore) || d.NotAfter.Sub(d.NotBefore) > MaxDelegation:
		return refuse(WhyForm, "delegation from %s to %s: at most %d days, in UTC, to the millisecond", d.NotBefore, d.NotAfter, MaxDelegation/(24*time.Hour))
	}
	return nil
}

// Person is who a signature counts for.
type Person struct {
	// Account counts. By signed in its name, by a delegation; empty: Account did.
	Account patching.AccountName `json:"account"`
	By      patching.AccountName `json:"by,omitempty"`
	Key     PersonKey            `json:"key"`
}

// signers returns the keys that have signed the document, each once. Nothing of
// the document has been parsed before that; a signature that does not hold is an
// error, since nobody honest hands one on.
func (s Signed) signers(paper Paper) ([]PersonKey, error) {
	switch {
	case len(s.Document) == 0 || len(s.Document) > MaxEnvelope:
		return nil, refuse(WhySize, "a document of %d bytes, want 1 to %d", len(s.Document), MaxEnvelope)
	case len(s.Signatures) == 0:
		return nil, refuse(WhySignature, "nobody has signed it")
	case len(s.Signatures) > maxSignatures || len(s.Notes) > MaxNotes:
		return nil, refuse(WhySize, "%d signatures and %d delegations, at most %d each are checked", len(s.Signatures), len(s.Notes), maxSignatures)
	}
	var keys []PersonKey
	for _, sig := range s.Signatures {
		k, err := sig.verify(paper, s.Document)
		if err != nil {
			return nil, refuse(WhySignature, "%w", err)
		}
		if slices.Contains(keys, k) {
			return nil, refuse(WhySignature, "%s has signed twice: a key counts once", k.Fingerprint())
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// count says who of those that signed count by the rule, each person once, and
// refuses if they are too few.
func (r Root) count(keys []PersonKey, notes []Note, q quorumRule) ([]Person, error) {
	all, last := r.counted(keys, notes, q)
	switch {
	case len(all) >= q.need:
		return all, nil
	case last != nil:
		return nil, refuse(WhyQuorum, "%s approvals, %d count: %w", q, len(all), last)
	}
	return nil, refuse(WhyQuorum, "%s approvals, %d count", q, len(all))
}

// counted says who counts, and why the last of the others does not.
func (r Root) counted(keys []PersonKey, notes []Note, q quorumRule) (all []Person, last error) {
	for _, k := range keys {
		p, err := r.person(k, notes, q)
		switch {
		case err != nil:
			last = err
		case slices.ContainsFunc(all, func(o Person) bool { return o.overlaps(p) }):
			last = refuse(WhyQuorum, "%s counts once", p.Account)
		default:
			all = append(all, p)
		}
	}
	return all, last
}

// Votes says who of those that signed grants count by now, and how many it takes. The
// server asks it so as to answer people; machines decide by [Verifier.Basis].
func (r Root) Votes(s Signed, g Grants) (persons []Person, need int, err error) {
	q, err := r.quorumOf(g)
	if err != nil || len(s.Signatures) == 0 {
		return nil, q.need, err
	}
	keys, err := s.signers(GrantsPaper)
	if err != nil {
		return nil, q.need, err
	}
	persons, _ = r.counted(keys, s.Notes, q)
	return persons, q.need, nil
}

// Signer says whom a signature under grants counts for, or why it does not count.
func (r Root) Signer(sig PersonSignature, g Grants, notes []Note) (Person, error) {
	q, err := r.quorumOf(g)
	if err != nil {
		return Person{}, err
	}
	key, err := sig.verify(GrantsPaper, g.Text())
	if err != nil {
		return Person{}, refuse(WhySignature, "%w", err)
	}
	return r.person(key, notes, q)
}

// Approves says who of those that signed a pre-approval count by now, and how many it
// takes.
func (r Root) Approves(s Signed, p PreApproval) (persons []Person, need int, err error) {
	q := r.preApprovalQuorum(p)
	if len(s.Signatures) == 0 {
		return nil, q.need, nil
	}
	keys, err := s.signers(PreApprovalPaper)
	if err != nil {
		return nil, q.need, err
	}
	persons, _ = r.counted(keys, s.Notes, q)
	return persons, q.need, nil
}

// PreApprover says whom a signature under a pre-approval counts for, or why it does not
// count.
func (r Root) PreApprover(sig PersonSignature, p PreApproval, notes []Note) (Person, error) {
	key, err := sig.verify(PreApprovalPaper, p.Text())
	if err != nil {
		return Person{}, refuse(WhySignature, "%w", err)
	}
	return r.person(key, notes, r.preApprovalQuorum(p))
}

// Delegates says who a note counts for, or why it does not count.
func (r Root) Delegates(n Note) (Delegation, error) {
	key, err := n.Signature.verify(DelegationPaper, n.Document)
	if err != nil {
		return Delegation{}, refuse(WhySignature, "%w", err)
	}
	d, err := ReadDelegation(n.Document)
	if err != nil {
		return d, err
	}
	a, known := r.approver(key)
	if !known || a.Account != d.From || d.Fleet != r.Fleet {
		return d, refuse(WhyQuorum, "the delegation from %s is not signed by a key of theirs in the trust root", d.From)
	}
	return d, nil
}

// ReadDelegation reads a delegation that nobody has to have signed.
func ReadDelegation(text []byte) (Delegation, error) {
	var d Delegation
	if err := Decode(text, &d); err != nil {
		return Delegation{}, refuse(WhyForm, "delegation: %w", err)
	}
	return d, d.Validate()
}

// overlaps reports whether the same human being is behind both: who signs for
// themselves does not also sign for somebody else.
func (p Person) overlaps(o Person) bool {
	behind := func(x Person) []patching.AccountName { return []patching.AccountName{x.Account, x.By} }
	return slices.ContainsFunc(behind(p), func(a patching.AccountName) bool { return a != "" && slices.Contains(behind(o), a) })
}

// person finds out whom a key signs for. Of several delegations to a key the first one
// counts by which it may sign: one that is over, or for another policy, is no obstacle.
func (r Root) person(k PersonKey, notes []Note, q quorumRule) (Person, error) {
	if a, known := r.approver(k); known {
		p := Person{Account: a.Account, Key: k}
		return p, q.admits(p, a)
	}
	no := Person{Key: k}
	var first error
	for _, n := range notes {
		d, err := r.Delegates(n)
		if err != nil {
			return no, err
		}
		if d.Key != k {
			continue
		}
		// The roles and scopes are those of who delegates, by the key that signed.
		by, _ := n.Signature.Key()
		a, _ := r.approver(by)
		p := Person{Account: d.From, By: d.To, Key: k}
		if err = d.admits(q); err == nil {
			err = q.admits(p, a)
		}
		if err == nil {
			return p, nil
		}
		if first == nil {
			no, first = p, err
		}
	}
	if first == nil {
		first = refuse(WhyQuorum, "%s is no approver's key", k.Fingerprint())
	}
	return no, first
}

// admits says why the person does not count, who signs by the key of a.
func (q quorumRule) admits(p Person, a Approver) error {
	switch {
	case !slices.Contains(a.Roles, q.role):
		return refuse(WhyQuorum, "%s does not have the role %s in the trust root", a.Account, q.role)
	case !covers(a.Scopes, q.scope):
		return refuse(WhyQuorum, "policy %.64q is outside of what %s may approve", q.scope, a.Account)
	case q.author != "" && (p.Account == q.author || p.By == q.author):
		return refuse(WhyQuorum, "%s is the plan's author, who cannot approve it", q.author)
	}
	return nil
}

// admits says why nobody signs by the delegation what the rule is for.
func (d Delegation) admits(q quorumRule) error {
	switch {
	case d.Covers(q.scope, q.made):
		return nil
	case !covers(d.Scopes, q.scope):
		return refuse(WhyQuorum, "the delegation from %s to %s is not for policy %.64q", d.From, d.To, q.scope)
	}
	return refuse(WhyQuorum, "the delegation from %s to %s holds from %s to %s, and the plan is of %s", d.From, d.To,
		d.NotBefore.Format(time.RFC3339), d.NotAfter.Format(time.RFC3339), q.made.Format(time.RFC3339))
}

// Covers reports whether the delegation is for a policy's papers that were made then.
func (d Delegation) Covers(p patching.PolicyName, made time.Time) bool {
	return covers(d.Scopes, p) && !made.Before(d.NotBefore) && !made.After(d.NotAfter)
}

func (r Root) approver(k PersonKey) (Approver, bool) {
	for _, a := range r.Approvers {
		if a.Key == k {
			return a, true
		}
	}
	return Approver{}, false
}

// covers reports whether scopes take in a policy, spelled as those of accounts.
func covers(scopes []string, p patching.PolicyName) bool {
	return patching.Account{Scopes: scopes}.Covers(p)
}
