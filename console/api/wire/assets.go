package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Asset is a machine that we know.
type Asset struct {
	ID           patching.AssetID     `json:"id"`
	Hostname     string               `json:"hostname"`
	Site         patching.SiteName    `json:"site"`
	Enrolled     bool                 `json:"enrolled" doc:"Whether an accepted agent is on it. Nothing can be ordered otherwise."`
	OS           string               `json:"os" doc:"Name and revision."`
	Kernel       string               `json:"kernel,omitempty"`
	Arch         string               `json:"arch,omitempty"`
	Manager      string               `json:"manager,omitempty" doc:"The package manager."`
	Owner        string               `json:"owner,omitempty"`
	BusinessUnit string               `json:"business_unit,omitempty"`
	Criticality  patching.Criticality `json:"criticality,omitempty"`
	Exposure     patching.Exposure    `json:"exposure,omitempty"`
	Missing      int                  `json:"missing" doc:"Patches that its package manager offers; says nothing where inventoried is not there."`
	Security     int                  `json:"security" doc:"Of them, security updates."`
	Reboot       bool                 `json:"reboot_pending"`
	Seen         time.Time            `json:"seen,omitzero" doc:"Its last message."`
	Inventoried  time.Time            `json:"inventoried,omitzero" doc:"Its last inventory."`
	ClockOff     string               `json:"clock_off,omitempty" doc:"How far its clock is from the server's, in words; none: close enough. Nothing that has a window starts on a machine whose clock is off."`
}

// AssetPage is a part of the list, by id.
type AssetPage struct {
	Items []Asset          `json:"items"`
	Next  patching.AssetID `json:"next,omitempty" doc:"Where the list goes on: give it as after."`
	Total int              `json:"total" doc:"All machines that are known."`
}

// AssetDetail is all that is known of one machine.
type AssetDetail struct {
	Asset
	Addresses         []string          `json:"addresses,omitempty"`
	MACs              []string          `json:"macs,omitempty"`
	Serial            string            `json:"serial,omitempty"`
	Cloud             string            `json:"cloud,omitempty" doc:"Its id at a cloud provider."`
	Vendor            string            `json:"vendor,omitempty"`
	Model             string            `json:"model,omitempty"`
	Zone              string            `json:"zone,omitempty" doc:"Its own time zone; none: its site's."`
	Tags              []string          `json:"tags,omitempty"`
	DataClass         string            `json:"data_class,omitempty"`
	Services          []string          `json:"services,omitempty"`
	Allowed           []string          `json:"allowed,omitempty" doc:"What the machine's own rules let patchcycle do."`
	OtherManagers     []string          `json:"other_managers,omitempty" doc:"Other things that patch it."`
	CarriesPatchcycle bool              `json:"carries_patchcycle,omitempty"`
	Relay             string            `json:"relay,omitempty" doc:"The way by which it was last heard; none: directly."`
	Device            patching.DeviceID `json:"device,omitempty"`
	Packages          int               `json:"packages" doc:"How many are installed."`
	Patches           []MissingPatch    `json:"patches" doc:"What it misses."`
	KeptBack          []string          `json:"kept_back,omitempty" doc:"Offered, but held, phased, or in need of removals."`
	Broken            []string          `json:"broken,omitempty" doc:"Half installed: somebody has to repair it."`
	Imported          []Imported        `json:"imported,omitempty" doc:"Lists from elsewhere that told of it, the newest first."`
	Outside           []OutsideChange   `json:"outside,omitempty" doc:"What changed on it lately and no order did, the newest last."`
}

// OutsideChange is a package that somebody or something else changed.
type OutsideChange struct {
	After  time.Time `json:"after" doc:"It was not so in the inventory of this time."`
	Before time.Time `json:"before" doc:"It was so in this one."`
	Name   string    `json:"name"`
	Arch   string    `json:"arch"`
	From   string    `json:"from,omitempty" doc:"None: it was not installed."`
	To     string    `json:"to,omitempty" doc:"None: it was removed."`
}

// MissingPatch is what a machine's package manager offers for one package.
type MissingPatch struct {
	Name        string `json:"name"`
	Arch        string `json:"arch"`
	From        string `json:"from,omitempty" doc:"Installed now; none: it would be new."`
	To          string `json:"to"`
	Origin      string `json:"origin,omitempty"`
	Security    bool   `json:"security"`
	NeedsReboot bool   `json:"needs_reboot"`
	Bytes       int64  `json:"bytes,omitempty" doc:"To download; none: unknown."`
}

// AssetFacts are what the server keeps of a machine and the machine does not
// say itself. What is left out stays as it is.
type AssetFacts struct {
	Site         *patching.SiteName    `json:"site,omitempty"`
	Owner        *string               `json:"owner,omitempty" maxLength:"200"`
	BusinessUnit *string               `json:"business_unit,omitempty" maxLength:"200"`
	Criticality  *patching.Criticality `json:"criticality,omitempty" enum:"unknown,low,medium,high,critical"`
	Exposure     *patching.Exposure    `json:"exposure,omitempty" enum:"unknown,internet,internal,isolated"`
	DataClass    *string               `json:"data_class,omitempty" maxLength:"200"`
	Tags         *[]string             `json:"tags,omitempty" maxItems:"100"`
	Services     *[]string             `json:"services,omitempty" maxItems:"100"`
}

// NewEnrolToken asks for a token that lets machines enrol.
type NewEnrolToken struct {
	Site       patching.SiteName `json:"site" minLength:"1" doc:"Where the machines belong."`
	Uses       int               `json:"uses,omitempty" minimum:"1" maximum:"100000" default:"1" doc:"How many machines it lets in."`
	Hours      int               `json:"hours,omitempty" minimum:"1" maximum:"8760" default:"24" doc:"For how long."`
	AutoAccept bool              `json:"auto_accept,omitempty" doc:"Machines need nobody to accept them."`
}

// EnrolToken lets machines enrol.
type EnrolToken struct {
	Token      string               `json:"token,omitempty" doc:"The token itself: shown once, when it is made."`
	Name       string               `json:"name" doc:"The beginning of the address that is kept of it."`
	Site       patching.SiteName    `json:"site"`
	Uses       int                  `json:"uses" doc:"How many are left."`
	Expires    time.Time            `json:"expires"`
	By         patching.AccountName `json:"by"`
	AutoAccept bool                 `json:"auto_accept"`
}

// EnrolTokens is a list of them.
type EnrolTokens struct {
	Items []EnrolToken `json:"items"`
}

// Device is an enrolled key.
type Device struct {
	ID       patching.DeviceID    `json:"id"`
	Asset    patching.AssetID     `json:"asset"`
	Hostname string               `json:"hostname,omitempty"`
	Site     patching.SiteName    `json:"site"`
	State    patching.DeviceState `json:"state" enum:"pending,accepted,quarantined,revoked"`
	Key      patching.Digest      `json:"key" doc:"Address of its public key: compare it with what the machine shows."`
	Enrolled time.Time            `json:"enrolled"`
	// SameAs are devices that may be on the same machine.
	SameAs []patching.DeviceID `json:"same_as,omitempty" doc:"Others, not revoked, whose machine has the same serial number, network card, cloud instance or name: perhaps the same, installed anew."`
}

// DeviceReplaces says whose machine a device is on.
type DeviceReplaces struct {
	Device patching.DeviceID `json:"device" doc:"The old device. It is revoked, for good."`
	Reason string            `json:"reason" minLength:"1" maxLength:"1000"`
}

// Devices is a list of them.
type Devices struct {
	Items []Device `json:"items"`
}
