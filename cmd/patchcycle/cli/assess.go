package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// AssessOptions say what to assess, and by what.
type AssessOptions struct {
	// Inventory is a file, "-" is Stdin; Feeds a folder.
	Inventory, Feeds string
	Stdin            io.Reader
	// AsOf is the day that is judged, Now today: by it signatures are.
	AsOf, Now time.Time
	// OS is ID:VERSION where the inventory does not tell it, or wrongly.
	OS           string
	Entitlements []string
	// Regimes are the tables to judge by, all if empty; Tables files with tables of one's
	// own.
	Regimes, Tables []string
	// Unknown is how points are treated of which nothing is known.
	Unknown string
}

// Assessment is the document of "assess".
type Assessment struct {
	assess.Sheet
	Feeds []AssessedFeed `json:"feeds"`
	// Unread are files in the folder that are no feeds as far as we can tell, and links,
	// which are not followed.
	Unread []string `json:"unread"`
}

// AssessedFeed is a file of feeds.
type AssessedFeed struct {
	File      string     `json:"file"`
	Feeds     []string   `json:"feeds"`
	Revision  string     `json:"revision,omitempty"`
	Made      *time.Time `json:"made"`
	Documents int        `json:"documents"`
	// Skipped are members of an archive that are none of a feed's documents.
	Skipped int `json:"skipped"`
	Records int `json:"records"`
	// Signed: a signature was checked from its key down to this list; nil: the format has
	// none.
	Signed *bool `json:"signed"`
	// Refused is why nothing of it was used; empty: it was.
	Refused string `json:"refused,omitempty"`
}

type assessFlags struct {
	AssessOptions
	asOf, failOn string
	json         bool
}

func newAssess(e *env) *cobra.Command {
	var o assessFlags
	c := &cobra.Command{
		Use: "assess", Short: "Say what a machine misses and how urgent that is, from files", Args: exactly(0),
		Long: `Say what a machine misses, which advisories that is about, and until when it has to
be patched. Needs no server and no network: the inventory and the feeds are files.

The inventory is recognised by what is in it: a dpkg status file, the output of
dpkg-query -W, rpm -qa, Windows' systeminfo, wmic qfe or Get-HotFix, a CycloneDX or
SPDX bill of materials, or our own JSON (docs/assess.md). Feeds are read as they were
downloaded, packed or not, in subfolders too.

Ends with code 0 whatever is found, 1 only by --fail-on, and 2 if the inventory
or a feed cannot be used: what was refused is named, and counts for nothing.`,
		Example: "patchcycle assess --inventory /var/lib/dpkg/status --feeds feeds\nrpm -qa | patchcycle assess --inventory - --os almalinux:9.4 --feeds feeds --fail-on immediate",
		RunE: func(c *cobra.Command, _ []string) error {
			return o.run(c.Context(), e, c)
		},
	}
	f := c.Flags()
	o.deskFlags(c, &o.asOf)
	f.StringSliceVar(&o.Regimes, "regime", nil, "regimes to judge by [all]")
	f.StringArrayVar(&o.Tables, "table", nil, "file with a decision table of your own, in the place of the shipped one of the same id")
	f.StringVar(&o.Unknown, "unknown", string(urgency.AsWorst), "what counts where nothing is known: worst, best or ask")
	f.StringVar(&o.failOn, "fail-on", "", "end with code 1 if something is as urgent as this: "+lanes())
	jsonFlag(c, &o.json)
	required(c, "inventory", "feeds")
	return c
}

// deskFlags are those of commands that look at a machine by files alone.
func (o *AssessOptions) deskFlags(c *cobra.Command, asOf *string) {
	f := c.Flags()
	f.StringVar(&o.Inventory, "inventory", "", "what is installed, - for standard input")
	f.StringVar(&o.Feeds, "feeds", "", "folder of feeds as downloaded")
	f.StringVar(asOf, "as-of", "", "judge as of this date or time (2026-11-20, 2026-11-20T09:00:00Z) [now]")
	f.StringVar(&o.OS, "os", "", "the system, where the inventory does not name it: ID:VERSION as in /etc/os-release")
	f.StringSliceVar(&o.Entitlements, "entitlement", nil, "what the machine has a right to beside its distribution, such as ubuntu-pro")
}

func lanes() string {
	var all []string
	for _, l := range urgency.Lanes() {
		all = append(all, string(l))
	}
	return strings.Join(all, ", ")
}

func (o assessFlags) run(ctx context.Context, e *env, c *cobra.Command) error {
	switch {
	case o.Inventory == "":
		return usage(c, "say what is installed: --inventory FILE")
	case o.Feeds == "":
		return usage(c, "say where the feeds are: --feeds DIR")
	}
	o.Stdin = c.InOrStdin()
	o.Now = e.Now()
	o.AsOf = o.Now
	if o.asOf != "" {
		var err error
		if o.AsOf, err = dateOrTime(o.asOf); err != nil {
			return usage(c, "--as-of %q: write a date such as 2026-11-20, or a time such as 2026-11-20T09:00:00Z", o.asOf)
		}
	}
	if o.failOn != "" && !slices.Contains(urgency.Lanes(), urgency.Lane(o.failOn)) {
		return usage(c, "--fail-on %q: write one of %s", o.failOn, lanes())
	}
	if !slices.Contains([]urgency.Unknown{urgency.AsWorst, urgency.AsBest, urgency.Ask}, urgency.Unknown(o.Unknown)) {
		return usage(c, "--unknown %q: write worst, best or ask", o.Unknown)
	}
	found, err := e.Assess(ctx, o.AssessOptions)
	if err != nil {
		return err
	}
	s := e.session(c)
	if o.json {
		err = s.json(found)
	} else {
		s.printAssessment(found)
	}
	if err != nil {
		return err
	}
	return o.verdict(found)
}

// verdict is how the command ends.
func (o assessFlags) verdict(a Assessment) error {
	if err := refusedFeeds(a.Feeds); err != nil {
		return err
	}
	switch {
	case o.failOn == "":
		return nil
	case a.Blind:
		return &Failure{Code: ExitFailed, Words: "no advisory can be matched with this machine: nobody knows what is as urgent as that"}
	}
	n := 0
	for _, r := range a.Findings {
		if r.Lane != nil && !r.Lane.Before(urgency.Lane(o.failOn)) {
			n++
		}
	}
	if n > 0 {
		return &Failure{Code: ExitFailed, Words: fmt.Sprintf("%d of %d findings are %s or more urgent", n, len(a.Findings), o.failOn)}
	}
	return nil
}

// refusedFeeds is how a command ends of whose feeds some cannot be used.
func refusedFeeds(feeds []AssessedFeed) error {
	var refused []string
	for _, f := range feeds {
		if f.Refused != "" {
			refused = append(refused, f.Refused)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return Fail(ExitUsage, "Fetch it anew, or take it out of the folder: what it would say is missing from the result.", "feed refused: %s", strings.Join(refused, "; "))
}

// dateOrTime reads a day, as its end, or a time.
func dateOrTime(text string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC(), nil
	}
	t, err := time.Parse(time.DateOnly, text)
	return t.Add(24*time.Hour - time.Second), err
}

// printAssessment shows it for people: what to do first comes first.
func (s *session) printAssessment(a Assessment) {
	s.printSheet(a.Sheet)
	for _, f := range a.Feeds {
		if f.Signed != nil && !*f.Signed {
			s.note("%s is not signed by a key that is here: nobody vouches for it.", f.File)
		}
		if f.Skipped > 0 {
			s.note("%s: %d of its members are no documents of a feed, and were not read.", f.File, f.Skipped)
		}
	}
	if len(a.Unread) > 0 {
		s.note("Not read, as no feed is recognised in it: %s.", strings.Join(a.Unread, ", "))
	}
}

func (s *session) printSheet(a assess.Sheet) {
	if !s.printFindings(a.Findings) {
		s.note("%s", nothing(a.Blind))
	}
	if n := len(a.Aside); n > 0 {
		s.note("Set aside: %d matches that do not count; --json has their reasons.", n)
	}
	for _, e := range a.EndOfLife {
		s.note("%s", endWords(e))
	}
	s.printBlindSpots(a.BlindSpots)
}

func (s *session) printBlindSpots(all []assess.BlindSpot) {
	for _, b := range all {
		s.note("Blind spot: %s. %s", b.Words(), b.Why)
	}
}

// printFindings prints a row for each package; false if there is none.
func (s *session) printFindings(all []assess.SheetRow) bool {
	rows := slices.Clone(all)
	slices.SortStableFunc(rows, byUrgency)
	var lines [][]string
	for _, r := range rows {
		lines = append(lines, []string{laneWord(r.Lane), dueWord(r.Due), r.Package, r.Installed, or(r.Candidate), or(r.Fixed), answer(r.KEV), number(r.EPSS, 2), number(r.CVSS, 1), cveList(r.CVEs)})
	}
	if len(lines) > 0 {
		s.table([]string{"LANE", "DUE", "PACKAGE", "INSTALLED", "OFFERED", "FIXED", "KEV", "EPSS", "CVSS", "CVE"}, lines)
	}
	return len(lines) > 0
}

// nothing is what an empty result means.
func nothing(blind bool) string {
	if blind {
		return "Nothing was found, and nothing could be: no advisory can be matched with this machine."
	}
	return "Nothing is missing, as far as these feeds tell."
}

func endWords(e assess.EndOfLife) string {
	words := fmt.Sprintf("Support of %s %s ends", e.Product, e.Release)
	if e.Ended {
		words = fmt.Sprintf("Support of %s %s has ended", e.Product, e.Release)
	}
	if e.Ends != nil {
		words += " on " + e.Ends.Format(time.DateOnly)
	}
	if e.Extended != nil {
		words += ", extended support on " + e.Extended.Format(time.DateOnly)
	}
	return words + " (" + e.Feed + ")."
}

// byUrgency puts first what is due first, and then what is most urgent. What has no date
// comes behind, and what has no lane last.
func byUrgency(a, b assess.SheetRow) int {
	due := func(r assess.SheetRow) int64 {
		if r.Due == nil {
			return math.MaxInt64
		}
		return r.Due.Unix()
	}
	lane := func(r assess.SheetRow) int {
		if r.Lane == nil {
			return -1
		}
		return slices.Index(urgency.Lanes(), *r.Lane)
	}
	return cmp.Or(cmp.Compare(due(a), due(b)), cmp.Compare(lane(b), lane(a)))
}

func laneWord(l *urgency.Lane) string {
	if l == nil {
		return ""
	}
	return string(*l)
}

// answer tells "no" from what is not known.
func answer(v *bool) string {
	switch {
	case v == nil:
		return ""
	case *v:
		return "yes"
	}
	return "no"
}

func dueWord(due *time.Time) string {
	if due == nil {
		return ""
	}
	return due.Format(time.DateOnly)
}

func or(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}

func number(v *float64, digits int) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', digits, 64)
}
