package measure

import (
	"fmt"
	"io"
	"strings"
)

// Page writes Markdown and keeps the first error.
type Page struct {
	w   io.Writer
	err error
}

// NewPage returns a page.
func NewPage(w io.Writer) *Page { return &Page{w: w} }

// Line writes a line.
func (p *Page) Line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// Row writes a row of a table.
func (p *Page) Row(cells ...string) { p.Line("| %s |", strings.Join(cells, " | ")) }

// Rule writes the line below a table's head of n columns.
func (p *Page) Rule(n int) { p.Line("|%s", strings.Repeat(" --- |", n)) }

// Err is what went wrong first.
func (p *Page) Err() error { return p.err }
