package advisories

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// Bounds of YAML. The parser calls itself for each group within a group, and a stack that
// overflows ends the process. Groups begin with brackets, which are counted, or behind each
// other on a line ("- - -"), or under each other, each further in.
const (
	maxYAML = 1 << 20
	// maxYAMLLine is more than winget allows a description to have.
	maxYAMLLine = 64 << 10
)

// decodeYAML reads one YAML document that is small. Aliases are refused: repeated in each
// other they make gigabytes of a page. Its errors show the line.
func decodeYAML(in io.Reader, into any, options ...yaml.DecodeOption) (err error) {
	text, err := readAtMost(in, maxYAML)
	if err != nil {
		return err
	}
	if err := plainYAML(text); err != nil {
		return err
	}
	// The library has been seen to fall over texts that are no YAML.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("YAML: it is none that can be read: %v", r)
		}
	}()
	if err := yaml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))), options...).Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("YAML: %s", strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	return nil
}

// tooManyMarks are groups that begin within each other on one line.
var tooManyMarks = regexp.MustCompile(`(?:[-?:!&*|>][^\s]*\s+){64}`)

func plainYAML(text []byte) error {
	depth := 0
	for n, line := range bytes.Split(text, []byte("\n")) {
		if len(line) > maxYAMLLine {
			return fmt.Errorf("line %d: it has more than %d bytes", n+1, maxYAMLLine)
		}
		// Brackets in texts count too: those come in pairs.
		depth = max(0, depth+bytes.Count(line, []byte("["))+bytes.Count(line, []byte("{"))-
			bytes.Count(line, []byte("]"))-bytes.Count(line, []byte("}")))
		indent := len(line) - len(bytes.TrimLeft(line, " \t"))
		if depth > maxDepth || indent > 4*maxDepth || tooManyMarks.Match(line) {
			return fmt.Errorf("line %d: %w", n+1, errDeep)
		}
	}
	for _, t := range lexer.Tokenize(string(text)) {
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			return fmt.Errorf("line %d: it has an alias (& or *): write the text where it is needed, in quotes if it begins so", t.Position.Line)
		case token.TagType, token.DirectiveType:
			return fmt.Errorf("line %d: it has a tag (!) or a directive (%%): put the text in quotes if it begins so", t.Position.Line)
		case token.DocumentHeaderType:
			if t.Position.Line > 1 && t.Prev != nil && t.Prev.Type != token.CommentType {
				return fmt.Errorf("line %d: a second document begins: write one a file", t.Position.Line)
			}
		default:
		}
	}
	return nil
}

// word is a value of YAML with the line on which it stands.
type word struct {
	text string
	line int
}

// UnmarshalYAML takes any scalar as the text that was written: 1.10 is no number.
func (w *word) UnmarshalYAML(n ast.Node) error {
	w.line = n.GetToken().Position.Line
	switch n := n.(type) {
	case *ast.StringNode:
		w.text = n.Value
	case *ast.LiteralNode:
		w.text = words(n.Value.Value)
	case *ast.NullNode:
	case ast.ScalarNode:
		w.text = n.GetToken().Value
	default:
		return fmt.Errorf("line %d: want one value, not a list or a group", w.line)
	}
	return nil
}
