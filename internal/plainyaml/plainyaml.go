// Package plainyaml reads YAML that people and others write, and none of what it can do
// beyond a plain document: that has brought parsers down.
package plainyaml

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

	"github.com/patchcycle/patchcycle/internal/unpack"
)

// Bounds of what is read. The parser calls itself for each group within a group, and a stack that
// overflows ends the process. Groups begin with brackets, which are counted, or behind each
// other on a line ("- - -"), or under each other, each further in.
const (
	maxText = 1 << 20
	// maxDepth is how deep groups may be within each other.
	maxDepth = 64
	// maxLine is more than winget allows a description to have.
	maxLine = 64 << 10
)

var errDeep = fmt.Errorf("its groups are nested more than %d deep", maxDepth)

// Decode reads one YAML document that is small, of at most 1 MiB. Aliases are refused:
// repeated in each other they make gigabytes of a page. Its errors tell the place and the
// reason, and quote no line: the file may be another than was meant, with secrets in it.
func Decode(in io.Reader, into any, options ...yaml.DecodeOption) (err error) {
	text, err := unpack.ReadAtMost(in, maxText)
	if err != nil {
		return err
	}
	if err := plain(text); err != nil {
		return err
	}
	// The library has been seen to fall over texts that are no YAML.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("YAML: it is none that can be read: %v", r)
		}
	}()
	if err := yaml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))), options...).Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("YAML: %s", wrong(err, text))
	}
	return nil
}

var (
	// fieldLine is a line that begins with a field, as those are called that we read.
	fieldLine  = regexp.MustCompile(`^[\s-]*([a-z][a-z0-9_]{0,31}):(?:\s|$)`)
	fieldShape = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	quoted     = regexp.MustCompile(`(?s)".*"`)
)

// wrong tells the place, the field that begins there and the reason. Of what stands in
// the file it says no more than what could be a field of ours.
func wrong(err error, text []byte) string {
	words := quoted.ReplaceAllStringFunc(yaml.FormatError(err, false, false), func(q string) string {
		if fieldShape.MatchString(strings.Trim(q, `"`)) {
			return q
		}
		return "(not quoted here)"
	})
	var at yaml.Error
	if !errors.As(err, &at) || at.GetToken() == nil {
		return strings.TrimSpace(words)
	}
	lines := strings.Split(string(text), "\n")
	if n := at.GetToken().Position.Line; n >= 1 && n <= len(lines) {
		if field := fieldLine.FindStringSubmatch(lines[n-1]); len(field) > 0 && !strings.Contains(words, `"`+field[1]+`"`) {
			return fmt.Sprintf("%s: %s", field[1], words)
		}
	}
	return strings.TrimSpace(words)
}

// tooManyMarks are groups that begin within each other on one line.
var tooManyMarks = regexp.MustCompile(`(?:[-?:!&*|>][^\s]*\s+){64}`)

func plain(text []byte) error {
	depth := 0
	for n, line := range bytes.Split(text, []byte("\n")) {
		if len(line) > maxLine {
			return fmt.Errorf("line %d: it has more than %d bytes", n+1, maxLine)
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

// Word is a value of YAML with the line on which it stands.
type Word struct {
	Text string
	Line int // 0: it is not there
}

// UnmarshalYAML takes any scalar as the text that was written: 1.10 is no number.
func (w *Word) UnmarshalYAML(n ast.Node) error {
	w.Line = n.GetToken().Position.Line
	switch n := n.(type) {
	case *ast.StringNode:
		w.Text = n.Value
	case *ast.LiteralNode:
		w.Text = strings.Join(strings.Fields(n.Value.Value), " ")
	case *ast.NullNode:
	case ast.ScalarNode:
		w.Text = n.GetToken().Value
	default:
		return fmt.Errorf("line %d: want one value, not a list or a group", w.Line)
	}
	return nil
}
