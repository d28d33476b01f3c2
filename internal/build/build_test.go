package build

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestABuildSaysWhatItWasMadeFrom(t *testing.T) {
	stamped := &debug.BuildInfo{
		Deps:     []*debug.Module{{Path: "go.temporal.io/sdk", Version: "v1.50.0"}, {Path: "go.temporal.io/server", Version: "v1.32.1"}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
	}
	assert.Equal(t, "patchcycle v0.2.0\n  Commit           def\n  Go               "+runtime.Version()+", "+runtime.GOOS+"/"+runtime.GOARCH+
		"\n  Temporal server  1.32.1\n", of("v0.2.0", "def", stamped).Text("patchcycle"), "what the linker was told comes first")
	assert.Equal(t, "abc with changes", of("v0.2.0", "", stamped).Commit)
	stamped.Settings[1].Value = "false"
	assert.Equal(t, "abc", of("v0.2.0", "", stamped).Commit)

	bare := of("dev", "", &debug.BuildInfo{})
	assert.Equal(t, "patchcycle-agent dev\n  Commit           unknown, built from source\n  Go               "+runtime.Version()+", "+runtime.GOOS+"/"+runtime.GOARCH+"\n",
		bare.Text("patchcycle-agent"), "an agent embeds no Temporal server")
	assert.Equal(t, bare, of("dev", "", nil))
}
