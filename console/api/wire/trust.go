package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// TrustRoot is the trust root in force.
type TrustRoot struct {
	Envelope string `json:"envelope" doc:"As machines pin it: a DSSE envelope."`
	Behind   string `json:"behind,omitempty" doc:"Why nothing is ordered under it."`
}

// NewTrustRoot is one that its holders have signed.
type NewTrustRoot struct {
	Envelope string `json:"envelope" maxLength:"65536"`
}

// NextKey is the public half of a key that the server signs with once a trust root
// names it.
type NextKey struct {
	Kind string `json:"kind" enum:"dispatcher,lease"`
	Key  []byte `json:"key,omitempty"`
}

// Grants is what has to be signed to approve a plan, and who has signed it.
type Grants struct {
	Cycle     patching.CycleID       `json:"cycle"`
	Plan      patching.Digest        `json:"plan"`
	Needed    bool                   `json:"needed" doc:"An approval without a signature does not count."`
	Namespace string                 `json:"namespace" doc:"For ssh-keygen -Y sign -n."`
	Text      string                 `json:"text" doc:"To be signed, to the byte."`
	Rings     []patching.RingName    `json:"rings"`
	Quorum    int                    `json:"quorum"`
	Signed    []patching.AccountName `json:"signed" doc:"Who has signed this text and counts."`
}

// PlanFile is a line of the file by which a plan is checked far from the server.
// One of its fields is set.
type PlanFile struct {
	Plan    string       `json:"plan,omitempty" doc:"The text that the plan's hash is of."`
	Machine *PlanMachine `json:"machine,omitempty"`
	Bundle  string       `json:"bundle,omitempty" doc:"The text that a machine's bundle or way back is the digest of."`
}

// PlanMachine is a machine's leaf in the tree of its ring.
type PlanMachine struct {
	Asset     patching.AssetID  `json:"asset"`
	Hostname  string            `json:"hostname"`
	Ring      patching.RingName `json:"ring"`
	Device    patching.DeviceID `json:"device"`
	DeviceKey patching.Digest   `json:"device_key"`
	Rule      string            `json:"rule"`
	Bundle    patching.Digest   `json:"bundle"`
	Rollback  patching.Digest   `json:"rollback,omitempty"`
}

// Paper is something that people sign with their own keys.
type Paper struct {
	Kind       patching.PaperKind `json:"kind" enum:"grants,pre-approval,delegation"`
	Subject    string             `json:"subject"`
	Digest     patching.Digest    `json:"digest"`
	Document   string             `json:"document"`
	At         time.Time          `json:"at"`
	Signatures []PaperSignature   `json:"signatures"`
	Words      string             `json:"words" doc:"Whether it counts, and until when."`
}

// PaperSignature is one person's.
type PaperSignature struct {
	Account patching.AccountName `json:"account"`
	Key     string               `json:"key" doc:"Its fingerprint, as ssh-keygen -l prints it."`
	At      time.Time            `json:"at"`
}

// Papers is a list of them, the newest first.
type Papers struct {
	Items []Paper `json:"items"`
}

// NewPaper is a pre-approval or a delegation with a signature.
type NewPaper struct {
	Kind      patching.PaperKind  `json:"kind" enum:"pre-approval,delegation"`
	Document  string              `json:"document" maxLength:"65536"`
	Machines  []trust.PreApproved `json:"machines,omitempty" doc:"Of a pre-approval: all that its root is of."`
	Signature string              `json:"signature" maxLength:"16384" doc:"As ssh-keygen -Y sign writes it."`
}

// NewPreApproval asks what has to be signed to pre-approve the test ring that a cycle
// has.
type NewPreApproval struct {
	Cycle patching.CycleID `json:"cycle"`
	Days  int              `json:"days" minimum:"1" maximum:"90"`
	Keys  []string         `json:"keys" doc:"Fingerprints of the keys that sign the repositories."`
}

// PreApproval is what has to be signed.
type PreApproval struct {
	Namespace string              `json:"namespace"`
	Text      string              `json:"text"`
	Machines  []trust.PreApproved `json:"machines"`
}

// NewHold stops machines.
type NewHold struct {
	Reason string    `json:"reason" minLength:"1" maxLength:"200"`
	Until  time.Time `json:"until,omitzero" doc:"None: until it is lifted."`
}

// Hold is what somebody said of a hold.
type Hold struct {
	Version int64                `json:"version"`
	Lifted  bool                 `json:"lifted" doc:"It ends the one before."`
	By      patching.AccountName `json:"by"`
	Reason  string               `json:"reason"`
	At      time.Time            `json:"at"`
	Until   time.Time            `json:"until,omitzero"`
}

// Holds is what was said, the newest first.
type Holds struct {
	Held  bool   `json:"held"`
	Words string `json:"words"`
	Items []Hold `json:"items"`
}
