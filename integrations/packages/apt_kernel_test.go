package packages

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

func kernels(names ...string) (all []Installed) {
	for _, n := range names {
		all = append(all, Installed{Package: patching.Package{Name: n, Arch: "amd64", Version: "6.1.123-1"}})
	}
	return all
}

// Serves Q3.
func TestTheRunningTheNewestAndTheHeldKernelsStay(t *testing.T) {
	all := kernels("linux-image-6.1.0-9-amd64", "linux-image-6.1.0-10-amd64", "linux-image-6.1.0-11-amd64", "linux-image-6.1.0-12-amd64",
		"linux-image-6.1.0-13-amd64", "linux-image-6.1.0-9-cloud-amd64", "linux-image-amd64", "linux-headers-6.1.0-9-amd64", "linux-headers-6.1.0-13-amd64")
	boots := func(string) bool { return true }
	gone := func(running string, bootable func(string) bool) (names []string) {
		for _, p := range superseded(all, running, bootable) {
			names = append(names, p.Name)
		}
		return names
	}
	require.Equal(t, []string{"linux-image-6.1.0-9-amd64", "linux-image-6.1.0-11-amd64", "linux-headers-6.1.0-9-amd64"}, gone("6.1.0-10-amd64", boots))
	all[0].Held = true
	require.Equal(t, []string{"linux-image-6.1.0-11-amd64"}, gone("6.1.0-10-amd64", boots), "somebody keeps one, and with it its headers")
	all[0].Held = false
	require.Empty(t, gone("6.18.44-host", boots), "a container: the kernel that runs is none of these")
	require.Empty(t, gone("6.1.0-10-amd64", func(string) bool { return false }), "nothing in /boot: it starts by other means")
	newestCannotBoot := func(release string) bool { return release != "6.1.0-13-amd64" }
	require.Equal(t, []string{"linux-image-6.1.0-9-amd64", "linux-headers-6.1.0-9-amd64"}, gone("6.1.0-10-amd64", newestCannotBoot), "it counts for none that stays")
	all[4].Broken = true
	require.Equal(t, []string{"linux-image-6.1.0-9-amd64", "linux-headers-6.1.0-9-amd64"}, gone("6.1.0-10-amd64", boots))
}

func TestANewerBuildOfTheRunningKernelWantsARestart(t *testing.T) {
	const built = "Linux version 6.1.0-29-amd64 (debian-kernel@lists.debian.org) (gcc-12) #1 SMP PREEMPT_DYNAMIC Debian 6.1.120-1 (2024-12-19)\n"
	all := kernels("linux-image-6.1.0-29-amd64", "linux-image-6.1.0-28-amd64")
	require.Equal(t, "linux-image-6.1.0-29-amd64", rebuiltKernel(all, "6.1.0-29-amd64", built))
	all[0].Version = "6.1.120-1"
	require.Empty(t, rebuiltKernel(all, "6.1.0-29-amd64", built))
	require.Empty(t, rebuiltKernel(all, "6.18.44", "Linux version 6.18.44 (somebody) #1 SMP\n"))
}
