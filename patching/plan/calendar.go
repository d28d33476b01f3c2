package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/window"
)

// enough is how much of an open window has to be left for a machine to begin
// in it: nothing disruptive starts that cannot end inside (G3).
const enough = 30 * time.Minute

// anyWindow is what an emergency uses that need not wait for a window.
var anyWindow = policy.Window{Name: "any-time", Rule: "always"}

// slot is a time at which machines of one place may be patched.
type slot struct {
	window string
	signed string
	window.Occurrence
	least time.Duration
}

// usable reports whether a machine can still begin in the slot at that time.
func (s slot) usable(at time.Time) bool { return s.Left(at) > 0 && s.Left(at) >= s.least }

// place is where a wall clock hangs: a site, or a machine with a zone of its own.
type place struct {
	site patching.SiteName
	zone string
}

// calendar knows the slots of every place between now and the closing date.
type calendar struct {
	now, until time.Time
	sites      map[patching.SiteName]policy.Site
	rules      map[string]window.Rule
	freezes    []policy.Freeze
	least      time.Duration
	anyTime    bool
	places     map[place]openings
}

// openings are a place's slots by start, or why there are none.
type openings struct {
	slots []slot
	none  Leave
}

func newCalendar(in Input) (*calendar, error) {
	c := &calendar{
		now: in.Now, until: in.CloseBy, least: enough,
		sites: map[patching.SiteName]policy.Site{}, rules: map[string]window.Rule{}, places: map[place]openings{},
		anyTime: in.Kind == patching.Emergency && in.Policy.Emergency.AnyWindow,
	}
	if s := in.Policy.Silence; s > 0 {
		c.least = min(c.least, s)
	}
	for _, w := range append(slices.Clone(in.Policy.Windows), anyWindow) {
		r, err := window.Parse(w.Rule)
		if err != nil {
			return nil, fmt.Errorf("window %s: %w", w.Name, err)
		}
		c.rules[w.Name] = r
	}
	for _, s := range in.Policy.Sites {
		if _, err := window.Zone(s.Zone); err != nil {
			return nil, fmt.Errorf("site %s: %w", s.Name, err)
		}
		for _, w := range s.Windows {
			if _, ok := c.rules[w]; !ok {
				return nil, fmt.Errorf("site %s: there is no window %q", s.Name, w)
			}
		}
		c.sites[s.Name] = s
	}
	for _, f := range in.Policy.Freezes {
		if !mayPass(in, f) {
			c.freezes = append(c.freezes, f)
		}
	}
	return c, nil
}

// mayPass reports whether the cycle's author is named as one who may pass the
// freeze. Only an emergency ever passes one.
func mayPass(in Input, f policy.Freeze) bool {
	return in.Kind == patching.Emergency && slices.ContainsFunc(f.MayPass, func(who string) bool {
		return who == string(in.Author) || slices.Contains(in.Roles, patching.Role(who))
	})
}

// at returns when the asset can be patched.
func (c *calendar) at(a *patching.Asset) openings {
	p := place{siteOf(a), a.Zone}
	o, known := c.places[p]
	if !known {
		o = c.openings(p)
		c.places[p] = o
	}
	return o
}

func (c *calendar) openings(p place) openings {
	site, known := c.sites[p.site]
	if !known && !c.anyTime {
		return openings{none: Leave{patching.ReasonNoWindow, "the policy does not name the site " + string(p.site)}}
	}
	// What a machine says of its zone may be anything; the site's was checked.
	loc, err := window.Zone(p.zone)
	if err != nil {
		loc, err = window.Zone(cmp.Or(site.Zone, "UTC"))
	}
	if err != nil {
		return openings{none: Leave{patching.ReasonNoWindow, err.Error()}}
	}
	names := site.Windows
	if c.anyTime {
		names = []string{anyWindow.Name}
	}
	if slots := c.allSlots(names, loc, c.freezes); len(slots) > 0 {
		return openings{slots: slots}
	}
	if len(c.allSlots(names, loc, nil)) > 0 {
		return openings{none: Leave{patching.ReasonFreeze, c.freezeWords()}}
	}
	if len(names) == 0 {
		return openings{none: Leave{patching.ReasonNoWindow, "the policy gives the site " + string(p.site) + " none"}}
	}
	return openings{none: Leave{patching.ReasonNoWindow, strings.Join(names, ", ") + " before " + phrase.Moment(c.until)}}
}

func (c *calendar) allSlots(names []string, loc *time.Location, freezes []policy.Freeze) []slot {
	var all []slot
	for _, name := range names {
		all = append(all, c.slots(name, c.rules[name], loc, freezes)...)
	}
	slices.SortStableFunc(all, func(a, b slot) int { return cmp.Or(a.Start.Compare(b.Start), b.End.Compare(a.End)) })
	return all
}

// slots returns the usable times of one window in one place.
func (c *calendar) slots(name string, rule window.Rule, loc *time.Location, freezes []policy.Freeze) []slot {
	closed := make([]window.Freeze, len(freezes))
	for i, f := range freezes {
		closed[i] = window.Freeze{From: f.From, Until: f.Until}
	}
	least := c.least
	if !rule.Always() {
		least = min(least, rule.Length()/2)
	}
	var all []slot
	for _, o := range window.Plan(rule, loc, c.now, c.until, closed) {
		if s := (slot{name, rule.Signed(loc), o, least}); s.usable(c.now) {
			all = append(all, s)
		}
	}
	return all
}

func (c *calendar) freezeWords() string {
	var words []string
	for _, f := range c.freezes {
		if f.From.Before(c.until) && c.now.Before(f.Until) {
			words = append(words, fmt.Sprintf("%s (%s) until %s", f.Name, f.Reason, phrase.Moment(f.Until)))
		}
	}
	return strings.Join(words, "; ")
}
