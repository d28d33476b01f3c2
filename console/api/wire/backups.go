package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// BackupPlace is a place with backups that the server asks.
type BackupPlace struct {
	Name     string    `json:"name"`
	Tool     string    `json:"tool" doc:"restic, borg or hook."`
	Running  bool      `json:"running" doc:"Whether it is being asked or verified now."`
	Asked    time.Time `json:"asked,omitzero" doc:"When it was last asked what it holds."`
	Verified time.Time `json:"verified,omitzero" doc:"When it was last read, or restored from."`
	Trouble  string    `json:"trouble,omitempty" doc:"Why what it holds is not known, or not relied upon."`
}

// MachineBackup is what a place holds of one machine.
type MachineBackup struct {
	Place    string               `json:"place"`
	Host     string               `json:"host" doc:"The machine, as the place names it."`
	Asset    patching.AssetID     `json:"asset,omitempty" doc:"None: no machine is called so, or more than one."`
	Site     patching.SiteName    `json:"site,omitempty"`
	Last     time.Time            `json:"last" doc:"When the newest backup was made."`
	Verified time.Time            `json:"verified,omitzero" doc:"When the newest backup was made that is known to be good."`
	Proof    patching.BackupProof `json:"proof,omitempty" doc:"restored: something was restored from it. checked: its data were read, and have their checksums."`
	Checked  time.Time            `json:"checked,omitzero" doc:"Since when that is known."`
}

// Lacking is a machine without the verified backup that its policy wants.
type Lacking struct {
	Policy   patching.PolicyName `json:"policy"`
	Asset    patching.AssetID    `json:"asset"`
	Hostname string              `json:"hostname"`
	Site     patching.SiteName   `json:"site"`
	Owner    string              `json:"owner,omitempty"`
	Why      string              `json:"why"`
}

// Backups is what is known of backups.
type Backups struct {
	Places   []BackupPlace   `json:"places"`
	Machines []MachineBackup `json:"machines"`
	Lacking  []Lacking       `json:"lacking" doc:"Machines that are not upgraded for want of a verified backup."`
	Trouble  string          `json:"trouble,omitempty" doc:"Why the list of places is not in force as it stands."`
}
