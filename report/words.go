package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/patchcycle/patchcycle/patching"
)

// moment prints an instant with its zone; pages are read in many of them.
func moment(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }

// second prints an instant to the second, for what may follow closely.
func second(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04:05 UTC") }

// lasting prints a duration in words, with its two largest units.
func lasting(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	switch { // what is left out is rounded
	case d >= 24*time.Hour:
		d = d.Round(time.Hour)
	case d >= time.Hour:
		d = d.Round(time.Minute)
	default:
		d = d.Round(time.Second)
	}
	var parts []string
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}, {time.Second, "second"}} {
		if n := d / u.unit; n > 0 && len(parts) < 2 {
			parts = append(parts, plural(int(n), u.name))
			d -= n * u.unit
		}
	}
	if len(parts) == 0 {
		return "less than a second"
	}
	return strings.Join(parts, " ")
}

// number prints an integer with its thousands apart.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural counts things whose plural ends in s.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(n) + " " + what + "s"
}

// percent rounds down, so that 100 % means all; what is there at all is not 0 %.
func percent(part, whole int) string {
	switch {
	case whole <= 0 || part <= 0:
		return "0 %"
	case 100*part < whole:
		return "< 1 %"
	default:
		return fmt.Sprintf("%d %%", 100*part/whole)
	}
}

// share rounds to the nearest, so that a column of them adds up to about 100 %.
// Only all is 100 %, and only nothing is 0 %.
func share(part, whole int) string {
	switch {
	case whole <= 0 || part <= 0:
		return "0 %"
	case part >= whole:
		return "100 %"
	case 200*part < whole:
		return "< 1 %"
	case 200*(whole-part) < whole:
		return "> 99 %"
	default:
		return fmt.Sprintf("%d %%", (200*part+whole)/(2*whole))
	}
}

// list joins names as a sentence does.
func list(names []string) string {
	switch len(names) {
	case 0:
		return ""
	case 1:
		return names[0]
	default:
		return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
	}
}

// few joins at most so many names and counts the others.
func few(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %s more", strings.Join(names[:most], ", "), number(len(names)-most))
}

// sentence makes one of what may be a part of one.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(s)
	s = string(unicode.ToUpper(r)) + s[n:]
	if !strings.ContainsAny(s[len(s)-1:], ".!?…") {
		s += "."
	}
	return s
}

// sentences joins those that are not empty.
func sentences(parts ...string) string {
	var all []string
	for _, p := range parts {
		if p = sentence(p); p != "" {
			all = append(all, p)
		}
	}
	return strings.Join(all, " ")
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// attempt is what somebody tried whose vote does not count.
func attempt(v patching.ApprovalVerdict) string { return strings.ReplaceAll(string(v), "-", " ") }

// verdicts and ways are what people read of a vote.
var (
	verdicts = map[patching.ApprovalVerdict]string{
		patching.Approve: "approved", patching.Reject: "rejected", patching.SendBack: "sent back",
	}
	ways = map[string]string{
		"api":    "through the API",
		"signal": "by a signal to the workflow",
	}
	gateVerbs = map[patching.GateVerb]string{
		patching.Proceed: "go on", patching.Wait: "wait", patching.Halt: "halt",
	}
	actions = map[patching.Action]string{
		patching.Install: "new", patching.Upgrade: "upgrade", patching.Downgrade: "downgrade", patching.Remove: "remove",
	}
)
