package notice

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Ahead is what a policy's machines miss, as its next cycle would find them.
type Ahead struct {
	Policy patching.PolicyName
	// Owner answers for the policy.
	Owner       string
	Remediation plan.Remediation
	// Next is when the policy's next monthly cycle begins.
	Next  time.Time
	Alike []Alike
	// Advisories are those that Alike names.
	Advisories map[patching.AdvisoryID]*patching.Advisory
}

// Alike are machines of a site and an owner that miss the same.
type Alike struct {
	Site     patching.SiteName
	Owner    string
	Machines int
	// Has are the advisories that they have, Gets those of them of which the next cycle
	// would rid them. Both are sorted, and shared: nobody changes them.
	Has, Gets []patching.AdvisoryID
	Ends      []assess.EndOfLife
}

// Mention is what was told of an advisory to those whom a policy concerns.
type Mention struct {
	// Seen is the last day on which machines had it.
	Seen string `json:"seen"`
	// Offered: that its patch can be had was told.
	Offered bool `json:"offered,omitempty"`
	// Issues addresses the known issues that were told; empty: none was.
	Issues string `json:"issues,omitempty"`
}

// Told is what was told, by advisory; nil: a policy was never looked at.
type Told map[patching.AdvisoryID]Mention

// forgets is how long after machines last had an advisory it is news again.
const forgets = 90 * 24 * time.Hour

// mostIssues is how many advisories' known issues are told at a time. The others' are told
// the next time.
const mostIssues = 50

// News returns what is new: advisories that the machines did not have before, patches that
// could not be had, known issues that were not there. What is there when a policy is first
// looked at is no news. next is what was told then.
func (a Ahead) News(told Told, now time.Time) (news []Notice, next Told) {
	next = Told{}
	today := now.UTC().Format(time.DateOnly)
	forgotten := now.Add(-forgets).UTC().Format(time.DateOnly)
	for id, h := range told {
		if h.Seen > forgotten {
			next[id] = h
		}
	}
	fresh, patches := map[patching.AdvisoryID]bool{}, map[patching.AdvisoryID]bool{}
	gets := map[patching.AdvisoryID]int{}
	for _, l := range a.Alike {
		for _, id := range l.Has {
			h, known := next[id]
			fresh[id] = fresh[id] || !known
			h.Seen = today
			next[id] = h
		}
		for _, id := range l.Gets {
			h := next[id]
			patches[id] = patches[id] || !h.Offered
			gets[id] += l.Machines
			h.Offered = true
			next[id] = h
		}
	}
	issues := a.issues(gets, next, told == nil, now)
	if told == nil {
		return nil, next
	}
	news = a.bySite(NewAdvisory, fresh, func(l Alike) []patching.AdvisoryID { return l.Has }, now)
	news = append(news, a.bySite(NewPatches, patches, func(l Alike) []patching.AdvisoryID { return l.Gets }, now)...)
	return append(news, issues...), next
}

// bySite makes a notice a site of those advisories that are new.
func (a Ahead) bySite(k Kind, fresh map[patching.AdvisoryID]bool, of func(Alike) []patching.AdvisoryID, now time.Time) (all []Notice) {
	machines, ids := map[patching.SiteName]int{}, map[patching.SiteName]map[patching.AdvisoryID]bool{}
	for _, l := range a.Alike {
		some := false
		for _, id := range of(l) {
			if !fresh[id] {
				continue
			}
			if some = true; ids[l.Site] == nil {
				ids[l.Site] = map[patching.AdvisoryID]bool{}
			}
			ids[l.Site][id] = true
		}
		if some {
			machines[l.Site] += l.Machines
		}
	}
	rows := map[patching.AdvisoryID]*plan.Remedy{}
	for i := range a.Remediation.Remedies {
		rows[a.Remediation.Remedies[i].Advisory] = &a.Remediation.Remedies[i]
	}
	for _, site := range slices.Sorted(maps.Keys(ids)) {
		names := slices.SortedFunc(maps.Keys(ids[site]), func(x, y patching.AdvisoryID) int { return byRemedy(rows, x, y) })
		n := Notice{
			ID: ID(fmt.Sprintf("%s/%s/%s/%s", k, a.Policy, site, short(names))), Kind: k, Severity: Routine,
			Site: site, Policy: a.Policy, Subject: string(a.Policy), At: now,
		}
		if k == NewAdvisory && pressing(rows[names[0]]) {
			n.Severity = Important
		}
		what := phrase.Count(len(names), "advisory", "advisories")
		if k == NewPatches {
			what = "patches for " + what
		}
		n.Words = fmt.Sprintf("%s, on %s: %s", what, phrase.Count(machines[site], "machine"), a.few(rows, names))
		all = append(all, n)
	}
	return all
}

// byRemedy orders what is listed as the most urgent before what is not.
func byRemedy(rows map[patching.AdvisoryID]*plan.Remedy, x, y patching.AdvisoryID) int {
	a, b := rows[x], rows[y]
	switch {
	case (a == nil || a.Deadline == nil) && (b == nil || b.Deadline == nil):
		return strings.Compare(string(x), string(y))
	case a == nil || a.Deadline == nil:
		return 1
	case b == nil || b.Deadline == nil:
		return -1
	}
	return cmp.Or(urgency.Compare(*a.Deadline, *b.Deadline), strings.Compare(string(x), string(y)))
}

// pressing: known to be exploited, or of a lane that waits for no cycle.
func pressing(r *plan.Remedy) bool {
	return r != nil && (r.KEV != nil && *r.KEV || r.Deadline != nil && urgency.Scheduled.Before(r.Deadline.Lane))
}

// few names the first advisories, with what makes them urgent.
func (a Ahead) few(rows map[patching.AdvisoryID]*plan.Remedy, ids []patching.AdvisoryID) string {
	const most = 3
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
		var why []string
		if r := rows[id]; r != nil && i < most {
			if r.KEV != nil && *r.KEV {
				why = append(why, "known to be exploited")
			}
			if d := r.Deadline; d != nil && !d.Due.IsZero() {
				why = append(why, "due "+d.Due.UTC().Format("2 Jan 2006"))
			}
		}
		if len(why) > 0 {
			names[i] += " (" + strings.Join(why, ", ") + ")"
		}
	}
	return phrase.Few(names, most)
}

// issues tells the known issues of what the next cycle would install that were not told,
// and notes them as told.
func (a Ahead) issues(gets map[patching.AdvisoryID]int, next Told, first bool, now time.Time) (all []Notice) {
	for _, id := range slices.Sorted(maps.Keys(gets)) {
		about := a.Advisories[id]
		if about == nil || len(about.KnownIssues) == 0 {
			continue
		}
		h, is := next[id], short(about.KnownIssues)
		if h.Issues == is || len(all) == mostIssues && !first {
			continue
		}
		h.Issues = is
		next[id] = h
		if first {
			continue
		}
		words := fmt.Sprintf("%s would get it: %s", phrase.Count(gets[id], "machine"), about.KnownIssues[0])
		if more := len(about.KnownIssues) - 1; more > 0 {
			words = fmt.Sprintf("%s would get it, %s: %s", phrase.Count(gets[id], "machine"), phrase.Count(more+1, "issue"), about.KnownIssues[0])
		}
		all = append(all, Notice{
			ID: ID(fmt.Sprintf("%s/%s/%s/%s", KnownIssue, a.Policy, id, is)), Kind: KnownIssue, Severity: Important,
			Policy: a.Policy, Subject: string(id), Words: words, At: now,
		})
	}
	return all
}

// short addresses a list of names.
func short[T ~string](names []T) string {
	var b strings.Builder
	for _, n := range names {
		fmt.Fprintf(&b, "%q\n", n)
	}
	return patching.DigestOf([]byte(b.String())).Short()
}

// Standing returns what holds: emergencies that are proposed, and support that ends.
func (a Ahead) Standing() []Notice { return append(a.proposed(), a.ends()...) }

// proposed tells of each advisory that cannot wait once, as long as it cannot.
func (a Ahead) proposed() (all []Notice) {
	if a.Remediation.Proposes() == "" {
		return nil
	}
	for _, r := range a.Remediation.Remedies {
		if r.Late == 0 {
			continue
		}
		due := "at once"
		if r.Deadline != nil && !r.Deadline.Due.IsZero() {
			due = phrase.Moment(r.Deadline.Due)
		}
		all = append(all, Notice{
			ID: ID(fmt.Sprintf("%s/%s/%s", EmergencyProposed, a.Policy, r.Advisory)), Kind: EmergencyProposed, Severity: Urgent,
			Policy: a.Policy, Owner: a.Owner, Subject: string(r.Advisory), At: a.Remediation.AsOf,
			Words: fmt.Sprintf("due %s; the cycle of %s is too late for %s. See: patchcycle urgency due %s",
				due, a.Next.UTC().Format("2 Jan 2006"), phrase.Count(r.Late, "machine"), a.Policy),
		})
	}
	return all
}

// mostEnds is how many ends of support are told with their owners. Where there are more,
// those of all owners are told together.
const mostEnds = 200

type endKey struct {
	feed, product, release, owner string
	ended                         bool
}

func (a Ahead) ends() []Notice {
	machines, of := map[endKey]int{}, map[endKey]assess.EndOfLife{}
	count := func(by func(Alike) string) {
		for _, l := range a.Alike {
			for _, e := range l.Ends {
				key := endKey{e.Feed, e.Product, e.Release, by(l), e.Ended}
				machines[key] += l.Machines
				of[key] = e
			}
		}
	}
	count(func(l Alike) string { return l.Owner })
	if len(machines) > mostEnds {
		clear(machines)
		clear(of)
		count(func(Alike) string { return "" })
	}
	all := make([]Notice, 0, len(machines))
	for key, n := range machines {
		all = append(all, a.end(key, of[key], n))
	}
	slices.SortFunc(all, func(x, y Notice) int { return strings.Compare(string(x.ID), string(y.ID)) })
	return all
}

func (a Ahead) end(key endKey, e assess.EndOfLife, machines int) Notice {
	n := Notice{
		ID:   ID(fmt.Sprintf("%s/%s/%s/%s/%s/%t/%s", SupportEnds, a.Policy, e.Feed, e.Product, e.Release, e.Ended, key.owner)),
		Kind: SupportEnds, Severity: Routine, Policy: a.Policy, Owner: key.owner,
		Subject: e.Product + " " + e.Release, At: a.Remediation.AsOf,
	}
	words := "support for all ends"
	if e.Ended {
		words, n.Severity = "support for all has ended", Important
	}
	n.Words = phrase.Count(machines, "machine")
	if key.owner != "" {
		n.Words += " of " + key.owner
	}
	n.Words += ": " + words
	if e.Ends != nil {
		n.Words += " on " + e.Ends.UTC().Format("2 Jan 2006")
	}
	if e.Extended != nil && e.Extended.After(a.Remediation.AsOf) {
		n.Words += ", for those who pay on " + e.Extended.UTC().Format("2 Jan 2006")
	}
	return n
}
