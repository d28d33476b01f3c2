package advisories

import (
	"regexp"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// osvPlatforms says which machines an ecosystem is about, by the table in
// https://ossf.github.io/osv-schema/#affectedpackage-field. Known tells that it is a
// distributor's, even if the product is none that machines run on (Red Hat's OpenShift,
// SUSE's Manager).
//
// Names are those of source packages, as the table says, except Red Hat's and
// AlmaLinux's: the table has AlmaLinux among the former, but its records list binary
// packages (kernel-core, NetworkManager-libnm-devel).
func osvPlatforms(ecosystem string) (on []patching.Affected, known bool) {
	name, rest, _ := strings.Cut(ecosystem, ":")
	switch name {
	case "AlmaLinux":
		on = []patching.Affected{{Platform: patching.Platform{ID: "almalinux", Release: rest}}}
	case "Rocky Linux":
		on = []patching.Affected{{Platform: patching.Platform{ID: "rocky", Release: rest}, Source: true}}
	case "Debian":
		on = []patching.Affected{{Platform: patching.Platform{ID: "debian", Release: rest}, Source: true}}
	case "Ubuntu":
		on = []patching.Affected{osvUbuntu(rest)}
	case "Red Hat":
		on = osvRedHat(rest)
	case "SUSE", "openSUSE":
		on = osvSUSE(ecosystem)
	default:
		return nil, false
	}
	return on, true
}

// osvUbuntu reads "22.04:LTS", "24.10", "Pro:18.04:LTS", "Pro:FIPS-updates:20.04:LTS".
func osvUbuntu(rest string) patching.Affected {
	a := patching.Affected{Platform: patching.Platform{ID: "ubuntu"}, Source: true}
	for part := range strings.SplitSeq(rest, ":") {
		switch {
		case part == "" || part == "LTS":
		case part[0] >= '0' && part[0] <= '9':
			a.Release = part
		case a.Entitlement == "":
			a.Entitlement = "ubuntu-" + strings.ToLower(part)
		default:
			a.Entitlement += "-" + strings.ToLower(part)
		}
	}
	return a
}

// The ecosystem is the end of a CPE: enterprise_linux:9::baseos, rhel_eus:8.8::appstream,
// since RHEL 10 enterprise_linux:10.1 and enterprise_linux_eus:10.0. Any other is a
// product on top (ocp_tools:4.15::el9), whose packages bear the same names as the
// system's and go by versions of their own.
var redHatCPE = regexp.MustCompile(`^(?:enterprise_linux|rhel)(?:_(eus|aus|tus|e4s|els))?:([0-9]+)(\.[0-9]+)?(?::|$)`)

// osvRedHat keeps minor releases apart where they are prolonged, each with fixes that
// are older than those of the next: 8.8 of EUS, but 8 of what is for all.
func osvRedHat(rest string) []patching.Affected {
	m := redHatCPE.FindStringSubmatch(rest)
	if m == nil {
		return nil
	}
	a := patching.Affected{Platform: patching.Platform{ID: "rhel", Release: m[2]}}
	if m[1] != "" {
		a.Release += m[3]
		a.Entitlement = "rhel-" + m[1]
	}
	return []patching.Affected{a}
}

var (
	suseName     = regexp.MustCompile(`^SUSE:Linux (?:Enterprise )?(.+?) ([0-9]+)(?:\.([0-9]+)| SP([0-9]+))?(?:-([A-Za-z-]+))?$`)
	openSUSEName = regexp.MustCompile(`^openSUSE:Leap ([0-9]+\.[0-9]+)$`)
)

// osvSUSE reads products as SUSE sells them: "SUSE:Linux Enterprise Server 15 SP3-LTSS".
func osvSUSE(ecosystem string) []patching.Affected {
	var on []patching.Affected
	if m := suseName.FindStringSubmatch(ecosystem); m != nil {
		on = suseProduct(m[1], m[2], m[3]+m[4], m[5])
	} else if m := openSUSEName.FindStringSubmatch(ecosystem); m != nil {
		on = openSUSELeap(m[1])
	} else if ecosystem == "openSUSE:Tumbleweed" {
		on = openSUSETumbleweed()
	} else if release, ok := strings.CutPrefix(ecosystem, "SUSE:Package Hub "); ok {
		return osvSUSE("SUSE:Linux Enterprise Module for Package Hub " + release)
	}
	for i := range on {
		on[i].Source = true
	}
	return on
}
