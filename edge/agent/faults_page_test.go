package agent

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// A row of docs/faults.md: recording, fault, cause, reason, signature, outcome.
var faultRow = regexp.MustCompile("(?m)^\\| [0-9]\\S* \\| [^|]+ \\| [^|]+ \\| ([a-z-]+) \\| `[^|]+` \\| ([a-z ]+) \\|")

// The page's reasons are tested where they are told, in integrations/packages.
//
// Serves Q8.
func TestThePageOfFaultsSaysHowAnOrderEnds(t *testing.T) {
	page, err := os.ReadFile("../../docs/faults.md")
	require.NoError(t, err)
	rows := faultRow.FindAllSubmatch(page, -1)
	require.Greater(t, len(rows), 30)
	for _, row := range rows {
		end := endingOf(&Failure{Reason: patching.Reason(row[1])}, patching.ReasonUnknown)
		require.Equal(t, string(end.Outcome), string(row[2]), "%s", row[0])
	}
}
