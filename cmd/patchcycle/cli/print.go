package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"

	"github.com/patchcycle/patchcycle/patching"
)

// printer writes results to stdout and everything else to stderr.
type printer struct {
	out, errs io.Writer
	// width of the terminal behind out; 0: none, so everything is plain.
	width int
	zone  *time.Location
	now   time.Time
	// hint completes the commands that people are told to type.
	hint func(string) string
}

// say prints a line of the result.
func (p printer) say(format string, args ...any) {
	fmt.Fprintln(p.out, clean(p.hint(fmt.Sprintf(format, flat(args)...))))
}

// note prints a line that is not the result.
func (p printer) note(format string, args ...any) {
	fmt.Fprintln(p.errs, clean(p.hint(fmt.Sprintf(format, flat(args)...))))
}

// warn prints what may be a mistake, if there is something.
func (p printer) warn(words string) {
	if words != "" {
		p.note("Warning: %s", words)
	}
}

func (p printer) json(v any) error {
	enc := json.NewEncoder(p.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table prints rows under headers: framed for people at a terminal, else
// aligned by spaces.
func (p printer) table(headers []string, rows [][]string) {
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
		}
	}
	if p.width == 0 {
		w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, strings.Join(headers, "\t"))
		for _, row := range rows {
			fmt.Fprintln(w, strings.Join(row, "\t"))
		}
		_ = w.Flush() // as with any print: nobody to tell
		return
	}
	t := table.New().Border(lipgloss.RoundedBorder()).Headers(headers...).Rows(rows...).
		BorderStyle(lipgloss.NewStyle().Faint(true)).
		StyleFunc(func(row, _ int) lipgloss.Style {
			s := lipgloss.NewStyle().Padding(0, 1)
			if row == table.HeaderRow {
				s = s.Bold(true)
			}
			return s
		})
	if text := t.String(); lipgloss.Width(text) > p.width {
		t = t.Width(p.width)
	}
	_, _ = lipgloss.Fprintln(p.out, t) // takes colours out where they are not wanted
}

// fields prints names and values in two columns; pairs without a value are left out.
func (p printer) fields(pairs ...string) {
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%s:\t%s\n", pairs[i], oneLine(pairs[i+1]))
		}
	}
	_ = w.Flush()
}

// when prints an instant for people, in their zone and with its name.
func (p printer) when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.In(p.zone).Format("2006-01-02 15:04 MST")
}

// span prints from when to when; nothing if there is no beginning.
func (p printer) span(from, to time.Time) string {
	if from.IsZero() {
		return ""
	}
	return p.when(from) + " to " + p.when(to)
}

// ago prints how long ago something was, for lists.
func (p printer) ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	switch d := p.now.Sub(t); {
	case d < 0:
		return p.when(t)
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}

// clean takes out what a terminal would act upon: names come from machines.
// Lines stay lines.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			return r
		case r == '\t':
			return ' '
		default:
			return '\uFFFD'
		}
	}, s)
}

// oneLine is clean for a cell: package managers write many lines, and a line that
// ends inside of a cell takes the columns after it along.
func oneLine(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return clean(strings.Join(lines, " "))
}

// outcomes puts counts in words, in the order of reports.
func outcomes(counts map[patching.Outcome]int) string {
	var parts []string
	for _, o := range patching.Outcomes() {
		if n := counts[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o.Words()))
		}
	}
	return strings.Join(parts, ", ")
}

func words[S ~string](all []S) string {
	out := make([]string, len(all))
	for i, s := range all {
		out[i] = string(s)
	}
	return strings.Join(out, ", ")
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}
