package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Advisory is one that people entered, in a version.
type Advisory struct {
	ID          patching.AdvisoryID  `json:"id"`
	Title       string               `json:"title"`
	Kind        string               `json:"kind,omitempty"`
	Severity    string               `json:"severity,omitempty"`
	CVEs        []patching.CVE       `json:"cves,omitempty"`
	Published   time.Time            `json:"published,omitzero"`
	Affected    []Affected           `json:"affected"`
	KnownIssues []string             `json:"known_issues,omitempty"`
	NeedsReboot bool                 `json:"needs_reboot"`
	Version     int                  `json:"version"`
	At          time.Time            `json:"at"`
	By          patching.AccountName `json:"by"`
	Withdrawn   time.Time            `json:"withdrawn,omitzero" doc:"None: in force."`
	Reason      string               `json:"reason,omitempty" doc:"Of the withdrawal."`
	Digest      patching.Digest      `json:"digest" doc:"Address of the document that it stood in."`
}

// Affected is a package that an advisory is about.
type Affected struct {
	Platform string `json:"platform" doc:"Such as debian 12."`
	Package  string `json:"package"`
	Source   bool   `json:"source,omitempty" doc:"All that is built from it is affected."`
	Fixed    string `json:"fixed,omitempty" doc:"The first version that is not affected; none: there is no fix yet."`
}

// Advisories is a list of them, by id.
type Advisories struct {
	Items []Advisory `json:"items"`
}

// AdvisoryDetail is an advisory with its past.
type AdvisoryDetail struct {
	Advisory
	Source   string     `json:"source" doc:"The document that it stood in, as it was sent."`
	Versions []Advisory `json:"versions" doc:"All of them, the newest first."`
}

// EnteredAdvisories is what came of a document.
type EnteredAdvisories struct {
	Items []Advisory `json:"items" doc:"Those that are new or changed."`
	Same  int        `json:"same" doc:"How many were in force already."`
	Words string     `json:"words"`
}
