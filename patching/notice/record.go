package notice

import (
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// OfRecord returns the notice that an entry of the record of decisions gives rise to;
// ok is false for the many that give none. Cycles remind and escalate by such entries.
func OfRecord(e patching.AuditEntry) (n Notice, ok bool) {
	n = Notice{Severity: Urgent, Policy: policyOf(e.Subject), Subject: e.Subject, Words: e.Body, At: e.At}
	switch {
	case e.Verb == "halt" && strings.HasPrefix(e.Actor, "gate "): // a person's word of that name is none
		n.Kind, n.Site = CycleHalted, siteOf(e.Subject)
	case e.Actor != "patchcycle":
		return Notice{}, false
	case e.Verb == "reminder":
		n.Kind = ApprovalReminder
	case e.Verb == "escalation":
		n.Kind = ApprovalEscalation
	case e.Verb == "closed":
		n.Kind, n.Severity = CycleClosed, Routine
	default:
		return Notice{}, false
	}
	n.ID = ID(fmt.Sprintf("%s/%d", n.Kind, e.Seq))
	return n, true
}

// Waiting returns the notice that a cycle's plan waits for approval; ok is false if
// none does.
func Waiting(c patching.Cycle) (n Notice, ok bool) {
	if c.Phase != patching.PhaseApproval || !c.Closed.IsZero() {
		return Notice{}, false
	}
	n = Notice{
		ID: ID(fmt.Sprintf("%s/%s/%s", CycleWaits, c.ID, c.Plan)), Kind: CycleWaits, Severity: Important,
		Policy: c.Policy, Subject: string(c.ID), Words: c.Words, At: c.Opened,
	}
	if c.Kind == patching.Emergency {
		n.Severity = Urgent
	}
	return n, true
}

// Review returns the notice that somebody has to review what others did; ok is false
// if the task asks for none, or it is done.
func Review(t patching.Task) (n Notice, ok bool) {
	if !t.IsReview() || t.State.Terminal() {
		return Notice{}, false
	}
	return Notice{
		ID: ID(fmt.Sprintf("%s/%s", ReviewWaits, t.ID)), Kind: ReviewWaits, Severity: Important, Policy: policyOf(string(t.Cycle)),
		Subject: string(t.Cycle), At: t.Opened, Words: fmt.Sprintf("%s Due %s; see: patchcycle task show %s", t.Tried, phrase.Moment(t.Due), t.ID),
	}, true
}

// policyOf returns the policy that the id of a cycle, ring or wave begins with.
func policyOf(subject string) patching.PolicyName {
	parts := strings.Split(subject, "/")
	if len(parts) < 3 {
		return ""
	}
	return patching.PolicyName(parts[1])
}

// siteOf returns the site of a wave's id; empty: it is about a whole ring or cycle.
func siteOf(subject string) patching.SiteName {
	_, wave, ok := strings.Cut(subject, "/wave/")
	if !ok {
		return ""
	}
	site, _, _ := strings.Cut(wave, "/")
	return patching.SiteName(site)
}
