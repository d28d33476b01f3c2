package sim

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/patchcycle/patchcycle/lab/fixtures/debian"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// manager is the package manager that all simulated machines have.
const manager = "apt"

// image is what was installed on a machine before its first cycle. Machines of
// the same role and variant share one.
type image struct {
	packages map[string]patching.Package // by name
}

// offer is a version that an update suite has.
type offer struct {
	debian.Stanza
	suite *debian.Suite
}

// catalog knows what the archive has, for all machines of a fleet.
type catalog struct {
	archive *debian.Archive
	seed    uint64
	offers  map[string]offer // the newest of all update suites, by name

	mu     sync.Mutex
	images map[imageKey]*image
	newer  map[[2]string]bool // is offers[name] newer than this version
	texts  map[patching.Digest][]byte
}

type imageKey struct {
	role    string
	variant truth.Variant
}

func newCatalog(seed uint64) (*catalog, error) {
	archive, err := debian.Load()
	if err != nil {
		return nil, err
	}
	c := &catalog{
		archive: archive, seed: seed, offers: map[string]offer{},
		images: map[imageKey]*image{}, newer: map[[2]string]bool{}, texts: map[patching.Digest][]byte{},
	}
	for _, suite := range archive.Updates {
		for p := range suite.Packages() {
			have, ok := c.offers[p.Name]
			if !ok {
				c.offers[p.Name] = offer{p, suite}
				continue
			}
			newer, err := debian.Newer(p.Version, have.Version)
			if err != nil {
				return nil, err
			}
			if newer {
				c.offers[p.Name] = offer{p, suite}
			}
		}
	}
	return c, nil
}

// image returns the image of a machine, made when it is first asked for.
func (c *catalog) image(role string, v truth.Variant) (*image, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := imageKey{role, v}
	if img, ok := c.images[key]; ok {
		return img, nil
	}
	seeds, ok := c.archive.Roles[role]
	if !ok {
		return nil, fmt.Errorf("the archive fixture has no role %q", role)
	}
	installed, err := c.archive.Main.Closure(slices.Concat(seeds, c.archive.Roles["base"])...)
	if err != nil {
		return nil, fmt.Errorf("role %s: %w", role, err)
	}
	img := &image{packages: map[string]patching.Package{}}
	for _, p := range installed {
		img.packages[p.Name] = packageOf(p)
	}
	for _, p := range installed {
		up, ok := c.newerLocked(p.Name, p.Version)
		if ok && truth.Patched(c.seed, role, v, sourceOf(p)) {
			img.packages[p.Name] = packageOf(up.Stanza)
			for _, d := range c.brings(up.Stanza, img.has) {
				img.packages[d.Name] = packageOf(d.Stanza)
			}
		}
	}
	c.images[key] = img
	return img, nil
}

func (i *image) has(name string) bool { _, ok := i.packages[name]; return ok }

// update returns the update suites' version of a package if it is newer.
func (c *catalog) update(name, version string) (offer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newerLocked(name, version)
}

func (c *catalog) newerLocked(name, version string) (offer, bool) {
	o, ok := c.offers[name]
	if !ok {
		return offer{}, false
	}
	key := [2]string{name, version}
	newer, known := c.newer[key]
	if !known {
		// Versions of the archive always parse; one that does not is not updated.
		newer, _ = debian.Newer(o.Version, version)
		c.newer[key] = newer
	}
	return o, newer
}

// find returns the package file of that version, from wherever the archive has it.
func (c *catalog) find(name, version string) (offer, bool) {
	if o, ok := c.offers[name]; ok && o.Version == version {
		return o, true
	}
	if p, ok := c.archive.Main.Package(name); ok && p.Version == version {
		return offer{p, c.archive.Main}, true
	}
	return offer{}, false
}

// brings returns the packages that the update suites have only since this
// version: apt installs them along ("linux-image-amd64" brings the kernel
// itself, under a name of its own).
func (c *catalog) brings(p debian.Stanza, has func(string) bool) []offer {
	var along []offer
	for _, alternatives := range p.Depends {
		if slices.ContainsFunc(alternatives, has) {
			continue
		}
		for _, a := range alternatives {
			if o, ok := c.offers[a]; ok {
				along = append(along, o)
				break
			}
		}
	}
	return along
}

// keep remembers a text under its address. A fleet has a few thousand at most:
// machines share them.
func (c *catalog) keep(text []byte) patching.Digest {
	d := patching.DigestOf(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.texts[d]; !ok {
		c.texts[d] = text
	}
	return d
}

func (c *catalog) text(d patching.Digest) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.texts[d]
	return t, ok
}

func packageOf(p debian.Stanza) patching.Package {
	return patching.Package{Name: p.Name, Arch: p.Arch, Version: p.Version, Source: p.Source, SourceVersion: p.SourceVersion}
}

func sourceOf(p debian.Stanza) string {
	if p.Source != "" {
		return p.Source
	}
	return p.Name
}

func candidateOf(o offer, from string) patching.Candidate {
	return patching.Candidate{
		Name: o.Name, Arch: o.Arch, From: from, To: o.Version,
		Origin: o.suite.Label, Codename: o.suite.Codename, Security: o.suite.Security,
		Size: o.Size, SHA256: o.SHA256, NeedsReboot: isKernel(o.Name),
	}
}

// isKernel reports whether a package runs only after a restart.
func isKernel(name string) bool { return strings.HasPrefix(name, "linux-image-") }

// newestKernel returns what uname -r would say after a restart.
func newestKernel(packages iter.Seq[patching.Package]) string {
	newest, version := "", ""
	for p := range packages {
		release, ok := kernelRelease(p.Name)
		if !ok {
			continue
		}
		if newer, err := debian.Newer(p.Version, version); version == "" || err == nil && newer {
			newest, version = release, p.Version
		}
	}
	return newest
}

// kernelRelease returns the release of the kernel that a package is, as uname
// -r gives it. The package that only depends on one is none.
func kernelRelease(name string) (string, bool) {
	release, ok := strings.CutPrefix(name, "linux-image-")
	return release, ok && release != "amd64"
}
