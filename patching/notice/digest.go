package notice

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// DigestID names one message for ever, however often it is sent.
type DigestID string

// Digest is a message to one recipient: notices by kind and site, as many by name as
// fit. Every notice that it is about is counted once: in its group, or as Unlisted.
type Digest struct {
	ID        DigestID  `json:"id"`
	Fleet     string    `json:"fleet"`
	Recipient string    `json:"recipient"`
	Lane      Lane      `json:"lane"`
	Made      time.Time `json:"made"`
	// Upto is the newest notice on record that it took into account.
	Upto  int64 `json:"upto"`
	Total int   `json:"total"`
	// Groups are the most severe first.
	Groups []Group `json:"groups"`
	// Unlisted counts what belongs to groups that did not fit.
	Unlisted int `json:"unlisted,omitempty"`
}

// Group has the notices of one kind at one site.
type Group struct {
	Kind     Kind              `json:"kind"`
	Site     patching.SiteName `json:"site,omitempty"`
	Severity Severity          `json:"severity"`
	Total    int               `json:"total"`
	// Lines are the notices that are named, the most severe and oldest first.
	Lines []Entry `json:"lines,omitempty"`
}

// Entry is one notice within a group, printable.
type Entry struct {
	Severity Severity  `json:"severity"`
	Subject  string    `json:"subject,omitempty"`
	Words    string    `json:"words"`
	At       time.Time `json:"at"`
}

// Composer makes one message of notices that are handed to it one by one: a flood
// takes no more memory than what fits into the message.
type Composer struct {
	to     Recipient
	lane   Lane
	after  int64
	upto   int64
	oldest time.Time
	groups map[groupKey]*group
}

type groupKey struct {
	kind Kind
	site patching.SiteName
}

type group struct {
	total int
	named []Notice // sorted, at most as many as the message has lines
}

// Compose begins a message of the lane about what came on record after a number.
func Compose(to Recipient, lane Lane, after int64) *Composer {
	return &Composer{to: to, lane: lane, after: after, upto: after, groups: map[groupKey]*group{}}
}

// Add takes a notice into account. The order does not matter.
func (c *Composer) Add(q Queued) {
	if q.Seq <= c.after {
		return
	}
	c.upto = max(c.upto, q.Seq)
	if q.Lane() != c.lane || !q.Over.IsZero() || c.lane != Tests && !c.to.Concerned(q.Notice) {
		return
	}
	if c.oldest.IsZero() || q.Recorded.Before(c.oldest) {
		c.oldest = q.Recorded
	}
	key := groupKey{q.Kind, q.Site}
	g := c.groups[key]
	if g == nil {
		g = &group{}
		c.groups[key] = g
	}
	g.total++
	at, _ := slices.BinarySearchFunc(g.named, q.Notice, bySeverity)
	if at < c.to.Lines {
		g.named = slices.Insert(g.named, at, q.Notice)
		g.named = g.named[:min(len(g.named), c.to.Lines)]
	}
}

// bySeverity orders notices of a group: the most severe first, then the oldest.
func bySeverity(a, b Notice) int {
	return cmp.Or(cmp.Compare(a.Severity.rank(), b.Severity.rank()), a.At.Compare(b.At),
		strings.Compare(a.Subject, b.Subject), strings.Compare(string(a.ID), string(b.ID)))
}

// Upto returns the newest notice that was looked at.
func (c *Composer) Upto() int64 { return c.upto }

// Oldest returns when the oldest notice of the message was put on record; zero: there
// is nothing to tell.
func (c *Composer) Oldest() time.Time { return c.oldest }

// Digest returns the message.
func (c *Composer) Digest(fleet string, made time.Time) Digest {
	d := Digest{Fleet: fleet, Recipient: c.to.Name, Lane: c.lane, Made: made, Upto: c.upto}
	d.ID = DigestID("n-" + strings.TrimPrefix(string(patching.DigestOf(fmt.Appendf(nil, "notice v1\n%q\n%q\n%q\n%d\n%d",
		fleet, c.to.Name, c.lane, c.upto, made.UnixMicro()))), "sha256:")[:32])
	var named [][]Notice
	for _, key := range c.order() {
		g := c.groups[key]
		d.Total += g.total
		if len(d.Groups) == c.to.Lines {
			d.Unlisted += g.total
			continue
		}
		d.Groups = append(d.Groups, Group{Kind: key.kind, Site: key.site, Severity: g.named[0].Severity, Total: g.total})
		named = append(named, g.named)
	}
	// A line to each in turn: a flood of one kind leaves room for the others.
	left := c.to.Lines
	for row, more := 0, true; more && left > 0; row++ {
		more = false
		for i := range d.Groups {
			if row < len(named[i]) && left > 0 {
				d.Groups[i].Lines = append(d.Groups[i].Lines, entry(named[i][row]))
				left, more = left-1, true
			}
		}
	}
	return d
}

func (c *Composer) order() []groupKey {
	keys := make([]groupKey, 0, len(c.groups))
	for key := range c.groups {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b groupKey) int {
		return cmp.Or(cmp.Compare(c.groups[a].named[0].Severity.rank(), c.groups[b].named[0].Severity.rank()),
			cmp.Compare(kinds[a.kind].order, kinds[b.kind].order), strings.Compare(string(a.site), string(b.site)))
	})
	return keys
}

func entry(n Notice) Entry {
	return Entry{Severity: n.Severity, Subject: Line(n.Subject), Words: Line(n.Words), At: n.At}
}

// Subject is the message's in one line that is safe in a header: what it is about, in
// counts.
func (d Digest) Subject() string {
	counts := map[Kind]int{}
	var order []Kind
	for _, g := range d.Groups {
		if counts[g.Kind] == 0 {
			order = append(order, g.Kind)
		}
		counts[g.Kind] += g.Total
	}
	words := make([]string, len(order))
	for i, k := range order {
		words[i] = phrase.Count(counts[k], kinds[k].one, kinds[k].many)
	}
	const most = 3
	subject := "[" + d.Fleet + "] "
	if d.Lane == Alerts {
		subject += "URGENT: "
	}
	return Line(subject + phrase.Few(words, most))
}

// Text is the message as people read it, in plain text with lines that end in "\n".
func (d Digest) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of the installation %s, %s.\n", phrase.Count(d.Total, "notice"), Line(d.Fleet), phrase.Moment(d.Made))
	for _, g := range d.Groups {
		where := ""
		if g.Site != "" {
			where = " at " + Line(string(g.Site))
		}
		fmt.Fprintf(&b, "\n%s%s: %d\n", g.Kind.Heading(), where, g.Total)
		for _, l := range g.Lines {
			mark, subject := "-", ""
			if l.Severity == Urgent {
				mark = "!"
			}
			if l.Subject != "" {
				subject = l.Subject + ": "
			}
			fmt.Fprintf(&b, "%s %s%s\n", mark, subject, l.Words)
		}
		if more := g.Total - len(g.Lines); more > 0 {
			fmt.Fprintf(&b, "  and %d more\n", more)
		}
	}
	if d.Unlisted > 0 {
		fmt.Fprintf(&b, "\n%s of other kinds or sites did not fit.\n", phrase.Count(d.Unlisted, "notice"))
	}
	fmt.Fprintf(&b, "\nYou get this as recipient %s. Who is told what stands in the server's notify.yaml.\n", Line(d.Recipient))
	return b.String()
}
