package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Subject is what a person decides about. What is left out does not narrow it.
type Subject struct {
	Advisory patching.AdvisoryID `json:"advisory,omitempty" maxLength:"100" doc:"As its publisher writes it; what begins like a CVE's name is taken as one."`
	CVE      patching.CVE        `json:"cve,omitempty" maxLength:"30"`
	Package  string              `json:"package,omitempty" maxLength:"300" doc:"A package, or the source package that it is built from."`
	Selector string              `json:"selector,omitempty" maxLength:"4096" doc:"On which machines, as in policies; none: on all."`
}

// Term is who decided, why, and until when.
type Term struct {
	ID     patching.DecisionID  `json:"id"`
	Reason string               `json:"reason"`
	By     patching.AccountName `json:"by"`
	Role   patching.Role        `json:"role" doc:"In which role."`
	At     time.Time            `json:"at"`
	Until  time.Time            `json:"until" doc:"The last instant at which it holds."`
	State  patching.TermState   `json:"state" enum:"not yet,in force,expired,ended,renewed"`
	Ended  *Ending              `json:"ended,omitempty" doc:"How it ended before that."`
}

// Ending is the end of a decision before its date.
type Ending struct {
	At        time.Time            `json:"at"`
	By        patching.AccountName `json:"by"`
	Role      patching.Role        `json:"role"`
	Reason    string               `json:"reason"`
	RenewedBy patching.DecisionID  `json:"renewed_by,omitempty" doc:"The decision that took its place."`
}

// NewReview asks for a review of urgency.
type NewReview struct {
	Subject
	Answer patching.Answer `json:"answer" enum:"now,monthly,work-around,accept"`
	Reason string          `json:"reason,omitempty" maxLength:"1000" doc:"Why; it goes on record."`
	Until  time.Time       `json:"until,omitzero" doc:"The last instant at which it holds, at most a year from now."`
}

// Review is a person's answer to how urgent something is.
type Review struct {
	Term
	Subject
	Answer patching.Answer `json:"answer" enum:"now,monthly,work-around,accept"`
	Words  string          `json:"words" doc:"The answer for people."`
}

// Reviews is a list of them: those in force that end first before the others.
type Reviews struct {
	Items []Review `json:"items"`
}

// ReviewAnswer is a review as it stands now.
type ReviewAnswer struct {
	Review  Review `json:"review"`
	Words   string `json:"words"`
	Warning string `json:"warning,omitempty" doc:"No feed knows what it is about: a typing mistake?"`
}

// Waiting is what waits for somebody to say how urgent it is.
type Waiting struct {
	Advisories []WaitingAdvisory `json:"advisories" doc:"Emergencies that nobody decided about, the most urgent first: what the regimes say counts."`
	Unlisted   int               `json:"advisories_not_listed"`
	Decisions  []ToReview        `json:"to_review" doc:"Decisions to be looked at again: those that expired in the last month, and that end or are due for review in the next, and work-arounds."`
}

// WaitingAdvisory is an advisory that machines of a policy have.
type WaitingAdvisory struct {
	Policy   patching.PolicyName `json:"policy"`
	Advisory patching.AdvisoryID `json:"advisory"`
	Title    string              `json:"title,omitempty"`
	CVEs     []patching.CVE      `json:"cves"`
	KEV      *bool               `json:"kev"`
	Lane     *urgency.Lane       `json:"lane"`
	Due      *time.Time          `json:"due"`
	Machines int                 `json:"machines" doc:"That have it."`
}

// NewException asks for an exception.
type NewException struct {
	Subject
	Owner    string              `json:"owner,omitempty" maxLength:"100" doc:"The person or the role that answers for it; not who makes it."`
	Reason   string              `json:"reason,omitempty" maxLength:"1000" doc:"Why; it goes on record."`
	Measure  string              `json:"measure,omitempty" maxLength:"1000" doc:"What makes up for the missing patch."`
	Until    time.Time           `json:"until,omitzero" doc:"The last instant at which it holds, at most a year from now."`
	ReviewBy time.Time           `json:"review_by,omitzero" doc:"When somebody has to look at it again; none: after three months, or at its end."`
	Renews   patching.DecisionID `json:"renews,omitempty" maxLength:"64" doc:"The exception whose place it takes."`
}

// Exception is that something is not patched until a date.
type Exception struct {
	Term
	Subject
	Owner    string              `json:"owner"`
	Measure  string              `json:"measure,omitempty"`
	ReviewBy time.Time           `json:"review_by"`
	Due      bool                `json:"review_due" doc:"It is in force, and somebody has to look at it now."`
	Renews   patching.DecisionID `json:"renews,omitempty"`
}

// Exceptions is a list of them: those in force that end first before the others.
type Exceptions struct {
	Items []Exception `json:"items"`
}

// ExceptionAnswer is an exception as it stands now.
type ExceptionAnswer struct {
	Exception Exception `json:"exception"`
	Words     string    `json:"words"`
	Warning   string    `json:"warning,omitempty" doc:"No feed knows what it is about: a typing mistake?"`
}

// NewWorkAround proposes a work-around.
type NewWorkAround struct {
	Subject
	What   string `json:"what,omitempty" maxLength:"1000" doc:"What is to be done."`
	Owner  string `json:"owner,omitempty" maxLength:"100" doc:"The person or the role that answers for it."`
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Why; it goes on record."`
}

// NewWorkAroundStep says what became of a work-around.
type NewWorkAroundStep struct {
	State  patching.WorkAroundState `json:"state" enum:"in place,to be removed,removed"`
	Assets []patching.AssetID       `json:"assets,omitempty" maxItems:"1000" doc:"Machines on which it was put in place, or from which it was removed; of a removal none are all that are left."`
	Note   string                   `json:"note,omitempty" maxLength:"1000" doc:"How that was verified, or why."`
}

// WorkAround is what makes up for a patch, from its proposal until it is gone again.
type WorkAround struct {
	ID patching.DecisionID `json:"id"`
	Subject
	What     string                   `json:"what"`
	Owner    string                   `json:"owner"`
	State    patching.WorkAroundState `json:"state" enum:"proposed,in place,to be removed,removed"`
	Machines []patching.AssetID       `json:"machines" doc:"Those in your scope on which it is in place."`
	Others   int                      `json:"others,omitempty" doc:"How many more there are."`
	Steps    []WorkAroundStep         `json:"steps" doc:"The oldest first."`
}

// WorkAroundStep is a step in a work-around's life.
type WorkAroundStep struct {
	State    patching.WorkAroundState `json:"state" enum:"proposed,in place,to be removed,removed"`
	At       time.Time                `json:"at"`
	By       patching.AccountName     `json:"by"`
	Role     patching.Role            `json:"role"`
	Machines int                      `json:"machines,omitempty" doc:"How many it names."`
	Note     string                   `json:"note"`
}

// WorkArounds is a list of them, by id.
type WorkArounds struct {
	Items []WorkAround `json:"items"`
}

// WorkAroundAnswer is a work-around as it stands now.
type WorkAroundAnswer struct {
	WorkAround WorkAround `json:"workaround"`
	Words      string     `json:"words"`
	Warning    string     `json:"warning,omitempty" doc:"No feed knows what it is about: a typing mistake?"`
}
