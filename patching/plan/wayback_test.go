package plan_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
)

// Serves G9: before the approval, people read where going back would lead.
func TestAPlanSaysWhereGoingBackLeads(t *testing.T) {
	var (
		bash   = patching.Patch{Action: patching.Upgrade, Name: "bash", From: "1", To: "2", Reversible: patching.ByDowngrade}
		gone   = patching.Patch{Action: patching.Upgrade, Name: "gone", From: "1", To: "2", Reversible: patching.Irreversible}
		kernel = patching.Patch{Action: patching.Install, Name: "linux-image-6-amd64", To: "6.1", Reversible: patching.UnlessRunning}
		of     = func(p ...patching.Patch) patching.Bundle {
			return patching.Bundle{Steps: []patching.Step{{Patches: p}}}
		}
	)
	type added struct {
		b patching.Bundle
		n int
	}
	for name, c := range map[string]struct {
		added []added
		want  string
	}{
		"no machine": {nil, ""},
		"all can":    {[]added{{of(bash), 4}}, "Every machine can return to its earlier versions with the package manager."},
		"with a new kernel": {
			[]added{{of(bash), 4}, {of(bash, kernel), 1}, {of(kernel), 2}},
			"Every machine can return to its earlier versions with the package manager. What stays on a machine that has come to run it: linux-image-6-amd64 6.1 (3 machines).",
		},
		"some cannot": {
			[]added{{of(bash), 4}, {of(bash, gone, kernel), 2}},
			"2 of 6 machines have no way back with the package manager, because of gone 2 (2 machines): where one of them has to go back, a person gets a task that says what to do.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var w plan.WayBack
			for _, a := range c.added {
				_, undone := a.b.Revert()
				w.Add(a.b, undone, a.n)
			}
			assert.Equal(t, c.want, w.Words())
		})
	}
}
