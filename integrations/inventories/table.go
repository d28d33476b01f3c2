package inventories

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxRows bounds a table: what the largest fleets have.
const maxRows = 1_000_000

// Bad is a place in a table that cannot be used.
type Bad struct {
	Line int
	// Column counts from 1; 0: the row as a whole.
	Column         int
	Heading, Value string
	Why            string
}

func (b Bad) Error() string {
	switch {
	case b.Column == 0:
		return fmt.Sprintf("line %d: %s", b.Line, b.Why)
	case b.Heading == "":
		return fmt.Sprintf("line %d, column %d: %s", b.Line, b.Column, b.Why)
	}
	return fmt.Sprintf("line %d, column %d (%s): %.60q: %s", b.Line, b.Column, b.Heading, b.Value, b.Why)
}

// table is a CSV file with a heading.
type table struct {
	headings []string
	rows     []tableRow
	bad      []Bad
}

type tableRow struct {
	line  int
	cells []string
}

// readTable reads a table whose separator is a comma, a semicolon or a tab: the one that
// the heading has most of. Rows that are no rows are named, and do not hide the others.
func readTable(in io.Reader, encoding string) (table, error) {
	raw, err := whole(in, 1)
	if err != nil {
		return table{}, err
	}
	text, err := tableText(raw, encoding)
	if err != nil {
		return table{}, err
	}
	skipped := 0 // Excel's hint at its separator
	comma := rune(0)
	if first := firstLine(text); strings.HasPrefix(first, "sep=") && len(first) == 5 {
		comma, skipped = rune(first[4]), 1
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	if comma == 0 {
		comma = separator(firstLine(text))
	}
	if comma == 0 {
		return table{}, errors.New("line 1: neither comma, semicolon nor tab parts the headings: want a table with a line of headings")
	}
	return parseTable(text, comma, skipped)
}

func parseTable(text []byte, comma rune, skipped int) (t table, err error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.Comma, r.FieldsPerRecord, r.TrimLeadingSpace = comma, -1, comma != '\t'
	for {
		cells, err := r.Read()
		var parse *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			if t.headings == nil {
				return t, errors.New("it is empty")
			}
			return t, nil
		case errors.As(err, &parse):
			if t.headings == nil {
				return t, fmt.Errorf("line %d, column %d: %w", parse.Line+skipped, parse.Column, parse.Err)
			}
			t.bad = append(t.bad, Bad{Line: parse.StartLine + skipped, Why: fmt.Sprintf("%v at line %d, letter %d: a cell with quotes is quoted, and quotes in it are doubled", parse.Err, parse.Line+skipped, parse.Column)})
			continue
		case err != nil:
			return t, err
		}
		line, _ := r.FieldPos(0)
		line += skipped
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		switch {
		case t.headings == nil:
			t.headings = cells
		case strings.Join(cells, "") == "": // spreadsheets end with such rows
		case len(cells) > len(t.headings):
			t.bad = append(t.bad, Bad{Line: line, Column: len(t.headings) + 1, Why: fmt.Sprintf("%d cells, and %d headings: a cell that has the separator in it is quoted", len(cells), len(t.headings))})
		default:
			t.rows = append(t.rows, tableRow{line, append(cells, make([]string, len(t.headings)-len(cells))...)})
		}
		if len(t.rows) > maxRows || len(t.bad) > maxRows {
			return t, fmt.Errorf("line %d: more than %d rows are not read: part the file", line, maxRows)
		}
	}
}

// separator is the one that a heading has most of; 0: none.
func separator(heading string) rune {
	best, most, quoted := rune(0), 0, false
	counts := map[rune]int{}
	for _, c := range heading {
		switch c {
		case '"':
			quoted = !quoted
		case ',', ';', '\t':
			if !quoted {
				counts[c]++
			}
		}
	}
	for _, c := range []rune{',', ';', '\t'} {
		if counts[c] > most {
			best, most = c, counts[c]
		}
	}
	return best
}

// plainHeading is a heading in the form that is compared: letters and digits alone.
func plainHeading(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 0x7f {
			return r
		}
		return -1
	}, strings.ToLower(text))
}

// Column is a column of a table, with the field that it is taken for; empty: it is not
// read.
type Column struct{ Heading, Field string }

// columns says which field each heading is. Given are those that somebody said; an empty
// field is a column that is to be left out. A field has several columns only where
// several can be had of it.
func columns(headings []string, given map[string]string, synonyms map[string][]string, several func(string) bool) ([]Column, error) {
	known := map[string]string{}
	for field, all := range synonyms {
		known[plainHeading(field)] = field
		for _, s := range all {
			known[plainHeading(s)] = field
		}
	}
	said := map[string]string{}
	for heading, field := range given {
		if _, ok := synonyms[field]; !ok && field != "" {
			return nil, fmt.Errorf("--map %s=%s: there is no such field: write one of %s", heading, field, strings.Join(sortedKeys(synonyms), ", "))
		}
		said[plainHeading(heading)] = field
	}
	var all []Column
	first := map[string]string{}
	for _, h := range headings {
		field, ok := said[plainHeading(h)]
		if !ok {
			field = known[plainHeading(h)]
		}
		delete(said, plainHeading(h))
		if other, twice := first[field]; twice && field != "" && !several(field) {
			return nil, fmt.Errorf("line 1: the columns %q and %q are both %s: leave one out with --map %q", other, h, field, h+"=")
		}
		first[field] = h
		all = append(all, Column{h, field})
	}
	for heading := range said {
		return nil, fmt.Errorf("--map: no column is called %q: there are %s", heading, strings.Join(headings, ", "))
	}
	return all, nil
}
