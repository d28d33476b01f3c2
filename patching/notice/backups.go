package notice

import (
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Unbacked tells that a machine lacks the verified backup that a policy wants (G12).
// Verified is when its newest verified backup was made; zero: there is none. A
// machine that lacks one again later is another notice.
func Unbacked(p patching.PolicyName, a patching.Asset, why string, verified, now time.Time) Notice {
	n := Notice{
		ID:   ID(fmt.Sprintf("%s/%s/%s/%d", BackupMissing, p, a.ID, verified.Unix())),
		Kind: BackupMissing, Severity: Routine, Site: a.Site, Policy: p, Owner: a.Owner, Subject: a.Hostname,
		Words: why + ": it is not upgraded until there is one", At: verified,
	}
	if n.Subject == "" {
		n.Subject = string(a.ID)
	}
	if n.Site == "" {
		n.Site = patching.Roaming
	}
	if verified.IsZero() {
		n.At = now
	}
	return n
}

// Unreliable tells that a place with backups does not answer, or does not hold what
// it should, since it was asked last.
func Unreliable(place, trouble string, asked time.Time) Notice {
	return Notice{
		ID:   ID(fmt.Sprintf("%s/%s/%s", BackupFailed, place, patching.DigestOf([]byte(trouble)).Short())),
		Kind: BackupFailed, Severity: Important, Subject: place, Words: trouble, At: asked,
	}
}
