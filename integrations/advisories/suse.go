package advisories

import (
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// suseProduct says on which machines a product of SUSE Linux Enterprise is, by its name in
// titles ("Server") or in the ids of patches ("SLES", before version 15 "SERVER"), and
// what they must have. Minor is the service pack, empty for none; support the
// contract that prolongs it ("LTSS"). A product that is no operating system is on none.
//
// Since version 15 almost all packages belong to modules, which all of the family can
// have. A machine's os-release(5) does not say which it has: whoever has a package has
// its module.
func suseProduct(name, major, minor, support string) []patching.Affected {
	entitlement := ""
	var ids []string
	switch name {
	case "Server", "SLES", "SERVER":
		ids = []string{"sles"}
	case "Desktop", "SLED", "DESKTOP":
		ids = []string{"sled"}
	case "Server for SAP Applications", "SLES_SAP", "SAP":
		ids = []string{"sles_sap"}
	case "High Performance Computing", "HPC", "SLE_HPC":
		ids = []string{"sle_hpc"}
	case "Micro":
		// Linux Micro since 6.0, SUSE Linux Enterprise Micro before.
		if ids = []string{"sle-micro"}; len(major) > 1 || major >= "6" {
			ids = []string{"sl-micro"}
		}
	case "Software Development Kit", "SDK":
		ids = []string{"sles", "sled", "sles_sap"}
	case "Workstation Extension", "WE":
		ids, entitlement = []string{"sles", "sles_sap"}, "sle-we"
	case "High Availability Extension", "HA":
		ids, entitlement = []string{"sles"}, "sle-ha"
	case "Live Patching", "Module for Live Patching", "Module-Live-Patching":
		ids, entitlement = []string{"sles", "sles_sap"}, "sle-live-patching"
	default:
		if !strings.HasPrefix(name, "Module") {
			return nil
		}
		ids = []string{"sles", "sled", "sles_sap", "sle_hpc"}
	}
	if support != "" {
		entitlement = "suse-" + strings.ToLower(support)
	}
	release := major
	if minor != "" {
		release += "." + minor
	}
	var on []patching.Affected
	for _, id := range ids {
		on = append(on, patching.Affected{Platform: patching.Platform{ID: id, Release: release}, Entitlement: entitlement})
	}
	return on
}

// openSUSELeap bears another ID before version 15.
func openSUSELeap(release string) []patching.Affected {
	id := "opensuse-leap"
	if strings.HasPrefix(release, "42.") {
		id = "opensuse"
	}
	return []patching.Affected{{Platform: patching.Platform{ID: id, Release: release}}}
}

// openSUSETumbleweed has no releases.
func openSUSETumbleweed() []patching.Affected {
	return []patching.Affected{{Platform: patching.Platform{ID: "opensuse-tumbleweed"}}}
}
