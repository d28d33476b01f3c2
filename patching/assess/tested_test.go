package assess_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// Serves G5, U1.
func TestAPatchIsTestedWhateverVersionAMachineCameFrom(t *testing.T) {
	bundle := func(all ...patching.Patch) patching.Bundle {
		return patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: all}}}
	}
	openssl := patching.Patch{Action: patching.Upgrade, Name: "openssl", Arch: "amd64", From: "1", To: "3"}
	tested := assess.Tested{}
	tested.Add(bundle(openssl))
	later, foreign, gone, newer := openssl, openssl, openssl, openssl
	later.From, foreign.Arch, newer.To = "2", "arm64", "4"
	gone.Action, gone.To = patching.Remove, ""
	assert.Empty(t, tested.Lacks(bundle(openssl, later)))
	assert.Equal(t, []string{"openssl 3", "openssl", "openssl 4"}, tested.Lacks(bundle(foreign, gone, later, newer)))
	assert.Empty(t, tested.Lacks(patching.Bundle{}))
}
