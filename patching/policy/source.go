package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// source is the file that is read, and the problems found in it so far.
type source struct {
	file     string
	lines    []string
	problems []Problem
	// places knows where each path of the document stands, as far as it was read.
	places map[string]place
	// told are the places of problems, more counts those that are not kept.
	told map[string]bool
	more map[Severity]int
	// adopted turns further errors into warnings.
	adopted bool
}

// place is where something stands, from 1, and what it is.
type place struct {
	line, column, width int
	text                string
	// folded says that the text begins on the next line ("|" and ">").
	folded bool
	quoted bool
}

func newSource(file string, text []byte) *source {
	lines := strings.Split(string(text), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSuffix(l, "\r")
	}
	return (&source{file: file, lines: lines, places: map[string]place{}}).again()
}

// again returns the source without the problems found so far.
func (s *source) again() *source {
	return &source{file: s.file, lines: s.lines, places: s.places, told: map[string]bool{}, more: map[Severity]int{}}
}

// found returns the problems by their place.
func (s *source) found() []Problem {
	slices.SortStableFunc(s.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	for _, severity := range []Severity{Error, Warning} {
		if n := s.more[severity]; n > 0 {
			s.problems = append(s.problems, Problem{Severity: severity, File: s.file, What: "and " + number(n, string(severity)) + " more", Way: "mend these first"})
		}
	}
	return s.problems
}

func (s *source) failed() bool { return HasErrors(s.problems) || s.more[Error] > 0 }

// add notes a problem at a place.
func (s *source) add(severity Severity, at place, path, what, way string) {
	// What one look found wrong need not be told again by the next.
	told := fmt.Sprintf("%s:%d:%d", path, at.line, at.column)
	if path != "" && s.told[told] {
		return
	}
	s.told[told] = true
	if len(s.problems) >= maxProblems {
		s.more[severity]++
		return
	}
	p := Problem{
		Severity: severity, File: s.file, Line: at.line, Column: at.column, Path: path,
		Value: short(at.text), What: what, Way: way, Width: at.width,
	}
	if at.line >= 1 && at.line <= len(s.lines) {
		p.Source = harmless(s.lines[at.line-1])
	}
	s.problems = append(s.problems, p)
}

// fail notes an error at a path, or at the nearest part above it that was
// written; the problem keeps the path that is meant.
func (s *source) fail(path, what, way string) {
	severity := Error
	if s.adopted {
		severity = Warning
	}
	s.add(severity, s.at(path), path, what, way)
}

// warn notes a warning, like fail.
func (s *source) warn(path, what, way string) { s.add(Warning, s.at(path), path, what, way) }

func (s *source) at(path string) place {
	for {
		if p, ok := s.places[path]; ok {
			return p
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut < 0 {
			return s.places[""]
		}
		path = path[:cut]
	}
}

// written reports whether the document has the path.
func (s *source) written(path string) bool {
	_, ok := s.places[path]
	return ok
}

// inside returns where the i-th character of a place's text stands in the file;
// for the one after the last, the place behind it. YAML folds, quotes and
// indents: so the text is followed through the file, character by character,
// and what stands between is passed over.
func (s *source) inside(at place, i int) place {
	if at.line < 1 {
		return at
	}
	line, column := at.line, at.column
	switch {
	case at.folded:
		line, column = line+1, 1
	case at.quoted:
		column++
	}
	here := at
	text, n := []rune(at.text), 0
	for ; line <= len(s.lines); line++ {
		written := append([]rune(s.lines[line-1]), '\n')
		for ; column <= len(written); column++ {
			if n == len(text) {
				return here
			}
			r := written[column-1]
			if r != text[n] && !(unicode.IsSpace(r) && unicode.IsSpace(text[n])) {
				continue
			}
			here = place{line: line, column: column, width: 1}
			if n == i {
				return here
			}
			here.column++
			n++
		}
		column = 1
	}
	return here
}

// placeOf returns where a node stands.
func placeOf(n ast.Node) place {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return placeOf(n.Values[0].Key)
		}
	case *ast.SequenceNode:
		return tokenPlace(n.Start)
	case *ast.LiteralNode:
		p := tokenPlace(n.Start)
		p.text, p.folded = n.Value.Value, true
		return p
	case *ast.AnchorNode:
		return tokenPlace(n.Start)
	}
	return tokenPlace(n.GetToken())
}

func tokenPlace(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{}
	}
	text := strings.Trim(t.Origin, " \r\n")
	first, _, _ := strings.Cut(text, "\n")
	return place{
		line: t.Position.Line, column: t.Position.Column,
		width: max(1, utf8.RuneCountInString(strings.TrimRight(first, " \r"))),
		text:  t.Value, quoted: t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType,
	}
}
