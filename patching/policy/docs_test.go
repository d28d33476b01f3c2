package policy

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const docsFile = "../../docs/policy.md"

func TestDocsShowTheExampleAndEveryKey(t *testing.T) {
	page, err := os.ReadFile(docsFile)
	require.NoError(t, err)
	example, err := Example("monthly")
	require.NoError(t, err)
	text := generated(t, string(page), "example", "```yaml\n"+string(example)+"```\n")
	text = generated(t, text, "keys", keyTables(t))
	compareFile(t, docsFile, []byte(text))
}

// generated replaces what stands between the two marks.
func generated(t *testing.T, page, what, text string) string {
	t.Helper()
	before, rest, ok := strings.Cut(page, "<!-- begin "+what+" -->\n")
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, "<!-- end "+what+" -->\n")
	require.True(t, ok)
	return before + "<!-- begin " + what + " -->\n" + text + "<!-- end " + what + " -->\n" + after
}

// keyTables has a table for each group, in the order in which a file has them.
func keyTables(t *testing.T) string {
	t.Helper()
	comments := readComments(t)
	var b strings.Builder
	var table func(path string, group reflect.Type)
	table = func(path string, group reflect.Type) {
		title := "`" + path + "`"
		if path == "" {
			title = "The file"
		}
		fmt.Fprintf(&b, "### %s\n\n%s\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n", title, comments[group.Name()+"."])
		for _, key := range inOrder(keys(group)) {
			f := keys(group)[key]
			field := group.Field(f.index)
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, valueWords(field.Type, f), defaultWords(group, key, f), comments[group.Name()+"."+field.Name])
		}
		b.WriteString("\n")
		for _, key := range inOrder(keys(group)) {
			switch inner := group.Field(keys(group)[key].index).Type; {
			case inner.Kind() == reflect.Struct:
				table(join(path, key), inner)
			case inner.Kind() == reflect.Slice && inner.Elem().Kind() == reflect.Struct:
				table(join(path, key)+"[]", inner.Elem())
			}
		}
	}
	table("", reflect.TypeFor[document]())
	return b.String()
}

func valueWords(t reflect.Type, f field) string {
	switch {
	case len(f.enum) > 0:
		return "`" + strings.Join(f.enum, "`, `") + "`"
	case t.Kind() == reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			return "list of groups"
		}
		return "list of texts"
	case t.Kind() == reflect.Struct:
		return "group"
	case t.Kind() == reflect.Bool:
		return "`true`, `false`"
	case t.Kind() == reflect.Int:
		return "whole number" + limitWords(f)
	case t.Kind() == reflect.Float64:
		return "number" + limitWords(f)
	case t == reflect.TypeFor[clock]():
		return "time in quotes"
	case t == reflect.TypeFor[moment]():
		return "date, or date and time"
	case t.Name() == "string" || t.PkgPath() == "":
		return "text"
	}
	return t.Name()
}

func limitWords(f field) string {
	switch {
	case f.above != nil:
		return fmt.Sprintf(" above %g to %g", *f.above, *f.maximum)
	case f.maximum != nil:
		return fmt.Sprintf(" %g to %g", *f.minimum, *f.maximum)
	case f.minimum != nil:
		return fmt.Sprintf(" from %g", *f.minimum)
	}
	return ""
}

func defaultWords(group reflect.Type, key string, f field) string {
	if f.required {
		return "required"
	}
	value := defaultOf(group, key)
	if value == nil {
		return ""
	}
	return fmt.Sprintf("`%v`", value)
}
