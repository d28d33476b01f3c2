// Package notice decides what people are told, and who, when and how much of it:
// a digest, not a flood. It knows neither mail nor web: what it composes is a value
// that others send.
package notice

import (
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/patchcycle/patchcycle/patching"
)

// ID names what a notice tells. The same fact, noticed again, has the same id: that
// is how nobody is told twice. Begin it with the kind: "agent-silent/a-1/1764410000".
type ID string

// Severity says how soon people have to know.
type Severity string

// The severities. What is urgent does not wait for the next digest.
const (
	Routine   Severity = "routine"
	Important Severity = "important"
	Urgent    Severity = "urgent"
)

// rank is 0 for what comes first.
func (s Severity) rank() int { return slices.Index([]Severity{Urgent, Important, Routine}, s) }

// Notice is one fact that somebody should hear of.
type Notice struct {
	ID       ID
	Kind     Kind
	Severity Severity
	// Site is where it is so; empty: everywhere. Policy is the one whose cycle it is
	// about; empty: it is about none.
	Site   patching.SiteName
	Policy patching.PolicyName
	// Owner is whose machine, system or exception it is about; empty: nobody's.
	Owner string
	// Subject is the machine, cycle, feed or advisory; Words is a sentence. Both may
	// come from strangers: [Line] makes them printable.
	Subject string
	Words   string
	// At is since when it is so.
	At time.Time
}

// Queued is a notice on record.
type Queued struct {
	Notice
	// Seq grows by each notice that is put on record.
	Seq int64
	// Recorded is when it was. Over is when it was found to hold no longer: those who
	// have not heard of it by then are not told. Zero: it holds, or is an event.
	Recorded, Over time.Time
}

// Found is what a source noticed. Of the kinds in Whole, Notices has all that hold
// now: earlier ones of these that are not among them are over.
type Found struct {
	Notices []Notice
	Whole   []Kind
}

// maxLine is how many letters of one notice people are shown.
const maxLine = 200

// Line makes a text of strangers one printable line of at most 200 letters. Headers
// of mails and lines of digests are made of it: a line break in a machine's name must
// not begin either.
func Line(s string) string {
	if len(s) > 16*maxLine { // what is cut off anyway is not looked at
		s = strings.ToValidUTF8(s[:16*maxLine], "")
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		default:
			return r
		}
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if letters := []rune(s); len(letters) > maxLine {
		s = string(letters[:maxLine-1]) + "…"
	}
	return s
}
