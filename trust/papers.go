package trust

import (
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Notes returns the delegations among papers that hold under the root.
func (r Root) Notes(papers []patching.Paper) []Note {
	var notes []Note
	for _, p := range papers {
		for _, s := range p.Signatures {
			n := Note{Document: p.Document, Signature: s.Signature}
			if _, err := r.Delegates(n); err == nil { // one that does not count any more spoils no other
				notes = append(notes, n)
			}
		}
	}
	return notes
}

// SignedPaper is a paper with the delegations that its signatures may go back to: a deputy
// has several, for other times and policies.
func SignedPaper(p patching.Paper, notes []Note) Signed {
	s := Signed{Document: p.Document}
	var keys []PersonKey
	for _, sig := range p.Signatures {
		s.Signatures = append(s.Signatures, sig.Signature)
		if key, err := PersonSignature(sig.Signature).Key(); err == nil {
			keys = append(keys, key)
		}
	}
	policy, made := about(p)
	for _, n := range notes {
		d, err := ReadDelegation(n.Document)
		if err == nil && slices.Contains(keys, d.Key) && d.Covers(policy, made) && len(s.Notes) < MaxNotes {
			s.Notes = append(s.Notes, n)
		}
	}
	return s
}

// about says which policy a paper is of, and when it was made: by that it is judged who
// could sign for whom.
func about(p patching.Paper) (policy patching.PolicyName, made time.Time) {
	switch p.Kind {
	case patching.PaperGrants:
		if g, err := ReadGrants(p.Document); err == nil {
			return g.Policy, g.Made
		}
	case patching.PaperPreApproval:
		if a, err := ReadPreApproval(p.Document); err == nil {
			return a.Policy, a.NotBefore
		}
	case patching.PaperDelegation: // nobody signs one in another's name
	}
	return "", time.Time{}
}
