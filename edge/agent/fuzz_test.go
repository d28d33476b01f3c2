package agent

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/trust"
)

// What an administrator writes into rules.json is understood or refused, never read as
// more than it says.
func FuzzRules(f *testing.F) {
	f.Add([]byte(`{"allowed": ["collect", "apply"], "held": ["linux-*"]}`))
	f.Add([]byte(`{"allowed": null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := parseRules(text)
		if err != nil {
			return
		}
		for _, v := range rules.Allowed {
			require.Contains(t, trust.Verbs(), v)
		}
		var fields map[string]any
		require.NoError(t, json.Unmarshal(text, &fields))
		if _, limited := fields["allowed"]; limited {
			require.NotNil(t, rules.Allowed, "nil allows all that the agent can do")
		}
	})
}

// What a loss of power left of the ledger: whole lines count, and only those.
func FuzzLedger(f *testing.F) {
	whole := formatLine("agent", []byte(`{"v":1}`))
	f.Add(whole, int64(len(whole)))
	f.Add(append(bytes.Clone(whole), whole[:7]...), int64(3))
	f.Fuzz(func(t *testing.T, text []byte, flushed int64) {
		size, _, err := scanLines(bytes.NewReader(text), flushed, func(name string, at int64, state []byte) {
			require.Equal(t, state, text[at:at+int64(len(state))])
			require.True(t, bytes.HasPrefix(text[at-int64(len(name))-1:], []byte(name+" ")))
			if name == "agent" {
				_, _ = readState(state)
			}
		})
		if err == nil {
			require.Len(t, text, int(size))
		}
		if name, state, ok := parseLine(text); ok && !strings.Contains(name, " ") {
			again, back, ok := parseLine(bytes.TrimSuffix(formatLine(name, state), []byte("\n")))
			require.True(t, ok)
			require.Equal(t, name, again)
			require.Equal(t, state, back)
		}
	})
}
