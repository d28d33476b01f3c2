package demo

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// progress tells people what happens, on standard error: standard output is for
// the result.
type progress struct {
	w io.Writer
	// live says that the last line can be written over.
	live    bool
	open    bool
	phase   patching.Phase
	words   string
	rings   map[patching.RingName]string
	lastBar string
}

func newProgress(o Options) *progress {
	p := &progress{w: o.Err, rings: map[patching.RingName]string{}}
	if f, ok := o.Err.(*os.File); ok {
		p.live = term.IsTerminal(int(f.Fd()))
	}
	return p
}

// say prints a line that stays.
func (p *progress) say(format string, args ...any) {
	p.clear()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// line prints a line that the next one replaces; away from a terminal only what
// stays is printed.
func (p *progress) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !p.live || text == p.lastBar {
		return
	}
	p.clear()
	fmt.Fprint(p.w, text)
	p.open, p.lastBar = true, text
}

func (p *progress) clear() {
	if p.open {
		fmt.Fprint(p.w, "\r\x1b[2K")
		p.open = false
	}
}

// cycle shows what changed.
func (p *progress) cycle(c wire.CycleDetail) {
	for _, r := range c.Rings {
		if said := r.State + r.Words; r.Words != "" && r.State != "at work" && p.rings[r.Name] != said {
			p.rings[r.Name] = said
			p.say("%-10s ring %s: %s", "", r.Name, r.Words)
		}
	}
	if c.Words != "" && (c.Phase != p.phase || c.Words != p.words && c.Phase.Terminal()) {
		p.phase, p.words = c.Phase, c.Words
		p.say("%-10s %s", strings.ToUpper(string(c.Phase)), c.Words)
	}
	if c.Machines > 0 {
		p.line("%s", bar(c))
	}
}

// bar draws how many machines have ended.
func bar(c wire.CycleDetail) string {
	const width = 40
	ended := c.Machines - c.InProgress
	full := width * ended / c.Machines
	return fmt.Sprintf("[%s%s] %d of %d machines  %s", strings.Repeat("█", full), strings.Repeat("·", width-full),
		ended, c.Machines, counts(c.Outcomes))
}

// counts prints outcomes in the order in which reports show them.
func counts(n map[patching.Outcome]int) string {
	var parts []string
	for _, o := range patching.Outcomes() {
		if n[o] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[o], o.Words()))
		}
	}
	return strings.Join(parts, ", ")
}

// summary is what a person reads at the end.
func (d *demo) summary(r *Result) error {
	d.show.clear()
	w := d.Out
	fmt.Fprintf(w, "\n%s closed %s after %.0f s.\n\n", r.Cycle, r.ClosedAs, r.Seconds)
	total := 0
	for _, o := range slices.Sorted(maps.Keys(r.Outcomes)) {
		total += r.Outcomes[o]
	}
	for _, o := range patching.Outcomes() {
		if n := r.Outcomes[o]; n > 0 {
			fmt.Fprintf(w, "  %6d  %s\n", n, o.Words())
		}
	}
	fmt.Fprintf(w, "  %6d  machines in all\n\n", total)
	fmt.Fprintf(w, "Installed twice, by the machines' own logs: %d. Repaired on the way: %d.\n", r.InstallsRepeated, r.Repairs)
	_, err := fmt.Fprintf(w, "Report: %s\n", r.Report)
	return err
}
