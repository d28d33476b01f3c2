package patchcycle_test

import (
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Serves Q15: what docs/attacks.md says is tried is tried.
func TestThePageOfAttacksNamesTestsThatThereAre(t *testing.T) {
	page, err := os.ReadFile("docs/attacks.md")
	require.NoError(t, err)
	defined := map[string]bool{}
	name := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9]+)\(t \*testing\.T\)`)
	err = fs.WalkDir(os.DirFS("."), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range name.FindAllSubmatch(text, -1) {
			defined[string(m[1])] = true
		}
		return err
	})
	require.NoError(t, err)
	cited := 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| ---") || strings.Contains(line, "| test |") {
			continue
		}
		tests := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(line, -1)
		assert.NotEmpty(t, tests, "a row without a test: %s", line)
		for _, m := range tests {
			cited++
			assert.True(t, defined[m[1]], "there is no test %s", m[1])
		}
	}
	assert.Greater(t, cited, 40)
}
