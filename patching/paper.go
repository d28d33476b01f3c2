package patching

import "time"

// Paper is a document that people sign with keys of their own, which the server does
// not have: what a machine takes as an approval.
type Paper struct {
	// Kind says what it is: grants of a plan's rings, a pre-approval, a delegation.
	Kind PaperKind
	// Subject is what it is about: the cycle of grants, the policy of a pre-approval,
	// who delegates.
	Subject  string
	Document []byte
	// Machines are those of a pre-approval, as JSON; its document names only their
	// Merkle root.
	Machines []byte
	At       time.Time
	// Signatures are of those who have signed it by now, oldest first.
	Signatures []PaperSignature
}

// Digest addresses the paper.
func (p Paper) Digest() Digest { return DigestOf(p.Document) }

// PaperKind is a kind of paper.
type PaperKind string

// The kinds of papers.
const (
	PaperGrants      PaperKind = "grants"
	PaperPreApproval PaperKind = "pre-approval"
	PaperDelegation  PaperKind = "delegation"
)

// PaperSignature is one person's under a paper.
type PaperSignature struct {
	Account AccountName
	// Key is the fingerprint of the key that made it, as ssh-keygen -l prints it.
	Key       string
	Signature []byte // SSHSIG without its armor
	At        time.Time
}
