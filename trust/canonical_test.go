package trust

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type sample struct {
	Text string   `json:"text"`
	List []string `json:"list,omitempty"`
}

// What an agent writes into its journal, it must be able to read again,
// whatever a package manager printed.
func TestWhateverIsWrittenCanBeReadAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.StringMatching(`(\\\\|\\\\ufffd|ufffd|\x{fffd}|\x{2028}|"|<|[a-z]){0,8}`),
			rapid.String(),
		)
		in := sample{Text: text.Draw(t, "text"), List: []string{text.Draw(t, "item")}}
		var out sample
		require.NoError(t, Decode(Canonical(in), &out), "%s", Canonical(in))
	})
}

func TestTheCanonicalSpellingIsPlain(t *testing.T) {
	for text, want := range map[string]string{
		"a < b & c > d": `{"text":"a < b & c > d"}`,
		"caf\xe9":       "{\"text\":\"caf\uFFFD\"}",
		`\ufffd`:        `{"text":"\\ufffd"}`,
	} {
		assert.Equal(t, want, string(Canonical(sample{Text: text})))
	}
}

func TestNestingWithoutEndIsRefused(t *testing.T) {
	deep := make([]byte, 0, 200_000)
	for range 100_000 {
		deep = append(deep, '[')
	}
	var v any
	assert.Error(t, Decode(deep, &v))
}
