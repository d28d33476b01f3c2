package uplink

import (
	"errors"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// Facts is the wire's form of what a machine can say of itself: the part of a
// [patching.Asset] that is not the server's to know.
type Facts struct {
	Hostname          string          `json:"hostname"`
	Addresses         []string        `json:"addresses,omitempty"`
	MACs              []string        `json:"macs,omitempty"`
	Serial            string          `json:"serial,omitempty"`
	Cloud             string          `json:"cloud,omitempty"`
	Vendor            string          `json:"vendor,omitempty"`
	Model             string          `json:"model,omitempty"`
	OS                OS              `json:"os"`
	Zone              string          `json:"zone,omitempty"`
	Manager           string          `json:"manager,omitempty"`
	Agent             string          `json:"agent,omitempty"` // its version
	Packages          patching.Digest `json:"packages,omitempty"`
	Candidates        patching.Digest `json:"candidates,omitempty"`
	Allowed           []string        `json:"allowed,omitempty"`
	OtherManagers     []string        `json:"other_managers,omitempty"`
	Broken            []string        `json:"broken,omitempty"`
	RebootPending     bool            `json:"reboot_pending,omitempty"`
	CarriesPatchcycle bool            `json:"carries_patchcycle,omitempty"`
}

// OS is the wire's form of a [patching.OS].
type OS struct {
	Family   string `json:"family,omitempty"`
	Name     string `json:"name,omitempty"`
	Release  string `json:"release,omitempty"`
	Revision string `json:"revision,omitempty"`
	Kernel   string `json:"kernel,omitempty"`
	Arch     string `json:"arch,omitempty"`
}

// FactsOf takes from an asset what a machine says of itself.
func FactsOf(a patching.Asset) Facts {
	return Facts{
		Hostname: a.Hostname, Addresses: a.Addresses, MACs: a.MACs, Serial: a.Serial, Cloud: a.Cloud,
		Vendor: a.Vendor, Model: a.Model, OS: OS(a.OS), Zone: a.Zone, Manager: a.Manager, Agent: a.Agent,
		Packages: a.Packages, Candidates: a.Candidates, Allowed: a.Allowed, OtherManagers: a.OtherManagers,
		Broken: a.Broken, RebootPending: a.RebootPending, CarriesPatchcycle: a.CarriesPatchcycle,
	}
}

// Asset returns the facts as an asset; what the server keeps is empty.
func (f Facts) Asset() patching.Asset {
	return patching.Asset{
		Hostname: f.Hostname, Addresses: f.Addresses, MACs: f.MACs, Serial: f.Serial, Cloud: f.Cloud,
		Vendor: f.Vendor, Model: f.Model, OS: patching.OS(f.OS), Zone: f.Zone, Manager: f.Manager, Agent: f.Agent,
		Packages: f.Packages, Candidates: f.Candidates, Allowed: f.Allowed, OtherManagers: f.OtherManagers,
		Broken: f.Broken, RebootPending: f.RebootPending, CarriesPatchcycle: f.CarriesPatchcycle,
	}
}

// Validate bounds every field and checks the digests. What the texts mean is
// not judged: a machine may have a strange name, and it is shown as data.
func (f Facts) Validate() error {
	if f.Hostname == "" {
		return errors.New("facts: no hostname")
	}
	for _, s := range []string{
		f.Hostname, f.Serial, f.Cloud, f.Vendor, f.Model, f.Zone, f.Manager, f.Agent,
		f.OS.Family, f.OS.Name, f.OS.Release, f.OS.Revision, f.OS.Kernel, f.OS.Arch,
	} {
		if len(s) > maxText {
			return fmt.Errorf("facts: %.40q… is longer than %d bytes", s, maxText)
		}
	}
	for _, list := range [][]string{f.Addresses, f.MACs, f.Allowed, f.OtherManagers, f.Broken} {
		if len(list) > maxList {
			return fmt.Errorf("facts: a list of %d, at most %d are allowed", len(list), maxList)
		}
		for _, s := range list {
			if len(s) > maxText {
				return fmt.Errorf("facts: %.40q… is longer than %d bytes", s, maxText)
			}
		}
	}
	for _, d := range []patching.Digest{f.Packages, f.Candidates} {
		if d != "" && !d.Valid() {
			return fmt.Errorf("facts: %.80q is not a digest", d)
		}
	}
	return nil
}
