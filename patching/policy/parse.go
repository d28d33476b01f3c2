package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/window"
)

// Parse reads a policy; name is the file's, for messages. It finds as many
// problems as it can at once: its error is a [*Problems] if one of them is an
// error, and a policy with nothing but warnings is usable (see
// [Policy.Warnings]).
//
// What depends on more than the text is asked for separately: [CheckDates] with
// the time, [Check] with the machines.
func Parse(name string, text []byte) (*Policy, error) { return parse(name, text, false) }

// Adopted reads a policy that is in force or was, such as the version that a
// cycle runs under (G3). What has come to be refused since it was adopted is a
// warning: a release must not take the rules away from under a running cycle.
func Adopted(name string, text []byte) (*Policy, error) { return parse(name, text, true) }

func parse(name string, text []byte, adopted bool) (*Policy, error) {
	s := newSource(name, bytes.TrimPrefix(text, []byte("\uFEFF")))
	var p *Policy
	if root := s.read([]byte(strings.Join(s.lines, "\n"))); root != nil {
		if doc, ok := s.decode(root); ok {
			p = s.resolve(doc)
			s.adopted = adopted
			s.check(p)
		}
	}
	problems := s.found()
	if HasErrors(problems) {
		return nil, &Problems{problems}
	}
	p.text, p.source, p.warnings = slices.Clone(text), s, problems
	return p, nil
}

// resolve turns what was written into what is meant.
func (s *source) resolve(doc document) *Policy {
	c := s.calendar(doc.Calendar)
	loc, err := window.Zone(c.Zone)
	if err != nil {
		loc = time.UTC
	}
	p := &Policy{
		Name: patching.PolicyName(doc.Policy), Title: doc.Title, Owner: doc.Owner, Approver: doc.Approver,
		ValidFrom: s.date("valid_from", doc.ValidFrom, loc), ReviewBy: s.date("review_by", doc.ReviewBy, loc),
		Select: string(doc.Select), Calendar: c,
		CloseAfter: s.duration("close_after", doc.CloseAfter, time.Minute),
		Patches:    s.patches(doc.Patches, loc),
		Urgency:    s.urgency(doc.Urgency),
		OnHalt:     doc.OnHalt,
		OnFailure:  doc.OnFailure,
		Silence:    s.duration("silence", doc.Silence, time.Second),
		Fresh:      s.duration("fresh", doc.Fresh, time.Minute),
		Approval: Approval{
			Quorum:       doc.Approval.Quorum,
			Remind:       s.duration("approval.remind", doc.Approval.Remind, time.Second),
			Escalate:     s.duration("approval.escalate", doc.Approval.Escalate, time.Second),
			Expire:       s.duration("approval.expire", doc.Approval.Expire, time.Second),
			TrustSignals: doc.Approval.TrustSignals,
		},
		Backup: Backup{
			Require: doc.Backup.Require, Select: string(doc.Backup.Select),
			Within: s.duration("backup.verified_within", doc.Backup.VerifiedWithin, time.Minute),
		},
		Emergency: EmergencyProfile{
			Soak:       s.duration("emergency.soak", doc.Emergency.Soak, 0),
			CloseAfter: s.duration("emergency.close_after", doc.Emergency.CloseAfter, time.Minute),
			Quorum:     doc.Emergency.Quorum,
			Expire:     s.duration("emergency.expire", doc.Emergency.Expire, time.Second),
			AnyWindow:  doc.Emergency.AnyWindow,
		},
	}
	for i, site := range doc.Sites {
		s.zone(fmt.Sprintf("sites[%d].zone", i), site.Zone)
		p.Sites = append(p.Sites, Site{Name: patching.SiteName(site.Name), Zone: site.Zone, Windows: site.Windows})
	}
	for i, w := range doc.Windows {
		p.Windows = append(p.Windows, Window{Name: string(w.Name), Rule: s.rule(fmt.Sprintf("windows[%d].rule", i), w.Rule)})
	}
	for i, f := range doc.Freezes {
		path := fmt.Sprintf("freezes[%d]", i)
		p.Freezes = append(p.Freezes, Freeze{
			Name: f.Name, Reason: f.Reason, MayPass: f.MayPass,
			From: s.moment(path+".from", f.From, loc), Until: s.moment(path+".until", f.Until, loc),
		})
	}
	for i, r := range doc.Rings {
		p.Rings = append(p.Rings, Ring{
			Name: patching.RingName(r.Name), Select: string(r.Select), Count: r.Count, Percent: r.Percent,
			Batch: r.Batch, Parallel: r.Parallel, Approve: r.Approve, Gate: r.Gate.params(),
			Soak: s.duration(fmt.Sprintf("rings[%d].soak", i), r.Soak, 0),
		})
	}
	for i, e := range doc.Exclude {
		p.Exclude = append(p.Exclude, Exclusion{
			Select: string(e.Select), Reason: e.Reason, Owner: e.Owner,
			Until: s.date(fmt.Sprintf("exclude[%d].until", i), e.Until, loc),
		})
	}
	p.derive(s.written)
	return p
}

func (s *source) calendar(doc calendarDoc) Calendar {
	c := Calendar{Nth: doc.Nth, Plus: doc.Plus, At: string(doc.At), Zone: doc.Zone}
	c.Weekday, _ = window.ParseWeekday(doc.Weekday) // one of the choices
	s.zone("calendar.zone", doc.Zone)
	if _, _, err := window.ParseClock(c.At); err != nil {
		s.fail("calendar.at", fmt.Sprintf("%q is not a time of day", short(c.At)), "write '09:00': two digits, a colon and two digits, in quotes")
	}
	if most := 28 - 7*c.Nth; c.Plus > max(0, most) {
		s.fail("calendar.plus", fmt.Sprintf("%d days after it are in some months a day of the next", c.Plus), fmt.Sprintf("write %d at most, or take an earlier week", max(0, most)))
	}
	return c
}

func (s *source) patches(doc patchesDoc, loc *time.Location) Patches {
	p := Patches{Take: doc.Take, Alone: doc.Alone, Reboot: doc.Reboot}
	for i, h := range doc.Hold {
		p.Hold = append(p.Hold, Hold{
			Package: h.Package, Reason: h.Reason, Owner: h.Owner,
			Until: s.date(fmt.Sprintf("patches.hold[%d].until", i), h.Until, loc),
		})
	}
	return p
}

// shippedRegimes are the ids of the tables that come along; a server may have others.
var shippedRegimes = []string{"cisa-bod-26-04", "cyber-essentials", "essential-eight", "essential-eight-ml3", "pci-dss", "ssvc-deployer"}

func (s *source) urgency(doc urgencyDoc) Urgency {
	for i, id := range doc.Regimes {
		path := fmt.Sprintf("urgency.regimes[%d]", i)
		switch {
		case slices.Contains(doc.Regimes[:i], id):
			s.fail(path, fmt.Sprintf("%q is written twice", short(id)), "remove one of the two")
		case !slices.Contains(shippedRegimes, id):
			s.warn(path, fmt.Sprintf("%q is none of the tables that come along", short(id)),
				"write one of "+strings.Join(shippedRegimes, ", ")+", or make sure that the server has your own table of that id")
		}
	}
	return Urgency(doc)
}

// zone checks a name; a missing one was already told.
func (s *source) zone(path, name string) {
	if name == "" {
		return
	}
	if _, err := window.Zone(name); err != nil {
		s.fail(path, fmt.Sprintf("%q is not a zone", short(name)), "write an IANA name such as Europe/Amsterdam, America/New_York or UTC")
	}
}

func (g gateDoc) params() gate.Params {
	return gate.Params{
		Answered: g.Answered, Same: g.Same, BadCount: g.BadCount, BadPercent: g.BadPercent,
		MinAnswered: g.MinAnswered, HostHours: g.HostHours, Unreachable: g.Unreachable,
	}
}

// rule returns the canonical spelling of a window's rule.
func (s *source) rule(path, text string) string {
	if text == "" {
		return ""
	}
	r, err := window.Parse(text)
	if err == nil {
		return r.String()
	}
	at := s.at(path)
	what, way := err.Error(), "see docs/policy.md"
	if wrong, ok := asSyntaxError(err); ok {
		what, way = wrong.What, wrong.Way
		here := s.inside(at, len([]rune(text[:wrong.Offset])))
		here.text, here.width = at.text, max(1, len([]rune(text[wrong.Offset:wrong.Offset+wrong.Length])))
		at = here
	}
	s.add(Error, at, path, what, way)
	return ""
}

func (s *source) duration(path string, d duration, least time.Duration) time.Duration {
	if d == "" {
		return 0
	}
	got, err := window.ParseDuration(string(d))
	switch {
	case err != nil:
		s.fail(path, fmt.Sprintf("%q is not a duration", short(string(d))), "write 3d, 4h, 30m, 45s or 1h30m")
	case got < least:
		s.fail(path, fmt.Sprintf("%s is too short", d), fmt.Sprintf("write %s or more", window.FormatDuration(least)))
	}
	return got
}

func (s *source) date(path string, d date, loc *time.Location) time.Time {
	return s.instant(path, string(d), loc, "write a date such as 2026-12-31", time.DateOnly)
}

func (s *source) moment(path string, m moment, loc *time.Location) time.Time {
	return s.instant(path, string(m), loc, "write 2026-12-24, or 2026-12-24 18:00", time.DateOnly, "2006-01-02 15:04")
}

// instant reads a local time as windows do: one that the clocks jump over
// becomes the first instant after it.
func (s *source) instant(path, text string, loc *time.Location, way string, layouts ...string) time.Time {
	if text == "" {
		return time.Time{}
	}
	for _, layout := range layouts {
		shown, err := time.Parse(layout, text)
		if err == nil && shown.Year() >= 1970 && shown.Year() < 3000 {
			return window.Local(shown, loc)
		}
	}
	s.fail(path, fmt.Sprintf("%q is not a date", short(text)), way)
	return time.Time{}
}
