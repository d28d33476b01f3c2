package patching

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Serves G12.
func TestABackupCountsByWhenItWasMadeAndOnlyIfItWasVerified(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	made := func(days int, proof BackupProof) Backup {
		b := Backup{Last: now.AddDate(0, 0, -days), Proof: proof, Checked: now}
		if proof != ProofNone {
			b.Verified = b.Last
		}
		return b
	}
	const week = 7 * 24 * time.Hour
	for name, c := range map[string]struct {
		known []Backup
		want  bool
		why   string
	}{
		"nothing is known":                   {nil, false, "no backup of it is known"},
		"restored from":                      {[]Backup{made(3, ProofRestored)}, true, ""},
		"read":                               {[]Backup{made(7, ProofChecked)}, true, ""},
		"verified today, but made long ago":  {[]Backup{made(8, ProofRestored)}, false, "the newest verified backup is of 21 Nov 2026 12:00 UTC"},
		"made today, and nobody verified it": {[]Backup{made(0, ProofNone)}, false, "the newest backup is of 29 Nov 2026 12:00 UTC, and none was verified"},
		"one of two places has it":           {[]Backup{made(0, ProofNone), made(2, ProofChecked)}, true, ""},
		"made in the future":                 {[]Backup{made(-2, ProofRestored)}, false, "the backups that are known were made in the future"},
	} {
		t.Run(name, func(t *testing.T) {
			got, why := Trusted(c.known, week, now)
			require.Equal(t, c.want, got)
			require.Equal(t, c.why, why)
		})
	}
	require.False(t, BackupProof("sure").Valid())
}
