package truth

import (
	"fmt"
	"math/rand/v2"

	"github.com/patchcycle/patchcycle/patching"
)

// kind is what machines of a role have in common.
type kind struct {
	name        string
	weight      int
	services    []string
	unit        string
	owner       string
	exposure    patching.Exposure
	criticality patching.Criticality
	data        string
}

var kinds = []kind{
	{"web", 20, []string{"nginx", "php8.2-fpm", "ssh"}, "online", "web-team", patching.Internet, patching.High, "public"},
	{"cms", 6, []string{"apache2", "ssh"}, "marketing", "web-team", patching.Internet, patching.Medium, "public"},
	{"app", 14, []string{"tomcat10", "ssh"}, "orders", "orders-team", patching.Internal, patching.High, "customer"},
	{"api", 12, []string{"gunicorn", "ssh"}, "orders", "orders-team", patching.Internal, patching.High, "customer"},
	{"db", 9, []string{"postgresql", "ssh"}, "orders", "data-team", patching.Isolated, patching.MissionCritical, "customer"},
	{"cache", 6, []string{"mariadb", "redis-server", "ssh"}, "online", "data-team", patching.Isolated, patching.High, "customer"},
	{"edge", 5, []string{"haproxy", "keepalived", "ssh"}, "network", "network-team", patching.Internet, patching.MissionCritical, "none"},
	{"dns", 3, []string{"named", "unbound", "ssh"}, "network", "network-team", patching.Internal, patching.MissionCritical, "none"},
	{"proxy", 3, []string{"squid", "ssh"}, "network", "network-team", patching.Internal, patching.Medium, "staff"},
	{"mail", 3, []string{"postfix", "dovecot", "ssh"}, "office", "office-team", patching.Internet, patching.Medium, "staff"},
	{"file", 4, []string{"smbd", "nfs-server", "ssh"}, "office", "office-team", patching.Internal, patching.Medium, "staff"},
	{"build", 5, []string{"docker", "ssh"}, "engineering", "build-team", patching.Internal, patching.Low, "source"},
	{"workstation", 10, []string{"NetworkManager", "cups"}, "office", "office-team", patching.ExposureUnknown, patching.Low, "staff"},
}

func drawRole(r *rand.Rand) kind {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	n := r.IntN(total)
	for _, k := range kinds {
		if n -= k.weight; n < 0 {
			return k
		}
	}
	return kinds[0]
}

func drawFacts(r *rand.Rand, m Machine, k kind) patching.Asset {
	hardware := [][2]string{{"Dell Inc.", "PowerEdge R650"}, {"HPE", "ProLiant DL360 Gen11"}, {"QEMU", "Standard PC (Q35 + ICH9, 2009)"}, {"Lenovo", "ThinkSystem SR630 V3"}}
	if k.name == "workstation" {
		hardware = [][2]string{{"Lenovo", "ThinkPad T14 Gen 4"}, {"Dell Inc.", "Latitude 5440"}}
	}
	maker := hardware[r.IntN(len(hardware))]
	tags := []string{k.name, stage(r)}
	if r.IntN(25) == 0 {
		tags = append(tags, "pet") // set up by hand, by somebody who has left
	}
	a := patching.Asset{
		Hostname:     fmt.Sprintf("%.3s-%s-%05d", m.Site.Name, k.name, m.Index+1),
		Site:         m.Site.Name,
		Zone:         m.Site.Zone,
		Addresses:    []string{fmt.Sprintf("10.%d.%d.%d", m.Index>>16&0xff, m.Index>>8&0xff, m.Index&0xff)},
		MACs:         []string{fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", m.Index>>24&0xff, m.Index>>16&0xff, m.Index>>8&0xff, m.Index&0xff)},
		Serial:       fmt.Sprintf("SIM%08X", r.Uint32()),
		Vendor:       maker[0],
		Model:        maker[1],
		OS:           patching.OS{Family: "debian", Name: "Debian GNU/Linux", Release: "12", Arch: "amd64"},
		BusinessUnit: k.unit,
		Owner:        k.owner,
		Tags:         tags,
		Exposure:     k.exposure,
		Criticality:  k.criticality,
		DataClass:    k.data,
		Services:     k.services,
		Manager:      "apt",
	}
	if maker[0] == "QEMU" {
		a.Cloud = fmt.Sprintf("i-%012x", r.Uint64()&0xffffffffffff)
	}
	if r.IntN(12) == 0 {
		a.OtherManagers = []string{"unattended-upgrades"}
	}
	return a
}

func stage(r *rand.Rand) string {
	switch n := r.IntN(100); {
	case n < 5:
		return "test"
	case n < 13:
		return "staging"
	default:
		return "production"
	}
}
