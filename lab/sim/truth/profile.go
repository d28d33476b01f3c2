// Package truth draws what is really so in a simulated fleet: which patch is
// bad and how, which machine is dead, whose clock is off. The product has to
// find it out from what machines report, so nothing that decides may import
// this package; a test of the imports keeps it.
package truth

import (
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Profile says how many machines there are and what is wrong with them. The
// same profile draws the same fleet.
type Profile struct {
	Machines int    `json:"machines"`
	Seed     uint64 `json:"seed"`
	// Sites share the machines; see [DefaultSites].
	Sites []Site `json:"sites"`
	// Bad are the patches that go wrong.
	Bad []Bad `json:"bad,omitempty"`
	// The rest counts machines, each of which has one thing wrong with it at most.

	// Dead machines send an inventory and then, when an installation is
	// ordered, are never heard of again.
	Dead int `json:"dead,omitempty"`
	// Flaky machines lose a third of their requests or of the answers to them.
	Flaky int `json:"flaky,omitempty"`
	// ClockOff machines live three days in the past.
	ClockOff int `json:"clock_off,omitempty"`
	// DiskFull machines have no room for a package.
	DiskFull int `json:"disk_full,omitempty"`
	// Slow machines take twenty times as long over everything.
	Slow int `json:"slow,omitempty"`
	// ObserveOnly machines have host rules that let nothing be installed.
	ObserveOnly int `json:"observe_only,omitempty"`
}

// Site is a place where machines stand.
type Site struct {
	Name patching.SiteName `json:"name"`
	Zone string            `json:"zone"` // IANA
}

// Bad is a patch that goes wrong.
type Bad struct {
	// Package is a binary package's name ("openssl").
	Package string `json:"package"`
	// Version is the one that is bad; empty is the newest that the archive's
	// updates have.
	Version string `json:"version,omitempty"`
	How     How    `json:"how"`
	// Rate is the share of the machines that install it on which it shows, 0 to 1.
	Rate float64 `json:"rate"`
}

// How is a way in which a patch goes wrong.
type How string

// The ways in which a patch goes wrong.
const (
	// PostinstFails every time; only another version helps.
	PostinstFails How = "postinst"
	// PostinstFailsOnce and succeeds when the package is configured again.
	PostinstFailsOnce How = "postinst-once"
	// ServiceDies after an installation that ends without an error.
	ServiceDies How = "service"
	// NoBoot lets the machine not come back from its next reboot.
	NoBoot How = "noboot"
	// Drags takes thirty times as long to install.
	Drags How = "slow"
)

// Hows lists the ways in which a patch goes wrong.
func Hows() []How {
	return []How{PostinstFails, PostinstFailsOnce, ServiceDies, NoBoot, Drags}
}

// DefaultSites returns n sites, each in a zone of its own as far as they reach:
// the first four lie in four zones. There are at most 500.
func DefaultSites(n int) []Site {
	known := []Site{
		{"berlin", "Europe/Berlin"},
		{"virginia", "America/New_York"},
		{"tokyo", "Asia/Tokyo"},
		{"saopaulo", "America/Sao_Paulo"},
		{"sydney", "Australia/Sydney"},
		{"mumbai", "Asia/Kolkata"},
		{"nairobi", "Africa/Nairobi"},
		{"auckland", "Pacific/Auckland"},
		{"london", "Europe/London"},
		{"denver", "America/Denver"},
	}
	var sites []Site
	for i := range min(n, 500) {
		s := known[i%len(known)]
		if i >= len(known) {
			s.Name = patching.SiteName(fmt.Sprintf("%s-%d", s.Name, i/len(known)+1))
		}
		sites = append(sites, s)
	}
	return sites
}

// Validate names the first field that is wrong.
func (p Profile) Validate() error {
	switch {
	case p.Machines < 1 || p.Machines > 1_000_000:
		return fmt.Errorf("machines: %d; want 1 to 1,000,000", p.Machines)
	case len(p.Sites) == 0:
		return errors.New("sites: none; want at least one")
	case p.troubled() > p.Machines:
		return fmt.Errorf("dead, flaky and the like: %d machines of %d", p.troubled(), p.Machines)
	}
	for _, s := range p.Sites {
		if !patching.ValidName(string(s.Name)) {
			return fmt.Errorf("sites: %q is no name; want lower-case letters, digits, dots and dashes", s.Name)
		}
		if _, err := time.LoadLocation(s.Zone); err != nil {
			return fmt.Errorf("site %s: zone: %w", s.Name, err)
		}
	}
	for _, b := range p.Bad {
		if err := b.validate(); err != nil {
			return err
		}
	}
	return nil
}

func (p Profile) troubled() int {
	return p.Dead + p.Flaky + p.ClockOff + p.DiskFull + p.Slow + p.ObserveOnly
}

func (b Bad) validate() error {
	if b.Rate < 0 || b.Rate > 1 {
		return fmt.Errorf("bad %s: rate %g; want 0 to 1", b.Package, b.Rate)
	}
	for _, h := range Hows() {
		if b.How == h {
			return nil
		}
	}
	return fmt.Errorf("bad %s: how %q; want one of %v", b.Package, b.How, Hows())
}
