package policy

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// read takes the text apart. It returns nil where the text is not YAML, or not
// YAML that anybody writes on purpose: what a parser cannot bear is refused
// before it sees it. (100,000 opening brackets kept ours busy for 36 seconds,
// 100,000 nested keys took all memory.)
func (s *source) read(text []byte) ast.Node {
	if len(text) > maxBytes {
		s.add(Error, place{}, "", fmt.Sprintf("the file has %d bytes, more than %d", len(text), maxBytes), "split the policy: one for each group of machines")
		return nil
	}
	if wide(text) {
		s.add(Error, place{}, "", "this is UTF-16", "save the file as UTF-8")
		return nil
	}
	if !s.legible() {
		return nil
	}
	tokens := lexer.Tokenize(string(text))
	if !s.bearable(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		s.syntax(err)
		return nil
	}
	return s.onlyDocument(file)
}

// wide recognises UTF-16 by its mark, or by the zeros beside its first letters:
// else each of its characters would be told as a control character.
func wide(text []byte) bool {
	if bytes.HasPrefix(text, []byte("\xFF\xFE")) || bytes.HasPrefix(text, []byte("\xFE\xFF")) {
		return true
	}
	if len(text) < 4 {
		return false
	}
	big, little := text[0] == 0 && text[2] == 0, text[1] == 0 && text[3] == 0
	return big != little
}

// legible checks characters: what is neither text nor line, what hides how a
// line reads, and tabs, which YAML does not take for indentation.
func (s *source) legible() bool {
	for n, line := range s.lines {
		if !utf8.ValidString(line) {
			s.add(Error, place{line: n + 1, column: 1, width: 1}, "", "this line is not text in UTF-8", "save the file as UTF-8")
			continue
		}
		indent, column := true, 0
		for _, r := range line {
			column++
			indent = indent && (r == ' ' || r == '-' || r == '\t')
			what, way := illegible(r, indent)
			if what != "" {
				s.add(Error, place{line: n + 1, column: column, width: 1}, "", what, way)
				break
			}
		}
		if len(s.problems) >= maxProblems {
			break
		}
	}
	return len(s.problems) == 0
}

func illegible(r rune, indent bool) (what, way string) {
	switch {
	case r == '\t' && indent:
		return "a tab: YAML indents with spaces only", "write two spaces in its place"
	case r == '\t':
		return "", ""
	case unicode.IsControl(r):
		return fmt.Sprintf("a control character (U+%04X)", r), "remove it"
	case unicode.Is(unicode.Bidi_Control, r):
		return fmt.Sprintf("an invisible character (U+%04X) that makes text read in another order than it is", r), "remove it"
	}
	return "", ""
}

// bearable counts what multiplies or nests.
func (s *source) bearable(tokens token.Tokens) bool {
	aliases, brackets := 0, 0
	var columns []int
	for i, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			brackets++
		case token.SequenceEndType, token.MappingEndType:
			brackets--
		case token.AliasType, token.AnchorType:
			aliases++
		case token.SequenceEntryType, token.MappingKeyType:
			columns = nest(columns, t.Position.Column)
		case token.MappingValueType:
			if i > 0 && brackets == 0 {
				columns = nest(columns, tokens[i-1].Position.Column)
			}
		case token.DirectiveType:
			s.add(Error, tokenPlace(t), "", "a policy has no YAML directives", "remove the line")
			return false
		case token.TagType:
			s.add(Error, tokenPlace(t), "", "a policy has no YAML tags", fmt.Sprintf("remove %s", t.Value))
			return false
		default: // neither multiplies nor nests
		}
		switch at := tokenPlace(t); {
		case brackets+len(columns) > maxDepth:
			s.add(Error, at, "", fmt.Sprintf("nested more than %d deep", maxDepth), "a policy needs four levels: see docs/policy.md")
			return false
		case aliases > maxAliases:
			s.add(Error, at, "", fmt.Sprintf("more than %d anchors and aliases", maxAliases), "write the values out: people approve what they read")
			return false
		case i >= maxTokens:
			s.add(Error, at, "", fmt.Sprintf("more than %d words and signs", maxTokens), "split the policy: one for each group of machines")
			return false
		}
	}
	return true
}

// nest keeps the columns at which the open blocks begin.
func nest(columns []int, column int) []int {
	for len(columns) > 0 && columns[len(columns)-1] >= column {
		columns = columns[:len(columns)-1]
	}
	return append(columns, column)
}

func (s *source) syntax(err error) {
	var wrong yaml.Error
	if !errors.As(err, &wrong) || wrong.GetToken() == nil {
		s.add(Error, place{line: 1, column: 1}, "", "not YAML: "+harmless(err.Error()), "see docs/policy.md for a complete example")
		return
	}
	message, way := harmless(wrong.GetMessage()), "see docs/policy.md for a complete example"
	switch {
	case strings.Contains(message, "mapping value is not allowed"):
		way = "put a value that contains a colon and a space in quotes, and check the indentation"
	case strings.Contains(message, "could not find end character"):
		way = "close the quote"
	case strings.Contains(message, "must be specified"), strings.Contains(message, "not found"):
		way = "close the bracket, and separate with commas"
	case strings.Contains(message, "value is not allowed"), strings.Contains(message, "non-map value"), strings.Contains(message, "unexpected key"):
		way = "check the indentation: keys of one group stand under each other, and a colon and a space follow each"
	}
	s.add(Error, tokenPlace(wrong.GetToken()), "", "not YAML: "+message, way)
}

func (s *source) onlyDocument(file *ast.File) ast.Node {
	var body ast.Node
	for _, d := range file.Docs {
		switch {
		case d.Body == nil:
		case body == nil:
			body = d.Body
		default:
			s.add(Error, placeOf(d.Body), "", "a second document begins here", "write one policy a file, and remove the line \"---\"")
			return nil
		}
	}
	if body == nil {
		s.add(Error, place{line: 1, column: 1}, "", "the file is empty", "see docs/policy.md for a complete example")
	}
	return body
}
