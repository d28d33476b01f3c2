package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Serves G9.
func TestAHaltTakesBackWhatItsScopeSays(t *testing.T) {
	const nobody, affected, all = 0, 1, 2
	for _, c := range []struct {
		outcome patching.Outcome
		reason  patching.Reason
		who     int
	}{
		{patching.Patched, patching.ReasonVerified, all},
		{patching.Failed, patching.ReasonServiceBroken, affected},
		{patching.Failed, patching.ReasonInstallFailed, affected},
		{patching.Failed, patching.ReasonDownload, nobody}, // the network's fault, and nothing was changed
		{patching.NeedsHands, patching.ReasonInstallFailed, affected},
		{patching.NeedsHands, patching.ReasonNoBoot, affected},
		{patching.Deferred, patching.ReasonHostRules, nobody},
		{patching.AlreadyUpToDate, patching.ReasonNothingMissing, nobody},
		{patching.RolledBack, patching.ReasonRolledBack, nobody},
		{patching.Unreachable, patching.ReasonSilent, nobody},
		{"", "", nobody},
	} {
		require.Equal(t, c.who == all, policy.RollBackRing.TakesBack(c.outcome, c.reason) && !policy.RollBackAffected.TakesBack(c.outcome, c.reason), "%s, %s: only with the whole ring", c.outcome, c.reason)
		require.Equal(t, c.who == affected, policy.RollBackAffected.TakesBack(c.outcome, c.reason), "%s, %s: where it went wrong", c.outcome, c.reason)
		require.False(t, policy.RollBackNothing.TakesBack(c.outcome, c.reason))
	}
}
