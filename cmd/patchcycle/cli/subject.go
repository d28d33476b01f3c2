package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// subjectOptions are what a decision is about.
type subjectOptions struct {
	pkg, selects string
	machines     []string
}

func (o *subjectOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.pkg, "package", "", "about a package, or the source package that it is built from")
	f.StringVar(&o.selects, "select", "", "on the machines that a selector takes, as in policies: 'site == \"bern\"' (default: all)")
	f.StringSliceVar(&o.machines, "machine", nil, "on the machines of these hostnames")
}

// about puts together what flags and an argument, an advisory or a CVE, say.
func (o subjectOptions) about(s *session, args []string) (wire.Subject, error) {
	about := wire.Subject{Package: o.pkg, Selector: o.selects}
	if len(args) > 0 {
		// What is a CVE is seen by the server, for other clients too.
		about.Advisory = patching.AdvisoryID(args[0])
	}
	switch {
	case len(o.machines) > 0 && o.selects != "":
		return about, usage(s.cmd, "--machine and --select both say which machines: give one of them")
	case len(o.machines) > 0:
		var names []string
		for _, m := range o.machines {
			names = append(names, fmt.Sprintf("%q", m))
		}
		about.Selector = "hostname in [" + strings.Join(names, ", ") + "]"
	}
	return about, nil
}

// dated reads a date that people type for a flag; the end of that day is meant.
func (s *session) dated(flag, text string) (time.Time, error) {
	at, err := moment(text, s.zone)
	if err != nil {
		return at, usage(s.cmd, "--%s %q: write 2027-01-31 (the end of that day), \"2027-01-31 15:04\", or RFC 3339", flag, text)
	}
	return at, nil
}

// needs asks for the first of some flags that has no value.
func (s *session) needs(flags ...string) error {
	for _, name := range flags {
		if strings.Trim(s.cmd.Flags().Lookup(name).Value.String(), "[] ") == "" {
			return usage(s.cmd, "%s", asks[name])
		}
	}
	return nil
}

// asks are the words by which flags are asked for that a decision cannot do without.
var asks = map[string]string{
	"answer":  "say how it is answered: --answer now, monthly, work-around or accept",
	"reason":  "say why: --reason TEXT",
	"until":   "say until when it holds, at most a year from now: --until 2027-01-31",
	"owner":   "say who answers for it, a person or a role: --owner NAME",
	"what":    "say what is to be done on a machine: --what TEXT",
	"note":    "say how that is known: --note TEXT",
	"machine": "name the machines on which it was seen to work: --machine NAME,NAME",
}

// subjectWords is what a decision is about, for a line of a list.
func subjectWords(about wire.Subject) string {
	return patching.Subject{Advisory: about.Advisory, CVE: about.CVE, Package: about.Package, Selector: about.Selector}.Words()
}

// until prints the day on which something ends and, if that is soon, how soon.
func (s *session) until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	day := t.In(s.zone).Format(time.DateOnly)
	switch left := t.Sub(s.now); {
	case left < 0, left > soon:
		return day
	case left < 48*time.Hour:
		return day + " (soon)"
	default:
		return fmt.Sprintf("%s (in %d days)", day, int(left.Hours()/24))
	}
}

// soon is from when on a list says how many days are left: what ends within a cycle.
const soon = 31 * 24 * time.Hour

// stateWords says how a decision stands, and for one that was ended by whom and why.
func stateWords(t wire.Term) string {
	words := string(t.State)
	if e := t.Ended; e != nil && t.State == patching.TermEnded {
		words += fmt.Sprintf(" by %s: %s", e.By, e.Reason)
	}
	if e := t.Ended; e != nil && t.State == patching.TermRenewed {
		words += " by " + string(e.RenewedBy)
	}
	return words
}
