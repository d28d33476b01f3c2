package packages

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

func tool(version string, scripts map[string]string) deb {
	return deb{name: "tool", version: version, scripts: scripts}
}

var fails = map[string]string{"postinst": "echo tool: cannot migrate\nexit 1\n"}

// Serves L3, G15.
func TestExactlyTheApprovedVersionIsInstalledThoughANewerOneIsOffered(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), tool("1.1", nil), tool("1.2", nil), deb{name: "other", version: "1"}, deb{name: "other", version: "2"})
	w.install("tool=1.0", "other=1")
	require.NoError(t, w.apt.Fetch(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
	require.Equal(t, "1.0", w.state("tool"), "a download installs nothing")
	require.FileExists(t, w.root+"/var/cache/apt/archives/tool_1.1_"+w.arch+".deb")
	require.NoError(t, os.Remove(w.root+"/archive/tool_1.1_"+w.arch+".deb"))
	require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}), "it needs the archive no more")
	require.Equal(t, "1.1", w.state("tool"))
	require.Equal(t, "1", w.state("other"), "which nobody ordered")
	for _, act := range w.acts {
		require.NotContains(t, act, "--allow-downgrades")
		require.Contains(t, act, " -- tool:"+w.arch+"=1.", "names stand after --")
	}
}

func TestWhatIsInPlaceIsInstalledAgainWithoutHarm(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil))
	w.install("tool=1.0")
	w.install("tool=1.0")
	require.Equal(t, "1.0", w.state("tool"))
}

// Serves G9.
func TestOnlyADowngradeGoesBack(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), tool("1.1", nil))
	w.install("tool=1.1")
	e := known(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "0.9", "1.0")}))
	require.Equal(t, patching.ReasonPlanStale, e.Reason, "the machine has a newer one than was approved")
	require.Equal(t, "1.1", w.state("tool"))
	require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.patch(patching.Downgrade, "tool", "1.1", "1.0")}))
	require.Equal(t, "1.0", w.state("tool"))
	require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.patch(patching.Remove, "tool", "1.0", "")}))
	require.Empty(t, w.state("tool"))
}

// Serves L3, G15.
func TestAptRemovesNothingUnlessARemovalWasApproved(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), deb{name: "tool", version: "1.1", fields: "Conflicts: other\n"}, deb{name: "other", version: "1"})
	w.install("tool=1.0", "other=1")
	e := known(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
	require.Equal(t, patching.ReasonPlanStale, e.Reason, e.Detail)
	require.Equal(t, "1.0", w.state("tool"))
	require.Equal(t, "1", w.state("other"), "which nobody approved to remove")
	require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1"), w.patch(patching.Remove, "other", "1", "")}))
	require.Equal(t, "1.1", w.state("tool"))
	require.Empty(t, w.state("other"))
}

// Serves Q8, Q4.
func TestAFailedScriptIsThePackagesAndGoingBackCuresIt(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), tool("1.1", fails), deb{name: "other", version: "1"}, deb{name: "other", version: "2"})
	w.install("tool=1.0", "other=1")
	e := known(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
	require.Equal(t, patching.ReasonInstallFailed, e.Reason)
	require.Equal(t, "tool: postinst", e.Signature)
	require.Contains(t, e.Detail, "tool: cannot migrate", "what the script said")
	require.Equal(t, "1.1 broken", w.state("tool"))

	require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("other", "1", "2")}), "the next order is not to blame")
	require.Equal(t, "2", w.state("other"))
	e = known(t, w.apt.Repair(t.Context()))
	require.Equal(t, "tool: postinst", e.Signature, "its script fails again")
	require.Equal(t, "1.1 broken", w.state("tool"))

	require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.patch(patching.Downgrade, "tool", "1.1", "1.0")}))
	require.Equal(t, "1.0", w.state("tool"))
}

// Serves Q8.
func TestATriggerThatBreaksAnotherPackageIsToldThoughThePatchIsInPlace(t *testing.T) {
	w := newTree(t)
	w.publish(
		deb{name: "indexer", version: "1", scripts: map[string]string{
			"postinst": "[ \"$1\" = triggered ] || exit 0\necho indexer: no room\nexit 1\n",
			"triggers": "",
		}},
		tool("1.0", nil), deb{name: "tool", version: "1.1", files: map[string]string{"usr/share/indexed/x": "x"}},
	)
	w.install("indexer=1", "tool=1.0")
	// A trigger is declared in a file of the control archive.
	w.write("var/lib/dpkg/triggers/File", "/usr/share/indexed indexer\n")
	w.write("var/lib/dpkg/info/indexer.triggers", "interest /usr/share/indexed\n")
	e := known(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
	require.Equal(t, patching.ReasonInstallFailed, e.Reason)
	require.Equal(t, "indexer: postinst", e.Signature)
	require.Equal(t, "1.1", w.state("tool"))
	require.Equal(t, "1 broken", w.state("indexer"))
}

func TestAChangedSettingsFileStaysUnlessPolicyTakesThePackages(t *testing.T) {
	for _, takesNew := range []bool{false, true} {
		w := newTree(t)
		w.apt.o.NewConffiles = takesNew
		conf := func(version, text string) deb {
			return deb{name: "tool", version: version, conffiles: "/etc/tool.conf\n", files: map[string]string{"etc/tool.conf": text}}
		}
		w.publish(conf("1.0", "old\n"), conf("1.1", "new\n"))
		w.install("tool=1.0")
		w.write("etc/tool.conf", "ours\n")
		require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
		if takesNew {
			require.Equal(t, "new\n", w.read("etc/tool.conf"))
			require.Equal(t, "ours\n", w.read("etc/tool.conf.dpkg-old"))
		} else {
			require.Equal(t, "ours\n", w.read("etc/tool.conf"))
			require.Equal(t, "new\n", w.read("etc/tool.conf.dpkg-dist"))
		}
	}
}

func TestWhatIsOnHoldIsRefusedByName(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), tool("1.1", nil), deb{name: "base", version: "1"}, deb{name: "base", version: "2"})
	w.install("tool=1.0", "base=1")
	status := strings.Replace(w.read("var/lib/dpkg/status"), "Package: tool\nStatus: install ok", "Package: tool\nStatus: hold ok", 1)
	w.write("var/lib/dpkg/status", status)
	acts := len(w.acts)
	e := known(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1"), w.upgrade("base", "1", "2")}))
	require.Equal(t, patching.ReasonHostRules, e.Reason)
	require.Contains(t, e.Detail, "apt-mark unhold tool")
	require.Len(t, w.acts, acts, "nothing was started")
	require.Equal(t, "1", w.state("base"))
}

// Serves Q4.
func TestAKillBetweenUnpackingAndConfiguringIsRepaired(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), tool("1.1", map[string]string{"postinst": "[ -e " + w.root + "/ready ] || kill -9 $PPID\n"}))
	w.install("tool=1.0")
	e := known(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
	require.Equal(t, patching.ReasonUnknown, e.Reason, "who killed it cannot be told")
	require.Equal(t, "1.1 broken", w.state("tool"))
	s, err := w.apt.State(t.Context())
	require.NoError(t, err)
	require.True(t, s.Interrupted)
	_, err = w.apt.Simulate(t.Context(), []patching.Patch{w.patch(patching.Downgrade, "tool", "1.1", "1.0")})
	require.NoError(t, err)

	w.write("ready", "")
	require.NoError(t, w.apt.Repair(t.Context()))
	require.Equal(t, "1.1", w.state("tool"))
	s, err = w.apt.State(t.Context())
	require.NoError(t, err)
	require.False(t, s.Interrupted)
	require.NoError(t, w.apt.Repair(t.Context()), "nothing is left to do")
}

// Serves G9.
func TestGoingBackAfterAKillDoesNotRunTheScriptsAgain(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), tool("1.1", map[string]string{"postinst": "echo ran >> " + w.root + "/ran\nkill -9 $PPID\n"}))
	w.install("tool=1.0")
	require.Error(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
	require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.patch(patching.Downgrade, "tool", "1.1", "1.0")}))
	require.Equal(t, "1.0", w.state("tool"))
	require.Equal(t, "ran\n", w.read("ran"))
}

// Serves Q4.
func TestAKillWhileUnpackingIsCuredByUnpackingTheSameVersionAgain(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), deb{name: "tool", version: "1.1", scripts: map[string]string{"preinst": "kill -9 $PPID\n"}}, tool("1.2", nil))
	w.install("tool=1.0")
	require.Error(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
	state := w.state("tool")
	require.Contains(t, state, "damaged")
	version, _, _ := strings.Cut(state, " ")
	require.NoError(t, os.Remove(w.root+"/usr/share/tool/version"))
	require.NoError(t, w.apt.Repair(t.Context()))
	require.Equal(t, version, w.state("tool"), "not the newest")
	require.Contains(t, w.acts[len(w.acts)-1], " --no-remove ")
	require.Equal(t, version+"\n", w.read("usr/share/tool/version"), "its files are back")
}

func TestADamagedPackageWhoseVersionIsGoneIsNotReplacedByAnother(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), deb{name: "tool", version: "1.1", scripts: map[string]string{"preinst": "kill -9 $PPID\n"}})
	w.install("tool=1.0")
	require.Error(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
	state := w.state("tool")
	version, _, _ := strings.Cut(state, " ")
	w.withdraw("tool", version)
	e := known(t, w.apt.Repair(t.Context()))
	require.Equal(t, patching.ReasonPlanStale, e.Reason, e.Detail)
	require.Equal(t, state, w.state("tool"))
}

// Serves Q5.
func TestWhatTheSourceDoesNotHaveOrHasChangedIsTheSources(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), tool("1.1", nil))
	w.install("tool=1.0")
	up := []patching.Patch{w.upgrade("tool", "1.0", "1.1")}
	archive := w.root + "/archive/tool_1.1_" + w.arch + ".deb"
	text, err := os.ReadFile(archive)
	require.NoError(t, err)
	text[len(text)-20] ^= 1
	require.NoError(t, os.WriteFile(archive, text, 0o644))
	e := known(t, w.apt.Fetch(t.Context(), up))
	require.Equal(t, patching.ReasonDownload, e.Reason)
	require.Equal(t, "fetch: not the bytes that were promised", e.Signature)
	require.NoError(t, os.Remove(archive))
	require.Equal(t, patching.ReasonDownload, known(t, w.apt.Fetch(t.Context(), up)).Reason)
	e = known(t, w.apt.Install(t.Context(), up))
	require.Equal(t, patching.ReasonDownload, e.Reason, "not the patch's")
	require.NoError(t, os.Remove(w.root+"/archive/Packages"))
	require.Equal(t, patching.ReasonDownload, known(t, w.apt.Update(t.Context())).Reason)
}

func TestALockOfAnotherProgramIsWaitedForAndNamed(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil))
	lock, err := os.OpenFile(w.root+"/var/lib/apt/lists/lock", os.O_RDWR|os.O_CREATE, 0o640)
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, syscall.FcntlFlock(lock.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK}))
	e := known(t, w.apt.Update(t.Context()))
	require.Equal(t, patching.ReasonLocked, e.Reason)
	require.Contains(t, e.Detail, "It is held by process")
}

// Serves Q3.
func TestCleaningEmptiesTheCacheAndRemovesWhatKernelsAreSuperseded(t *testing.T) {
	w := newTree(t)
	kernel := func(release string) deb {
		return deb{name: "linux-image-" + release, version: "1", files: map[string]string{"boot/vmlinuz-" + release: strings.Repeat("x", 5000)}}
	}
	w.publish(kernel("6.1.0-9-amd64"), kernel("6.1.0-10-amd64"), kernel("6.1.0-11-amd64"), kernel("6.1.0-12-amd64"), deb{name: "linux-headers-6.1.0-9-amd64", version: "1"})
	w.write("proc/sys/kernel/osrelease", "6.1.0-10-amd64\n")
	w.install("linux-image-6.1.0-9-amd64=1", "linux-image-6.1.0-10-amd64=1", "linux-image-6.1.0-11-amd64=1", "linux-image-6.1.0-12-amd64=1", "linux-headers-6.1.0-9-amd64=1")
	w.write("boot/initrd.img-6.1.0-9-amd64", strings.Repeat("i", 100_000))
	_, err := w.apt.Clean(t.Context(), []string{"linux-image-6.1.0-9-amd64"})
	require.NoError(t, err)
	require.Equal(t, "1", w.state("linux-image-6.1.0-9-amd64"), "the machine's own rules keep it")
	freed, err := w.apt.Clean(t.Context(), nil)
	require.NoError(t, err)
	require.Greater(t, freed, int64(100_000))
	require.Empty(t, w.state("linux-image-6.1.0-9-amd64"))
	require.Empty(t, w.state("linux-headers-6.1.0-9-amd64"))
	for _, release := range []string{"6.1.0-10-amd64", "6.1.0-11-amd64", "6.1.0-12-amd64"} {
		require.Equal(t, "1", w.state("linux-image-"+release), release)
	}
	archives, err := filepath.Glob(w.root + "/var/cache/apt/archives/*.deb")
	require.NoError(t, err)
	require.Empty(t, archives)
	freed, err = w.apt.Clean(t.Context(), nil)
	require.NoError(t, err)
	require.Less(t, freed, int64(100_000), "nothing is left but apt's own index")
}

func TestARoomIsAskedForWhatIsUnpacked(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), tool("1.1", nil), deb{name: "linux-image-6.1.0-12-amd64", version: "1"})
	w.install("tool=1.0")
	room, err := w.apt.Room(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1"), w.patch(patching.Install, "linux-image-6.1.0-12-amd64", "", "1")})
	require.NoError(t, err)
	require.Equal(t, Room{Grows: 8 << 10, Peak: 8 << 10, Kernels: 1}, room)
}

// Whoever is installed because another needs it stays so: otherwise no machine
// could ever be tidied by its owner again.
func TestAnUpgradeDoesNotMarkPackagesAsWanted(t *testing.T) {
	w := newTree(t)
	w.publish(tool("1.0", nil), tool("1.1", nil))
	w.install("tool=1.0")
	w.write("var/lib/apt/extended_states", "Package: tool\nArchitecture: "+w.arch+"\nAuto-Installed: 1\n\n")
	require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.upgrade("tool", "1.0", "1.1")}))
	require.Contains(t, w.read("var/lib/apt/extended_states"), "Auto-Installed: 1")
	w.write("var/lib/apt/extended_states", "")
	require.NoError(t, w.apt.Install(t.Context(), []patching.Patch{w.patch(patching.Downgrade, "tool", "1.1", "1.0")}))
	require.NotContains(t, w.read("var/lib/apt/extended_states"), "Auto-Installed: 1", "somebody wanted this one")
}
