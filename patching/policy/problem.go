package policy

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Severity says whether a policy can be used in spite of a problem.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one thing that is wrong with a policy, where it stands, and the
// way out.
type Problem struct {
	Severity Severity `json:"severity"`
	File     string   `json:"file"`
	// Line and Column count from 1, columns in characters. Line 0 is the whole file.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Path is where in the document: "rings[1].gate.answered".
	Path string `json:"path"`
	// Value is what stands there, as far as one line shows it.
	Value string `json:"value,omitempty"`
	// What is wrong, and the Way out of it.
	What string `json:"what"`
	Way  string `json:"way"`
	// Source is the line of the file, harmless to print.
	Source string `json:"source,omitempty"`
	// Width is how many characters from Column on are meant.
	Width int `json:"width,omitempty"`
}

// String prints the problem as compilers do: place, what is wrong, the line
// with a mark under it, and the way out.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	fmt.Fprintf(&b, ": %s: ", p.Severity)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.What + "\n")
	if p.Line > 0 {
		text, column := excerpt(p.Source, p.Column)
		fmt.Fprintf(&b, "%5d | %s\n", p.Line, text)
		width := max(1, min(p.Width, len([]rune(text))-column+1))
		fmt.Fprintf(&b, "      | %s%s\n", strings.Repeat(" ", column-1), strings.Repeat("^", width))
	}
	fmt.Fprintf(&b, "      = %s\n", p.Way)
	return b.String()
}

// excerpt cuts a line to what fits a screen and shows the column.
func excerpt(line string, column int) (string, int) {
	const width, before = 120, 40
	runes := []rune(line)
	column = max(1, min(column, len(runes)+1))
	if len(runes) <= width {
		return line, column
	}
	start := max(0, min(column-before, len(runes)-width))
	return string(runes[start : start+width]), column - start
}

// Problems is the error of a policy that cannot be used.
type Problems struct{ all []Problem }

// Problems returns all of them, warnings too, by their place.
func (p *Problems) Problems() []Problem { return p.all }

func (p *Problems) Error() string {
	var b strings.Builder
	for _, problem := range p.all {
		b.WriteString(problem.String())
	}
	b.WriteString(Count(p.all))
	return b.String()
}

// Count says in words how many problems there are.
func Count(all []Problem) string {
	warnings := 0
	for _, p := range all {
		if p.Severity == Warning {
			warnings++
		}
	}
	return number(len(all)-warnings, "error") + ", " + number(warnings, "warning")
}

func number(n int, word string) string {
	switch n {
	case 0:
		return "no " + word
	case 1:
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// HasErrors reports whether one of the problems is an error.
func HasErrors(all []Problem) bool {
	return slices.ContainsFunc(all, func(p Problem) bool { return p.Severity == Error })
}

// harmless replaces what a terminal would act upon: policies come from outside
// and are printed where somebody works.
func harmless(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '\uFFFD'
		}
		return r
	}, s)
}

// short cuts a value to what a line of a report bears.
func short(s string) string {
	runes := []rune(harmless(strings.ReplaceAll(s, "\n", " ")))
	if len(runes) > 80 {
		return string(runes[:79]) + "…"
	}
	return string(runes)
}
