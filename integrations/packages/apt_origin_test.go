package packages

import (
	"crypto/sha256"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// publishedBy gives an archive of the tree's a Release file, by which apt knows whose it is.
func (w *tree) publishedBy(archive, origin string) {
	w.t.Helper()
	index := w.read(archive + "/Packages")
	w.write(archive+"/Release", fmt.Sprintf("Origin: %s\nLabel: %s\nSuite: stable\nCodename: stable\nArchitectures: %s\nSHA256:\n %x %d Packages\n",
		origin, origin, w.arch, sha256.Sum256([]byte(index)), len(index)))
}

// Serves G1: software that no feed covers is known by where it comes from.
func TestWhatDoesNotComeFromTheDistributionIsNamedWithItsOrigin(t *testing.T) {
	w := newTree(t)
	w.write("etc/dpkg/origins/default", "Vendor: Debian\nVendor-URL: https://www.debian.org/\n")
	w.publish(deb{name: "dpkg", version: "1.0"}, deb{name: "tool", version: "1.0"}, deb{name: "gone", version: "1.0"},
		deb{name: "docker-ce", version: "1.0"}, deb{name: "agent", version: "1.0"})
	w.install("dpkg=1.0", "tool=1.0", "gone=1.0", "docker-ce=1.0", "agent=1.0")
	foreign := func() []patching.Foreign {
		t.Helper()
		require.NoError(t, w.apt.Update(t.Context()))
		set, err := w.apt.Candidates(t.Context())
		require.NoError(t, err)
		_, err = patching.ParseCandidateSet(set.Canonical())
		require.NoError(t, err, "the server takes it")
		return set.Foreign
	}
	require.Empty(t, foreign(), "an archive that does not say whose it is may be the distribution's")

	// docker-ce moves to a repository of its own, which has a newer one by now; agent to one
	// that says nothing of itself, and nobody has gone any more. tool is newer in Debian.
	stanza := func(name string) string { return w.published[fmt.Sprintf("%s_1.0_%s.deb", name, w.arch)] }
	docker := strings.ReplaceAll(stanza("docker-ce"), "Version: 1.0", "Version: 2.0")
	agent := stanza("agent")
	for _, name := range []string{"docker-ce", "agent", "gone", "tool"} {
		w.withdraw(name, "1.0")
	}
	w.publish(deb{name: "tool", version: "1.1"})
	w.publishedBy("archive", "Debian")
	w.write("docker/Packages", docker)
	w.publishedBy("docker", "Docker\tInc.")
	w.write("flat/Packages", agent)
	const others = "etc/apt/sources.list.d/others.list"
	w.write(others, "deb [trusted=yes] copy:"+w.root+"/docker ./\ndeb [trusted=yes] copy:"+w.root+"/flat ./\n")
	require.Equal(t, []patching.Foreign{
		{Name: "agent", Origin: "a repository without a name"}, {Name: "docker-ce", Origin: "Docker Inc."}, {Name: "gone"},
	}, foreign())

	w.write(others, "")
	require.Equal(t, []patching.Foreign{{Name: "agent"}, {Name: "docker-ce"}, {Name: "gone"}}, foreign(), "nobody offers them any more")

	w.withdraw("dpkg", "1.0")
	w.publishedBy("archive", "Debian")
	require.Empty(t, foreign(), "the lists are not whole: all would look foreign")
	w.publish(deb{name: "dpkg", version: "1.0"})
	w.publishedBy("archive", "Debian")
	require.NotEmpty(t, foreign())
	w.write("etc/dpkg/origins/default", "Vendor-URL: https://www.debian.org/\n")
	require.Empty(t, foreign(), "whose distribution it is, is not known")
}

func TestWhatNobodyOffersOnThisMachineIsWhatAptCallsLocal(t *testing.T) {
	a := thisMachine(t)
	foreign, err := a.foreign(t.Context())
	require.NoError(t, err)
	ours := []string{}
	for _, f := range foreign {
		if require.NotEqual(t, "Debian", f.Origin); f.Origin == "" {
			ours = append(ours, f.Name)
		}
	}
	list, err := exec.CommandContext(t.Context(), "apt", "list", "--installed").Output()
	require.NoError(t, err)
	local := []string{}
	for _, line := range lines(list) {
		if name, rest, ok := strings.Cut(line, "/"); ok && strings.Contains(rest, ",local") {
			local = append(local, name)
		}
	}
	// apt also calls local what the distribution offers in an older version, as it would where
	// the machine was patched from a snapshot and its own lists are older.
	require.Subset(t, local, ours)
	tables, err := exec.CommandContext(t.Context(), "apt-cache", append([]string{"policy"}, local...)...).Output()
	require.NoError(t, err)
	for _, name := range local {
		require.Equal(t, slices.Contains(ours, name), len(parseTables(tables)[name]) == 1, name)
	}
}

func TestTablesOfVersionsAreReadByPackageAndVersion(t *testing.T) {
	got := parseTables([]byte(`libc6:
  Installed: 2.36-9
  Candidate: 2.36-9+deb12u9
  Package pin: 2.36-9
  Version table:
     2.36-9+deb12u9 500
        500 http://mirror.example/debian bookworm/main amd64 Packages
 *** 2.36-9 100
        100 /var/lib/dpkg/status
libc6:i386:
  Installed: 2.36-9
  Candidate: 2.36-9
  Version table:
 *** 2.36-9 -1
         -1 http://mirror.example/flat  Packages
        100 /var/lib/dpkg/status
`))
	require.Equal(t, tables{
		"libc6": {
			"2.36-9+deb12u9": {"http://mirror.example/debian bookworm/main amd64 Packages"},
			"2.36-9":         {"/var/lib/dpkg/status"},
		},
		"libc6:i386": {"2.36-9": {"http://mirror.example/flat  Packages", "/var/lib/dpkg/status"}},
	}, got)
	known := releases{
		{archive: "now", list: "/var/lib/dpkg/status"},
		{source: "Debian", list: "http://mirror.example/debian bookworm/main amd64 Packages"},
		{source: "Flat", list: "http://mirror.example/flat  Packages"},
	}
	require.Equal(t, []release{known[2]}, got.of(patching.Package{Name: "libc6", Arch: "i386", Version: "2.36-9"}, known))
	require.Equal(t, []release{known[1]}, got.of(patching.Package{Name: "libc6", Arch: "amd64", Version: "2.36-9"}, known), "the archive has moved on")
	require.Empty(t, got.of(patching.Package{Name: "other", Arch: "amd64", Version: "1"}, known))
}
