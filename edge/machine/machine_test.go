package machine

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/probation"
	"github.com/patchcycle/patchcycle/integrations/packages"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

func TestAMachineWithoutAManagerIsSeenWithoutPackages(t *testing.T) {
	m, err := New(Options{})
	require.NoError(t, err)
	m.manager = packages.None{}
	a, err := m.Inventory(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, a.Hostname)
	require.Empty(t, a.Manager)
	require.Empty(t, a.Packages)
	_, err = m.Content(t.Context(), a.Packages)
	require.Error(t, err)
	_, err = m.Simulate(t.Context(), nil)
	var f *agent.Failure
	require.ErrorAs(t, err, &f)
	require.Equal(t, patching.ReasonManagerUnknown, f.Reason)
}

func TestAMachineSaysWhyItCanOnlyBeLookedAt(t *testing.T) {
	require.Empty(t, hindrance(true, true, "apt"))
	require.Contains(t, hindrance(false, true, "apt"), "Only root")
	require.Contains(t, hindrance(true, false, "apt"), "systemd does not run it")
	require.Contains(t, hindrance(true, true, ""), "no package manager")
}

func TestAPackageIsFoundThoughItsArchitectureChanged(t *testing.T) {
	all := []packages.Installed{
		{Package: patching.Package{Name: "libc6", Arch: "amd64", Version: "2"}},
		{Package: patching.Package{Name: "libc6", Arch: "i386", Version: "1"}, Broken: true},
		{Package: patching.Package{Name: "tool", Arch: "all", Version: "7"}},
	}
	at := func(name, arch string) agent.Standing {
		return standing(all, patching.Patch{Name: name, Arch: arch}, "6.1.0-40-amd64")
	}
	require.Equal(t, agent.Standing{Version: "2"}, at("libc6", "amd64"))
	require.Equal(t, agent.Standing{Version: "1", Broken: true}, at("libc6", "i386"))
	require.Equal(t, agent.Standing{}, at("libc6", "arm64"))
	require.Equal(t, agent.Standing{Version: "7"}, at("tool", "amd64"), "it was made for all before")
	require.Equal(t, agent.Standing{}, at("none", "amd64"))
}

func TestTheKernelThatRunsIsKnown(t *testing.T) {
	var all []packages.Installed
	for _, name := range []string{"linux-image-6.1.0-40-amd64", "linux-image-6.1.0-41-amd64", "linux-image-amd64"} {
		all = append(all, packages.Installed{Package: patching.Package{Name: name, Arch: "amd64", Version: "1"}})
	}
	for name, want := range map[string]agent.Standing{
		"linux-image-6.1.0-40-amd64":   {Version: "1", Running: true},
		"linux-image-6.1.0-41-amd64":   {Version: "1"},
		"linux-image-amd64":            {Version: "1"},
		"linux-headers-6.1.0-40-amd64": {},
	} {
		require.Equal(t, want, standing(all, patching.Patch{Name: name, Arch: "amd64"}, "6.1.0-40-amd64"), name)
	}
}

// Serves Q13: an order brings a release of the agent once. The next order may.
func TestAReleaseOfTheAgentThatWasPutBackIsNotInstalledAgainByItsOrder(t *testing.T) {
	m, _ := newMachine(t)
	m.o.Releases = t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(m.o.Releases, "release"), 0o700))
	record := func(state probation.State) {
		text, err := json.Marshal(probation.Record{From: "1.0", To: "1.1", Order: "o-1", State: state, Why: "it had not reported in 10m0s after it was installed."})
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(m.o.Releases, "release", "record.json"), text, 0o600))
	}
	of := func(id patching.OrderID) context.Context { return agent.WithOrder(t.Context(), trust.Order{ID: id}) }
	release := []patching.Patch{{Name: "hello", To: "2"}, {Name: probation.Package, From: "1.0", To: "1.1"}}
	back := []patching.Patch{{Name: probation.Package, From: "1.1", To: "1.0"}}

	require.NoError(t, m.putBack(of("o-1"), release), "there was none")
	record(probation.Passed)
	require.NoError(t, m.putBack(of("o-1"), release))
	record(probation.PutBack)
	err := m.putBack(of("o-1"), release)
	var known *agent.Failure
	require.ErrorAs(t, err, &known)
	require.Equal(t, patching.ReasonInstallFailed, known.Reason)
	require.Equal(t, "patchcycle-agent: does not report in", known.Signature)
	require.Equal(t, "Release 1.1 of the agent was installed and put back to 1.0: it had not reported in 10m0s after it was installed.", known.Detail)
	require.NoError(t, m.putBack(of("o-1"), back))
	require.NoError(t, m.putBack(of("o-2"), release))
	require.NoError(t, m.putBack(t.Context(), release))
}
