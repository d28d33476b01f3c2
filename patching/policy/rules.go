package policy

import (
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/window"
)

// check looks at how the parts of a policy go together. It runs on policies
// with errors too: what could not be read is zero, and is passed over.
func (s *source) check(p *Policy) {
	s.checkNames(p)
	s.checkSites(p)
	s.checkRings(p)
	s.checkGates(p)
	s.checkApproval(p)
	s.checkFreezes(p)
	s.checkPatterns(p)
	s.checkSelectors(p)
	s.checkTimes(p)
	if !s.failed() {
		s.checkOpenings(p)
	}
}

func (s *source) checkNames(p *Policy) {
	s.unique("sites", "site", len(p.Sites), func(i int) string { return string(p.Sites[i].Name) })
	s.unique("windows", "window", len(p.Windows), func(i int) string { return p.Windows[i].Name })
	s.unique("freezes", "freeze", len(p.Freezes), func(i int) string { return p.Freezes[i].Name })
	s.unique("rings", "ring", len(p.Rings), func(i int) string { return string(p.Rings[i].Name) })
}

func (s *source) unique(list, what string, n int, name func(int) string) {
	first := map[string]string{}
	for i := range n {
		path := fmt.Sprintf("%s[%d].name", list, i)
		switch earlier, twice := first[name(i)]; {
		case name(i) == "":
		case twice:
			s.fail(path, fmt.Sprintf("there are two %ss named %q, the first on line %d", what, short(name(i)), s.at(earlier).line), "rename or remove one of them")
		default:
			first[name(i)] = path
		}
	}
}

func (s *source) checkSites(p *Policy) {
	var names []string
	for _, w := range p.Windows {
		names = append(names, w.Name)
	}
	used := map[string]bool{}
	for i, site := range p.Sites {
		for j, w := range site.Windows {
			path := fmt.Sprintf("sites[%d].windows[%d]", i, j)
			switch {
			case w == "":
			case slices.Contains(site.Windows[:j], w):
				s.fail(path, fmt.Sprintf("%q is named twice", short(w)), "name each window once")
			case !slices.Contains(names, w):
				way := "the windows are " + either(names)
				if best := nearest(w, names); best != "" {
					way = "write " + best
				}
				s.fail(path, fmt.Sprintf("there is no window %q", short(w)), way)
			}
			used[w] = true
		}
	}
	for i, w := range p.Windows {
		if w.Name != "" && !used[w.Name] {
			s.warn(fmt.Sprintf("windows[%d].name", i), fmt.Sprintf("no site uses the window %q", w.Name), "name it under windows of a site, or remove it")
		}
	}
}

func (s *source) checkRings(p *Policy) {
	if len(p.Rings) == 0 {
		return
	}
	if at := slices.IndexFunc(p.Rings, func(r Ring) bool { return r.Name == TestRing }); at > 0 {
		s.fail(fmt.Sprintf("rings[%d].name", at), "the ring test is not the first", "move it before the others: nothing is deployed that was not tested")
	} else if at < 0 && p.Rings[0].Name != "" {
		s.fail("rings[0].name", fmt.Sprintf("the first ring is %q, not test", p.Rings[0].Name), "name the first ring test, and let it take a handful of machines that mirror the others")
	}
	if len(p.Rings) == 1 {
		s.fail("rings[0]", "there is no ring after the first", "add a ring for the machines that are patched once the test is approved")
	}
	if p.Rings[0].Approve {
		s.fail("rings[0].approve", "the test ring runs under its pre-approval", "remove the line; the ring after it asks")
	}
	if len(p.Rings) > 1 && s.written("rings[1].approve") && !p.Rings[1].Approve {
		s.fail("rings[1].approve", "the ring after the test ring always asks for an approval", "remove the line")
	}
	for i, r := range p.Rings {
		s.checkShadow(p, i)
		if r.Soak == 0 && i < len(p.Rings)-1 && s.written(fmt.Sprintf("rings[%d].soak", i)) {
			s.warn(fmt.Sprintf("rings[%d].soak", i), "nobody watches this ring before the next one starts", "give it some hours")
		}
	}
	if last := len(p.Rings) - 1; p.Rings[last].limited() {
		key := "count"
		if p.Rings[last].Count == 0 {
			key = "percent"
		}
		s.warn(fmt.Sprintf("rings[%d].%s", last, key), "the last ring is limited: machines beyond the limit are left out", "remove the limit")
	}
}

func (r Ring) limited() bool { return r.Count > 0 || r.Percent > 0 }

// Room returns how many of total machines the ring takes. A share takes one at
// least.
func (r Ring) Room(total int) int {
	n := total
	if r.Count > 0 {
		n = min(n, r.Count)
	}
	if r.Percent > 0 {
		n = min(n, max(1, int(math.Ceil(r.Percent/100*float64(total)))))
	}
	return n
}

// checkShadow finds a ring for which an earlier one leaves nothing, whatever
// the machines are.
func (s *source) checkShadow(p *Policy, i int) {
	for j, earlier := range p.Rings[:i] {
		all := strings.TrimSpace(earlier.Select) == ""
		if !earlier.limited() && !s.limitWritten(j) && (all || earlier.Select == p.Rings[i].Select) {
			s.fail(fmt.Sprintf("rings[%d]", i), fmt.Sprintf("the ring %q never has a machine: the ring %q before it takes them all", p.Rings[i].Name, earlier.Name),
				fmt.Sprintf("give %s a count, a percent or a select", earlier.Name))
			return
		}
	}
}

// limitWritten tells a ring whose limit could not be read from one without.
func (s *source) limitWritten(ring int) bool {
	path := fmt.Sprintf("rings[%d].", ring)
	return s.written(path+"count") || s.written(path+"percent")
}

func (s *source) checkGates(p *Policy) {
	for i, r := range p.Rings {
		path := fmt.Sprintf("rings[%d].gate", i)
		g := r.Gate
		if g.Same == 0 && g.BadCount == 0 && g.BadPercent == 0 {
			s.warn(path, "this gate never halts, whatever fails", "set same, bad_count or bad_percent")
		}
		if r.Count == 0 {
			continue
		}
		for _, limit := range []struct {
			key   string
			value int
			rule  string
		}{{"same", g.Same, "same"}, {"bad_count", g.BadCount, "bad_count"}, {"min_answered", g.MinAnswered, "bad_percent"}} {
			if limit.value > r.Count {
				s.warn(path+"."+limit.key, fmt.Sprintf("%s never holds: the ring has %d machines at most", limit.rule, r.Count), fmt.Sprintf("write %d or less", r.Count))
			}
		}
	}
}

func (s *source) checkApproval(p *Policy) {
	a := p.Approval
	if a.Remind >= a.Escalate && a.Escalate > 0 {
		s.fail("approval.escalate", "people are told no later than approvers are reminded", "escalate after "+window.FormatDuration(a.Remind)+", or remind earlier")
	}
	if a.Escalate >= a.Expire && a.Expire > 0 {
		s.fail("approval.expire", "the request ends before anybody is told", "let it expire after "+window.FormatDuration(a.Escalate)+", or escalate earlier")
	}
	if a.Expire > p.CloseAfter && p.CloseAfter > 0 {
		s.fail("approval.expire", fmt.Sprintf("the request outlives the cycle, which closes after %s", window.FormatDuration(p.CloseAfter)), "write less, or lengthen close_after")
	}
	e := p.Emergency
	if e.Expire > e.CloseAfter && e.CloseAfter > 0 {
		s.fail("emergency.expire", fmt.Sprintf("the request outlives the cycle, which closes after %s", window.FormatDuration(e.CloseAfter)), "write less, or lengthen emergency.close_after")
	}
}

func (s *source) checkFreezes(p *Policy) {
	for i, f := range p.Freezes {
		if !f.From.IsZero() && !f.Until.IsZero() && !f.From.Before(f.Until) {
			s.fail(fmt.Sprintf("freezes[%d].until", i), "the freeze ends before it begins", "write a later date; a freeze ends as its day begins")
		}
	}
}

func (s *source) checkPatterns(p *Policy) {
	check := func(at, pattern string) {
		if _, err := path.Match(pattern, ""); err != nil {
			s.fail(at, fmt.Sprintf("%q is not a shell pattern", short(pattern)), "write a name such as linux-image-*, with *, ? and [a-z]")
		} else if strings.Contains(pattern, "[!") {
			// To a shell that is "none of these", to us it would be one more of them.
			s.fail(at, fmt.Sprintf("%q would match what it means to leave out", short(pattern)), "write [^a-z] for what is not in the brackets")
		}
	}
	for i, h := range p.Patches.Hold {
		check(fmt.Sprintf("patches.hold[%d].package", i), h.Package)
	}
	for i, pattern := range p.Patches.Alone {
		check(fmt.Sprintf("patches.alone[%d]", i), pattern)
	}
}

func (s *source) checkSelectors(p *Policy) {
	sites := []string{string(patching.Roaming)}
	for _, site := range p.Sites {
		sites = append(sites, string(site.Name))
	}
	s.selector("select", p.Select, sites)
	for i, r := range p.Rings {
		s.selector(fmt.Sprintf("rings[%d].select", i), r.Select, sites)
	}
	s.selector("backup.select", p.Backup.Select, sites)
	if !p.Backup.Require && (s.written("backup.select") || s.written("backup.verified_within")) {
		s.warn("backup", "no backup is required, so what is said of backups changes nothing", "write require: true, or remove the group")
	}
	for i, e := range p.Exclude {
		s.selector(fmt.Sprintf("exclude[%d].select", i), e.Select, sites)
	}
}

// selector compiles an expression. A value that a fact never has is a mistake
// in writing, except for sites: machines may stand at one that the policy does
// not serve.
func (s *source) selector(path, text string, sites []string) {
	_, checked, err := compile(text)
	at := s.at(path)
	var wrong *SelectorError
	if errors.As(err, &wrong) {
		here := s.inside(at, wrong.Offset)
		here.text, here.width = at.text, max(1, wrong.Length)
		s.add(Error, here, path, wrong.What, wrong.Way)
		return
	}
	if err != nil {
		s.fail(path, err.Error(), "see docs/policy.md for what a selector can say")
		return
	}
	for _, x := range strangers(text, checked, sites) {
		severity := Error
		if x.fact == "site" {
			severity = Warning
		}
		way := "write " + either(x.words)
		if best := nearest(x.value, x.words); best != "" {
			way = "write " + best
		}
		here := s.inside(at, x.offset)
		here.text, here.width = at.text, len([]rune(x.value))+2
		s.add(severity, here, path, fmt.Sprintf("%s is never %q", x.fact, short(x.value)), way)
	}
}

func (s *source) checkTimes(p *Policy) {
	if !p.ValidFrom.IsZero() && !p.ReviewBy.IsZero() && !p.ValidFrom.Before(p.ReviewBy) {
		s.fail("review_by", "the review is due before the policy is valid", "write a date after "+p.ValidFrom.Format(time.DateOnly))
	}
	var soaks time.Duration
	for _, r := range p.Rings {
		soaks += r.Soak
	}
	if soaks >= p.CloseAfter && p.CloseAfter > 0 {
		s.fail("close_after", fmt.Sprintf("the soaks alone take %s, and the cycle closes after %s", window.FormatDuration(soaks), window.FormatDuration(p.CloseAfter)), "shorten soaks, or close later")
	}
	soaks = time.Duration(len(p.Rings)) * p.Emergency.Soak
	if soaks >= p.Emergency.CloseAfter && p.Emergency.CloseAfter > 0 {
		s.fail("emergency.close_after", fmt.Sprintf("the soaks alone take %s, and the cycle closes after %s", window.FormatDuration(soaks), window.FormatDuration(p.Emergency.CloseAfter)), "shorten emergency.soak, or close later")
	}
}

func asSyntaxError(err error) (*window.SyntaxError, bool) {
	var wrong *window.SyntaxError
	ok := errors.As(err, &wrong)
	return wrong, ok
}
