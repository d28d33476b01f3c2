package edgecli

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/holdfile"
)

func TestWordsFromTheOtherEndDriveNoTerminal(t *testing.T) {
	require.Equal(t, "a�[31mb\n�", Clean("a\x1b[31mb\n\u202e"))
	require.Equal(t, "a b�", Line(" a\n\tb\x07 "))
}

// Serves Q6.
func TestAHoldIsHeldInOneLineUntilItIsLifted(t *testing.T) {
	dir, asJSON := t.TempDir(), false
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	hold := func(args ...string) error {
		c := Hold{Nothing: "Nothing starts: ", Dir: &dir, JSON: &asJSON, Now: func() time.Time { return now }}.Command()
		c.SetArgs(args)
		c.SetOut(io.Discard)
		c.SilenceErrors, c.SilenceUsage = true, true
		return c.ExecuteContext(t.Context())
	}
	for _, args := range [][]string{{}, {"--by", "ana"}, {"--by", " ", "--reason", "stocktaking"}, {"--by", "ana", "--reason", "x", "--for", "-1h"}} {
		err := hold(args...)
		require.True(t, IsUsage(err), "%v: %v", args, err)
	}
	err := hold("--by", "ana\n", "--reason", "stock\x1b[2J\ntaking", "--for", "48h")
	require.NoError(t, err)
	is := holdfile.Read(dir)
	require.NotNil(t, is)
	require.Equal(t, "ana", is.By)
	require.Equal(t, "stock�[2J taking", is.Reason)
	require.Equal(t, now.Add(48*time.Hour), is.Until)
	err = hold("--lift")
	require.NoError(t, err)
	require.Nil(t, holdfile.Read(dir))
}
