package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/policy"
)

// bomb has nine lists, each of nine aliases to the one before: 387 million
// values, if anybody followed them.
func bomb() string {
	var b strings.Builder
	b.WriteString("sites: &b\n  - &a0 [x]\n")
	for i := range 9 {
		fmt.Fprintf(&b, "  - &a%d [%s]\n", i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 9))
	}
	return b.String()
}

// Serves Q7, scenario 41 of the reliability study.
func TestAFileThatIsMeantToHurtIsRefused(t *testing.T) {
	n := 100_000
	cases := map[string]struct{ text, what string }{
		"an alias bomb":               {bomb(), ""},
		"aliases by the thousand":     {"owner: &a x\nsites: [" + strings.Repeat("*a,", 1000) + "]", "anchors and aliases"},
		"anchors by the thousand":     {strings.Repeat("&a ", n), "anchors and aliases"},
		"groups that multiply":        {multiplied(), "the aliases lead to more than"},
		"a megabyte and a byte":       {strings.Repeat("#", 1<<20+1), "more than 1048576"},
		"brackets in brackets":        {strings.Repeat("[", n), "deep"},
		"braces in braces":            {strings.Repeat("{a: ", n), "deep"},
		"keys in keys":                {strings.Repeat("a: ", n), "deep"},
		"keys in keys, on lines":      {nested("%sa:\n", 1000), "deep"},
		"lists in lists":              {strings.Repeat("- ", n), "deep"},
		"lists in lists, on lines":    {nested("%s-\n", 1000), "deep"},
		"questions in questions":      {strings.Repeat("? ", n), "deep"},
		"keys in keys within a list":  {"[" + strings.Repeat("a: ", n), ""},
		"the same key again":          {strings.Repeat("a: 1\n", n), "words and signs"},
		"new keys again and again":    {numbered("k%d: 1\n", 12_000), "no key"},
		"a list without end":          {"sites: [" + strings.Repeat("1,", n) + "]", "words and signs"},
		"a list as long as permitted": {"sites: [" + strings.Repeat("1,", 20_000) + "]", ""},
		"lines without end":           {strings.Repeat("\n", 1<<20), "empty"},
		"comments without end":        {strings.Repeat("#\n", 1<<19), ""},
		"a word without end":          {"policy: " + strings.Repeat("x", 1<<20-20), "is not a name"},
		"an expression without end":   {"select: " + strings.Repeat("(", n), "longer or deeper"},
		"an expression of many parts": {"select: true" + strings.Repeat(" && true", n), "longer or deeper"},
		"tabs":                        {strings.Repeat("\t\n", n), "a tab"},
		"bytes of chance":             {strings.Repeat("\x00\xff\n", n), "UTF-8"},
		"documents":                   {strings.Repeat("---\na: 1\n", 1000), "a second document"},
		"quotes":                      {strings.Repeat("'", 1<<20), ""},
		"nothing":                     {"", "empty"},
		"a comment":                   {"# later", "empty"},
		"a word":                      {"later", "want a group of keys"},
		"null":                        {"null", "nothing stands here"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			all := problems(t, c.text)
			require.NotEmpty(t, all)
			assert.LessOrEqual(t, len(all), 101)
			var told []string
			for _, p := range all {
				told = append(told, p.What)
				assert.Less(t, len(p.String()), 2000)
			}
			assert.Contains(t, strings.Join(told, "\n"), c.what)
		})
	}
}

func nested(line string, depth int) string {
	var b strings.Builder
	for i := range depth {
		fmt.Fprintf(&b, line, strings.Repeat(" ", i))
	}
	return b.String()
}

func numbered(line string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i)
	}
	return b.String()
}

// multiplied reads a list of 1,000 names 90 times: within every limit on what
// is written, beyond the one on what it comes to.
func multiplied() string {
	return "sites:\n  - windows: &w [" + strings.Repeat("x,", 1000) + "]\n" + strings.Repeat("  - windows: *w\n", 90)
}

// FuzzParse holds on to what every caller relies on: no panic, an answer that
// is one or the other, and places that are inside the file.
func FuzzParse(f *testing.F) {
	f.Add([]byte(base))
	for _, name := range []string{"monthly", "demo"} {
		text, err := policy.Example(name)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(bomb()))
	f.Add([]byte("select: |\n  é == 'a'\nrings: [{name: test, select: \"a\\n\\\"b\"}]\n"))
	f.Add([]byte("a: &x {b: *x}\n? q\n: - r\n  - >-\n   folded\n\n   text\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := policy.Parse("fuzz.yaml", text)
		if err == nil {
			require.Equal(t, text, p.Text())
			return
		}
		var wrong *policy.Problems
		require.ErrorAs(t, err, &wrong)
		require.True(t, policy.HasErrors(wrong.Problems()))
		lines := strings.Count(string(text), "\n") + 1
		for _, p := range wrong.Problems() {
			require.True(t, p.Line >= 0 && p.Line <= lines && (p.Line == 0 || p.Column >= 1), "%d:%d of %d", p.Line, p.Column, lines)
			require.NotEmpty(t, p.What)
			require.NotEmpty(t, p.Way)
			require.NotContains(t, strings.TrimRight(p.String(), "\n"), "\x1b")
		}
	})
}
