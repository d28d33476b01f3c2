package notice

import (
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Lane is how soon a message goes out.
type Lane string

// The lanes. Each has its own place in the record of notices: what is urgent
// overtakes what is not.
const (
	// Digests collects what can wait, and keeps to the quiet hours.
	Digests Lane = "digest"
	// Alerts has what is urgent, at any hour.
	Alerts Lane = "alert"
	// Tests are asked for by people.
	Tests Lane = "test"
)

// Lane returns the lane of a notice.
func (n Notice) Lane() Lane {
	switch {
	case n.Kind == Test:
		return Tests
	case n.Severity == Urgent:
		return Alerts
	default:
		return Digests
	}
}

// Recipient is one address and what it is told.
type Recipient struct {
	Name string
	// Roles are those whose notices it gets. Sites and Policies narrow these to what
	// is about them or about none in particular; empty: all.
	Roles    []patching.Role
	Sites    []patching.SiteName
	Policies []patching.PolicyName
	// Owners are whose machines it hears of whatever its roles and sites.
	Owners []string
	// Kinds narrows all of it; empty: all.
	Kinds []Kind
	// Every is the least time between two digests, AlertEvery between two alerts.
	Every, AlertEvery time.Duration
	// Quiet are the hours without digests.
	Quiet Quiet
	// Lines is how many notices a message names; the others are counted.
	Lines int
}

// Defaults of a recipient.
const (
	DefaultEvery      = 4 * time.Hour
	DefaultAlertEvery = 15 * time.Minute
	DefaultLines      = 40
)

// settle is how long a digest waits after its oldest notice was put on record, so
// that what is noticed together is told together.
const settle = 5 * time.Minute

// Concerned reports whether the recipient is to hear of a notice.
func (r Recipient) Concerned(n Notice) bool {
	if len(r.Kinds) > 0 && !slices.Contains(r.Kinds, n.Kind) {
		return false
	}
	if n.Owner != "" && slices.Contains(r.Owners, n.Owner) {
		return true
	}
	return slices.ContainsFunc(n.Kind.Tells(), func(role patching.Role) bool { return slices.Contains(r.Roles, role) }) &&
		within(r.Sites, n.Site) && within(r.Policies, n.Policy)
}

// within reports whether what is about one, or about none, is within a limit to some.
func within[T ~string](some []T, one T) bool {
	return len(some) == 0 || one == "" || slices.Contains(some, one)
}

// As returns the recipient with the roles and the scope of an account. One that was
// revoked has none, and hears of nothing.
func (r Recipient) As(a patching.Account) Recipient {
	r.Roles, r.Sites, r.Policies = nil, nil, nil
	if !a.Revoked.IsZero() || len(a.Scopes) == 0 {
		r.Owners = nil
		return r
	}
	r.Roles = a.Roles
	if slices.Contains(a.Scopes, "*") {
		return r
	}
	r.Sites, r.Policies = scoped[patching.SiteName](a, "site:"), scoped[patching.PolicyName](a, "policy:")
	return r
}

func scoped[T ~string](a patching.Account, prefix string) []T {
	var out []T
	for _, s := range a.Scopes {
		if len(s) > len(prefix) && s[:len(prefix)] == prefix {
			out = append(out, T(s[len(prefix):]))
		}
	}
	return out
}

// Next returns when the recipient may next get a message of the lane; it may now if
// that is not after now. last is when it got the last one (zero: never), oldest when
// the oldest of its notices was put on record.
func (r Recipient) Next(lane Lane, last, oldest, now time.Time) time.Time {
	if lane != Digests {
		return latest(now, last.Add(r.AlertEvery))
	}
	return r.Quiet.After(latest(now, last.Add(r.Every), oldest.Add(settle)))
}

func latest(at ...time.Time) time.Time { return slices.MaxFunc(at, time.Time.Compare) }

// Quiet are hours of the day, such as from 20:00 to 07:00 in one zone. The zero value
// is none.
type Quiet struct {
	// From and Until are minutes after midnight; equal: there are none. Until may be
	// before From: the hours then go over midnight.
	From, Until int
	Zone        *time.Location
}

// After returns at, or the end of the quiet hours that it falls into.
func (q Quiet) After(at time.Time) time.Time {
	if q.From == q.Until || q.Zone == nil {
		return at
	}
	here := at.In(q.Zone)
	minute := here.Hour()*60 + here.Minute()
	quiet := minute >= q.From && minute < q.Until
	if q.From > q.Until {
		quiet = minute >= q.From || minute < q.Until
	}
	if !quiet {
		return at
	}
	day := here.Day()
	if minute >= q.Until { // they end tomorrow
		day++
	}
	return time.Date(here.Year(), here.Month(), day, 0, q.Until, 0, 0, q.Zone)
}
