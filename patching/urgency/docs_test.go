package urgency_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/urgency"
)

func TestThePageNamesEveryTableAndPointAndItsExampleWorks(t *testing.T) {
	text, err := os.ReadFile("../../docs/urgency.md")
	require.NoError(t, err)
	page := string(text)
	all, err := urgency.Shipped()
	require.NoError(t, err)
	for _, table := range all {
		assert.Contains(t, page, "\n| `"+table.ID+"` |")
	}

	_, err = urgency.Parse([]byte(strings.Replace(tiny, "in-kev", "?", 1)))
	require.Error(t, err)
	_, names, found := strings.Cut(err.Error(), "is no point: ")
	require.True(t, found)
	names, _, _ = strings.Cut(names, "\n")
	require.Len(t, strings.Split(names, ", "), 12)
	for name := range strings.SplitSeq(names, ", ") {
		assert.Contains(t, page, "\n| `"+name+"` |")
	}

	_, example, _ := strings.Cut(page, "```\n")
	example, _, _ = strings.Cut(example, "```")
	_, err = urgency.Parse([]byte(example))
	require.NoError(t, err)
}
