package assess

import "github.com/patchcycle/patchcycle/patching"

// systems are the ids of os-release(5) by the NAME beside them, which is what assets are
// known by.
var systems = map[string]string{
	"Debian GNU/Linux": "debian", "Ubuntu": "ubuntu", "AlmaLinux": "almalinux", "Rocky Linux": "rocky",
	"Red Hat Enterprise Linux": "rhel", "Red Hat Enterprise Linux Server": "rhel", "CentOS Stream": "centos", "CentOS Linux": "centos",
	"Oracle Linux Server": "ol", "Fedora Linux": "fedora", "Fedora": "fedora", "Amazon Linux": "amzn",
	"SLES": "sles", "SLES_SAP": "sles", "openSUSE Leap": "opensuse-leap", "openSUSE Tumbleweed": "opensuse-tumbleweed",
}

// PlatformOf is what advisories call the system of an asset; the zero platform if it is
// none that we know by its name.
func PlatformOf(on patching.OS) patching.Platform {
	if on.Family == "windows" {
		return patching.Platform{ID: "windows", Release: on.Name}
	}
	id, known := systems[on.Name]
	if !known {
		return patching.Platform{}
	}
	return patching.Platform{ID: id, Release: on.Release}
}
