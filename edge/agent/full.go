package agent

import (
	"github.com/patchcycle/patchcycle/internal/disk"
	"github.com/patchcycle/patchcycle/patching"
)

// DiskFull is the failure of a machine whose disk has no room: for bytes, or for
// one more file. The detail says where, and what helps.
func DiskFull(detail string) *Failure {
	return &Failure{Reason: patching.ReasonDisk, Signature: "disk full", Detail: detail}
}

// OrDiskFull returns [DiskFull] for an error of the system that says so; it names
// the file. Any other error it leaves alone.
func OrDiskFull(err error) error {
	if !disk.FullHere(err) {
		return err
	}
	return DiskFull(err.Error() + ". Make room there; where df -h shows some, df -i shows that there are too many files.")
}
