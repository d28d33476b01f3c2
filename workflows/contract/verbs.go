package contract

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// Verb is something that a person does to a running cycle. Each is an update
// and a signal of that name.
type Verb string

// The verbs.
const (
	VerbApprove  Verb = "approve"
	VerbReject   Verb = "reject"
	VerbSendBack Verb = "send-back"
	VerbPause    Verb = "pause"
	VerbResume   Verb = "resume"
	VerbStop     Verb = "stop"
	VerbRollBack Verb = "roll-back"
	VerbAmend    Verb = "amend"
	VerbAdmit    Verb = "admit"
	VerbClose    Verb = "close"
)

// VerbRule is a row of the table of verbs. CLI help, API and docs are made from it.
type VerbRule struct {
	Verb  Verb
	Short string
	// May are the roles of which one is needed.
	May []patching.Role
	// What happens to machines that have not started, are at work, are done.
	NotStarted, AtWork, Done string
	// Undo says whether it can be taken back, and how.
	Undo string
	// Phases in which it makes sense; empty: any but closed.
	Phases []patching.Phase
	// NeedsPlan says that the plan's hash has to be named: what is agreed to is
	// that plan and no other.
	NeedsPlan bool
	// NeedsReason says that a reason has to be given.
	NeedsReason bool
	// OfMachines says that it is about the machines that it names and no others:
	// whoever is limited to sites may do it to those of their sites.
	OfMachines bool
}

// Verbs is the one table of verbs. Anyone of the roles may stop alone; adding
// always takes an approval (design.md 2.5).
func Verbs() []VerbRule {
	approvers := []patching.Role{patching.RoleApprover}
	operators := []patching.Role{patching.RoleOperator, patching.RoleApprover, patching.RoleSecurityLead}
	approval := []patching.Phase{patching.PhaseApproval}
	deploying := []patching.Phase{patching.PhaseTest, patching.PhaseApproval, patching.PhaseDeploy}
	return []VerbRule{
		{
			Verb: VerbApprove, Short: "agree to the plan of that hash", May: approvers, Phases: approval, NeedsPlan: true,
			NotStarted: "may be patched, ring after ring", AtWork: "go on", Done: "stay as they are", Undo: "stop",
		},
		{
			Verb: VerbReject, Short: "refuse the plan; the cycle closes", May: approvers, Phases: approval, NeedsPlan: true, NeedsReason: true,
			NotStarted: "are not patched in this cycle", AtWork: "none are", Done: "stay as they are (the test ring)", Undo: "no; start another cycle",
		},
		{
			Verb: VerbSendBack, Short: "ask for the plan to be made again", May: approvers, Phases: approval, NeedsPlan: true, NeedsReason: true,
			NotStarted: "are planned anew", AtWork: "none are", Done: "stay as they are (the test ring)", Undo: "not needed: the new plan asks again",
		},
		{
			Verb: VerbPause, Short: "start nothing more for now", May: operators, NeedsReason: true,
			NotStarted: "wait", AtWork: "run to a consistent end", Done: "stay as they are", Undo: "resume",
		},
		{
			Verb: VerbResume, Short: "go on after a pause", May: operators,
			NotStarted: "go on", AtWork: "go on", Done: "stay as they are", Undo: "pause",
		},
		{
			Verb: VerbStop, Short: "start nothing more and close", May: operators, NeedsReason: true,
			NotStarted: "their instructions are withdrawn", AtWork: "run to a consistent end", Done: "stay as they are", Undo: "no; start another cycle",
		},
		{
			Verb: VerbRollBack, Short: "stop and return the cycle's machines to their earlier versions", May: operators, NeedsReason: true,
			NotStarted: "their instructions are withdrawn", AtWork: "run to a consistent end, then go back", Done: "go back, newest ring first", Undo: "no; start another cycle",
		},
		{
			Verb: VerbAmend, Short: "take machines out of what has not started", May: append(operators, patching.RoleSiteAdmin), NeedsReason: true, OfMachines: true,
			NotStarted: "those named leave the cycle", AtWork: "go on", Done: "stay as they are", Undo: "no; the next cycle takes them",
		},
		{
			Verb: VerbAdmit, Short: "bring machines in, as a ring of their own that people approve", Phases: deploying,
			May:         []patching.Role{patching.RoleAuthor, patching.RoleOperator, patching.RoleSecurityLead, patching.RoleSiteAdmin},
			NeedsReason: true, OfMachines: true,
			NotStarted: "those named come last, with what others get already; whoever brings them in does not approve", AtWork: "go on", Done: "stay as they are", Undo: "amend",
		},
		{
			Verb: VerbClose, Short: "close now, carrying the remainder over", May: operators, NeedsReason: true,
			NotStarted: "are carried over by name", AtWork: "run to a consistent end", Done: "stay as they are", Undo: "no; start another cycle",
		},
	}
}

// RuleOf returns the table's row of v.
func RuleOf(v Verb) (VerbRule, bool) {
	for _, r := range Verbs() {
		if r.Verb == v {
			return r, true
		}
	}
	return VerbRule{}, false
}

// Allowed reports whether the verb makes sense in the phase.
func (r VerbRule) Allowed(p patching.Phase) bool {
	if p.Terminal() || p == patching.PhaseReport {
		return false
	}
	return len(r.Phases) == 0 || slices.Contains(r.Phases, p)
}

// Outside says in words why an act is outside of the account's scope; empty: it
// is inside. siteOf is asked, where the policy alone does not decide, at which of
// the sites the named machines are; one that it does not know is at none.
func (r VerbRule) Outside(a patching.Account, p patching.PolicyName, named []patching.AssetID, siteOf func(patching.AssetID) (patching.SiteName, bool)) string {
	limits := strings.Join(a.Scopes, ", ")
	switch {
	case a.Covers(p):
		return ""
	case !r.OfMachines || !a.HasSites():
		return fmt.Sprintf("policy %s is outside of what %s is limited to: %s.", p, a.Name, cmp.Or(limits, "nothing"))
	}
	var others []patching.AssetID
	for _, id := range named {
		if site, known := siteOf(id); !known || !a.CoversSite(site) {
			others = append(others, id)
		}
	}
	if len(others) == 0 {
		return ""
	}
	are := map[bool]string{true: "this machine is", false: "these machines are"}[len(others) == 1]
	return fmt.Sprintf("%s is limited to %s, and %s not there: %s.", a.Name, limits, are, phrase.Few(others, 5))
}

// VerbNames lists the names, as the server's authorizer wants them.
func VerbNames() []string {
	var names []string
	for _, r := range Verbs() {
		names = append(names, string(r.Verb))
	}
	return names
}
