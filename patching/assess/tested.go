package assess

import (
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Tested are patches as a cycle tests them: from which version a machine came matters less
// than what is there afterwards.
type Tested map[testedPatch]bool

type testedPatch struct {
	action         patching.Action
	name, arch, to string
}

func asTested(p patching.Patch) testedPatch { return testedPatch{p.Action, p.Name, p.Arch, p.To} }

// Add notes what a bundle installs.
func (t Tested) Add(b patching.Bundle) {
	for _, p := range b.Patches() {
		t[asTested(p)] = true
	}
}

// Lacks names what a bundle would install, with the version, and none of those noted does.
func (t Tested) Lacks(b patching.Bundle) (names []string) {
	for _, p := range b.Patches() {
		if !t[asTested(p)] {
			names = append(names, strings.TrimSpace(p.Name+" "+p.To))
		}
	}
	return names
}
