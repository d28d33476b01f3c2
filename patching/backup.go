package patching

import (
	"fmt"
	"time"
)

// Backup is what is known of one machine's backups at one place (G12).
type Backup struct {
	// Source is the repository's name, Tool what speaks to it, Host the machine as it
	// is called there.
	Source string
	Tool   string
	Host   string
	// Asset is the machine of that name; empty: there is none, or more than one.
	Asset AssetID
	// Last is when the newest backup was made.
	Last time.Time
	// Verified is when the newest backup was made of which is known that it is good,
	// Proof how that is known, and Checked since when. Zero: of none it is known.
	Verified time.Time
	Proof    BackupProof
	Checked  time.Time
	// Asked is when the place last answered.
	Asked time.Time
}

// BackupProof is how it is known that a backup is good.
type BackupProof string

// The proofs, from none to the best.
const (
	ProofNone     BackupProof = ""
	ProofChecked  BackupProof = "checked"  // its data were read, and have their checksums
	ProofRestored BackupProof = "restored" // something was restored from it
)

// Valid reports whether p is one of the proofs.
func (p BackupProof) Valid() bool { return p == ProofNone || p == ProofChecked || p == ProofRestored }

// Trusted reports whether a machine has a verified backup that is young enough,
// and else why not, in words. What is in the future is no backup: some clock is
// wrong, and nobody knows which.
func Trusted(backups []Backup, within time.Duration, now time.Time) (ok bool, why string) {
	if len(backups) == 0 {
		return false, "no backup of it is known"
	}
	var last, verified time.Time
	for _, b := range backups {
		if b.Last.After(last) && !b.Last.After(now) {
			last = b.Last
		}
		if b.Proof != ProofNone && b.Verified.After(verified) && !b.Verified.After(now) {
			verified = b.Verified
		}
	}
	day := func(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }
	switch {
	case !verified.IsZero() && now.Sub(verified) <= within:
		return true, ""
	case !verified.IsZero():
		return false, "the newest verified backup is of " + day(verified)
	case !last.IsZero():
		return false, fmt.Sprintf("the newest backup is of %s, and none was verified", day(last))
	default:
		return false, "the backups that are known were made in the future"
	}
}
