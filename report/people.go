package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

func (f *facts) approval() Approval {
	a := Approval{Mode: f.cycle.Mode, Trust: trustWords(f.cycle.Mode), Votes: f.votes(), Reviews: f.reviews()}
	if f.policy != nil {
		a.Quorum = f.policy.Approval.Quorum
		if q := f.policy.Emergency.Quorum; f.cycle.Kind == patching.Emergency && q > 0 {
			a.Quorum = q
		}
	}
	a.Words = f.quorumWords(a)
	return a
}

// trustWords say what an approval is worth under the trust root's mode.
func trustWords(mode string) string {
	if mode == "dispatcher" {
		return "This server's trust root is in mode “dispatcher”: approvals are counted, not signed. " +
			"That a person approved is the server's word, not a signature that a machine could check."
	}
	if mode == "grants" {
		return "This server's trust root is in mode “grants”: approvals are signed with keys that the server does not have, " +
			"and machines in that mode obey nothing else."
	}
	return fmt.Sprintf("This server's trust root is in mode “%s”.", orElse(mode, "unknown"))
}

func (f *facts) quorumWords(a Approval) string {
	var who []string
	for _, v := range a.Votes {
		name := string(v.Account)
		if v.Verdict == patching.Approve && v.Refused == "" && v.Plan == f.cycle.Plan && !slices.Contains(who, name) {
			who = append(who, name)
		}
	}
	asked := ""
	if a.Quorum > 0 {
		asked = fmt.Sprintf("The policy asks for the %s of people other than the author, %s.", plural(a.Quorum, "approval"), f.cycle.Author)
		if a.Quorum == 1 {
			asked = fmt.Sprintf("The policy asks for the approval of one person other than the author, %s.", f.cycle.Author)
		}
	}
	switch {
	case f.cycle.Shadow:
		return "Shadow mode: nothing was to be installed, so nobody was asked."
	case len(who) > 0:
		return fmt.Sprintf("%s Plan %s was approved by %s.", asked, f.cycle.Plan.Short(), list(who))
	case f.cycle.Plan == "":
		return asked + " There is no plan yet."
	default:
		return fmt.Sprintf("%s Nobody has approved plan %s.", asked, f.cycle.Plan.Short())
	}
}

// reviews are those of what people did, see [Review].
func (f *facts) reviews() (out []Review) {
	for _, k := range f.tasks {
		if !k.IsReview() {
			continue
		}
		r := Review{Task: k.ID, Words: k.Tried, Signed: k.NotBy, Opened: k.Opened, Due: k.Due}
		if k.State.Terminal() {
			r.Closed, r.By, r.Found = k.Closed, k.TakenBy, k.Note
		}
		out = append(out, r)
	}
	return out
}

// votes are those on record, and the attempts that did not get that far: the
// API turns people away by their role, and a sender may have no name.
func (f *facts) votes() []Vote {
	var out []Vote
	for _, a := range f.approvals {
		out = append(out, Vote{
			At: a.At, Account: a.Account, Roles: f.roles[a.At.UnixMicro()][a.Account], Verdict: a.Verdict, Plan: a.Plan,
			Via: a.Via, Key: a.Key, Reason: a.Reason, Refused: a.Refused,
		})
	}
	for _, e := range f.trail {
		verdict := patching.ApprovalVerdict(e.Verb)
		if verdicts[verdict] == "" {
			continue
		}
		if words, turned := strings.CutPrefix(e.Body, refusedByAPI); turned {
			out = append(out, Vote{At: e.At, Account: patching.AccountName(e.Actor), Verdict: verdict, Via: "api", Refused: words})
		} else if e.Actor == "" {
			act := readAct(e.Body)
			out = append(out, Vote{At: e.At, Verdict: verdict, Via: "signal", Reason: act.reason, Refused: orElse(act.refused, "nobody knows who sent it.")})
		}
	}
	slices.SortStableFunc(out, func(a, b Vote) int { return a.At.Compare(b.At) })
	return out
}

// refusedByAPI begins the audit entry of somebody whom the API turned away.
const refusedByAPI = "refused by the API: "

// act is what the audit record says of something that a person did.
type act struct{ reason, refused string }

// readAct reads the body that activities write ("request r-1; plan …; reason
// "…"; refused "…""). Any other body is a reason by itself.
func readAct(body string) act {
	head, rest, ok := strings.Cut(body, "; reason ")
	if !ok || !(strings.HasPrefix(head, "request ") || strings.HasPrefix(head, "signal ")) {
		return act{reason: body}
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return act{reason: body}
	}
	reason, err := strconv.Unquote(quoted)
	if err != nil {
		return act{reason: body}
	}
	refused, _ := strconv.Unquote(strings.TrimPrefix(rest[len(quoted):], "; refused "))
	return act{reason, refused}
}
