package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// AssetList is what a list from elsewhere says of machines.
type AssetList struct {
	Source string        `json:"source" minLength:"1" maxLength:"200" doc:"What the list is called, such as its file's name."`
	Rows   []ListedAsset `json:"rows" maxItems:"100000"`
	All    bool          `json:"all,omitempty" doc:"Answer with all rows, also those that say what we know of a machine with an agent."`
	Agreed string        `json:"agreed,omitempty" doc:"The digest of the changes that somebody saw and wants made. None: nothing is changed, and the answer says what would be."`
}

// ListedAsset is a machine as a list describes it. What is left out is not said, and
// changes nothing.
type ListedAsset struct {
	Line         int                  `json:"line" minimum:"0" doc:"Where it stands in the list."`
	Hostname     string               `json:"hostname,omitempty" maxLength:"253"`
	Serial       string               `json:"serial,omitempty" maxLength:"200"`
	Cloud        string               `json:"cloud,omitempty" maxLength:"200" doc:"Its id at a cloud provider."`
	MACs         []string             `json:"macs,omitempty" maxItems:"100"`
	Addresses    []string             `json:"addresses,omitempty" maxItems:"100"`
	Vendor       string               `json:"vendor,omitempty" maxLength:"200"`
	Model        string               `json:"model,omitempty" maxLength:"200"`
	OS           string               `json:"os,omitempty" maxLength:"200"`
	Site         patching.SiteName    `json:"site,omitempty" maxLength:"64"`
	Owner        string               `json:"owner,omitempty" maxLength:"200"`
	BusinessUnit string               `json:"business_unit,omitempty" maxLength:"200"`
	Criticality  patching.Criticality `json:"criticality,omitempty" enum:"unknown,low,medium,high,critical"`
	Exposure     patching.Exposure    `json:"exposure,omitempty" enum:"unknown,internet,internal,isolated"`
	DataClass    string               `json:"data_class,omitempty" maxLength:"200"`
	Tags         []string             `json:"tags,omitempty" maxItems:"100"`
	Services     []string             `json:"services,omitempty" maxItems:"100"`
}

// AssetComparison is how a list and what we know compare.
type AssetComparison struct {
	Source     string `json:"source"`
	Same       int    `json:"same" doc:"Rows that say what we know."`
	Differs    int    `json:"differs"`
	OnlyThey   int    `json:"only_they" doc:"Machines that nobody manages."`
	Ambiguous  int    `json:"ambiguous"`
	Duplicates int    `json:"duplicates"`
	OnlyWe     int    `json:"only_we"`
	// Changes is how many machines would change or become known.
	Changes int    `json:"changes"`
	Digest  string `json:"digest" doc:"Of the changes: give it as agreed to have them made."`
	Applied bool   `json:"applied" doc:"Whether they were made."`

	Rows       []ComparedAsset `json:"rows" doc:"All rows but those that say what we know of a machine with an agent, unless all were asked for."`
	OnlyWeList []KnownAsset    `json:"only_we_list" doc:"The first thousand of what is not in the list."`
}

// ComparedAsset is a row with what it means.
type ComparedAsset struct {
	Line        int                `json:"line"`
	Name        string             `json:"name" doc:"Whatever the row names the machine by."`
	Verdict     string             `json:"verdict" enum:"same,differs,only they,ambiguous,duplicate"`
	Asset       patching.AssetID   `json:"asset,omitempty" doc:"The machine that it is, or would become."`
	Hostname    string             `json:"hostname,omitempty" doc:"Of that machine."`
	Key         string             `json:"key,omitempty" doc:"By what it was recognised."`
	Owner       string             `json:"owner,omitempty"`
	Unmanaged   bool               `json:"unmanaged" doc:"No agent is on it, as far as we know."`
	Differences []AssetDifference  `json:"differences,omitempty"`
	Candidates  []patching.AssetID `json:"candidates,omitempty" doc:"Those among which nobody can choose."`
	Earlier     int                `json:"earlier,omitempty" doc:"The line before it that is about the same machine."`
	Why         []string           `json:"why,omitempty"`
}

// AssetDifference is a field of which a list says something else.
type AssetDifference struct {
	Field  string   `json:"field"`
	Theirs []string `json:"theirs"`
	Ours   []string `json:"ours"`
	Taken  bool     `json:"taken" doc:"Whether theirs would count. What a machine reports itself stays."`
}

// KnownAsset is a machine that a list does not have.
type KnownAsset struct {
	ID       patching.AssetID  `json:"id"`
	Hostname string            `json:"hostname"`
	Site     patching.SiteName `json:"site"`
	Enrolled bool              `json:"enrolled"`
}

// Imported says which list told of a machine.
type Imported struct {
	Source string               `json:"source"`
	At     time.Time            `json:"at"`
	By     patching.AccountName `json:"by"`
}
