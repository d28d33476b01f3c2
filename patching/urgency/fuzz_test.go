package urgency_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Whatever Parse lets pass can be judged by.
func FuzzParse(f *testing.F) {
	f.Add([]byte(tiny))
	f.Fuzz(func(t *testing.T, text []byte) {
		table, err := urgency.Parse(text)
		if err != nil {
			require.ErrorIs(t, err, urgency.ErrTable)
			return
		}
		for _, treat := range []urgency.Unknown{urgency.AsWorst, urgency.AsBest, urgency.Ask} {
			require.Len(t, urgency.Judge(urgency.Facts{}, []urgency.Table{table}, treat, today), 1)
		}
	})
}
