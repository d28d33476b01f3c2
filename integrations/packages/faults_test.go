package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// recordedFault is a recording with what stood around it, and what has to be
// made of it. Packages are written as dpkg -l does: "iF tb-badpost 1.1".
type recordedFault struct {
	file string
	// fault says what was brought about; without it the recording shows no fault,
	// but what came after one.
	fault         string
	asked         string // "tb-badpost=1.1"
	before, after string // separated by semicolons; empty: nobody looked
	interrupted   bool   // dpkg's journal is not empty afterwards
	reason        patching.Reason
	signature     string
}

// recordedFaults has a row for every file in testdata/apt/faults.
var recordedFaults = []recordedFault{
	{file: "01-postinst-exit1", fault: "the package's script fails after unpacking", asked: "tb-badpost=1.1", before: "ii tb-badpost 1.0", after: "iF tb-badpost 1.1", reason: patching.ReasonInstallFailed, signature: "tb-badpost: postinst"},
	{file: "01b-state-after", after: "iF tb-badpost 1.1"},
	{file: "01c-next-install-blocked", fault: "a package of an earlier order fails again; what was asked for is in place", asked: "tb-reboot=1.1", before: "iF tb-badpost 1.1; ii tb-reboot 1.0", after: "iF tb-badpost 1.1; ii tb-reboot 1.1"},
	{file: "01d-dpkg-configure", fault: "a repair whose script fails again", before: "iF tb-badpost 1.1", after: "iF tb-badpost 1.1", reason: patching.ReasonInstallFailed, signature: "tb-badpost: postinst"},
	{file: "01e-rollback", asked: "tb-badpost=1.0", before: "iF tb-badpost 1.1", after: "ii tb-badpost 1.0"},
	{file: "02-preinst-exit1", fault: "the package's script fails before unpacking", asked: "tb-badpre=1.1", before: "ii tb-badpre 1.0", after: "ii tb-badpre 1.0", reason: patching.ReasonInstallFailed, signature: "tb-badpre: preinst"},
	{file: "02b-state", after: "ii tb-badpre 1.0"},
	{file: "03-svc-fails-after-upgrade", fault: "a service does not start with the new version (the health check tells)", asked: "tb-svc=1.1", before: "ii tb-svc 1.0", after: "ii tb-svc 1.1"},
	{file: "03b-verify", after: "ii tb-svc 1.1"},
	{file: "03c-rollback", asked: "tb-svc=1.0", before: "ii tb-svc 1.1", after: "ii tb-svc 1.0"},
	{file: "04-svcstrict-fails", fault: "the same, in a package whose script insists", asked: "tb-svcstrict=1.1", before: "ii tb-svcstrict 1.0", after: "iF tb-svcstrict 1.1", reason: patching.ReasonInstallFailed, signature: "tb-svcstrict: postinst"},
	{file: "04b-rollback", asked: "tb-svcstrict=1.0", before: "iF tb-svcstrict 1.1", after: "ii tb-svcstrict 1.0"},
	{file: "05-conffile-prompt", fault: "a changed settings file, without our options", asked: "tb-conf=1.1", before: "ii tb-conf 1.0", after: "iU tb-conf 1.1", reason: patching.ReasonConffile, signature: "tb-conf: settings changed"},
	{file: "05b-state", after: "iU tb-conf 1.1"},
	{file: "05c-fix-confold", asked: "tb-conf=1.1", before: "iU tb-conf 1.1", after: "ii tb-conf 1.1"},
	{file: "06-unmet-dep", fault: "a dependency that nobody offers", asked: "tb-dep=1.1", before: "ii tb-dep 1.0", after: "ii tb-dep 1.0", reason: patching.ReasonInstallFailed, signature: "apt: dependencies"},
	{file: "07-file-overwrite", fault: "two packages with the same file", asked: "tb-overwrite=1.1", before: "ii tb-overwrite 1.0; ii tb-conf 1.1", after: "ii tb-overwrite 1.0; ii tb-conf 1.1", reason: patching.ReasonInstallFailed, signature: "tb-overwrite: file of another package"},
	{file: "07b-state", after: "ii tb-overwrite 1.0"},
	{file: "08-hold", asked: "tb-reboot=1.1", before: "hi tb-reboot 1.1", after: "hi tb-reboot 1.1"},
	{file: "08b-hold-upgrade", after: "ii tb-reboot 1.1"},
	{file: "09-reboot-required", asked: "tb-reboot=1.1", before: "ii tb-reboot 1.1", after: "ii tb-reboot 1.1"},
	{file: "10-no-such-version", fault: "the version is not offered any more", asked: "tb-reboot=9.9", before: "ii tb-reboot 1.1", after: "ii tb-reboot 1.1", reason: patching.ReasonPlanStale, signature: "apt: version gone"},
	{file: "10b-no-such-package", fault: "the package is not offered any more", asked: "no-such-thing=1", before: "ii tb-reboot 1.1", after: "ii tb-reboot 1.1", reason: patching.ReasonPlanStale, signature: "apt: version gone"},
	{file: "20-corrupt-deb-flip", fault: "a byte of the archive was changed on its way", asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonDownload, signature: "fetch: not the bytes that were promised"},
	{file: "21-truncated-deb", fault: "the archive is cut short", asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonDownload, signature: "fetch: not the bytes that were promised"},
	{file: "22-missing-deb-404", fault: "the archive is not at the source", asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonDownload, signature: "fetch: not there"},
	{file: "23-forbidden-403", fault: "the source does not let us", asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonDownload, signature: "fetch: not allowed"},
	{file: "24-index-hash-mismatch", fault: "the lists are not those that were signed", reason: patching.ReasonDownload, signature: "fetch: not the bytes that were promised"},
	{file: "25-bad-signature", fault: "the lists' signature is wrong", reason: patching.ReasonUntrusted, signature: "apt: bad signature"},
	{file: "26-unknown-key", fault: "the machine does not have the signer's key", reason: patching.ReasonUntrusted, signature: "apt: unknown key"},
	{file: "30-relay-down-update", fault: "nobody listens at the source, and apt keeps old lists and exits 0", reason: patching.ReasonDownload, signature: "fetch: no connection"},
	{file: "30b-relay-down-install", fault: "nobody listens at the source", asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonDownload, signature: "fetch: no connection"},
	{file: "30c-relay-down-update-error-mode-any", fault: "the same, as we ask", reason: patching.ReasonDownload, signature: "fetch: no connection"},
	{file: "31-relay-dns-fail", fault: "the source's name is not known", asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonDownload, signature: "fetch: no such name"},
	{file: "32-relay-drop", fault: "the source does not answer", asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonDownload, signature: "fetch: no connection"},
	{file: "32b-relay-drop-update", fault: "the source does not answer, when lists are fetched", reason: patching.ReasonDownload, signature: "fetch: no connection"},
	{file: "33-no-release-file", fault: "the source has no Release file", reason: patching.ReasonDownload, signature: "fetch: no Release file"},
	{file: "34-slow-40mbit"},
	{file: "35-loss-10pct"},
	{file: "36-link-down-in-postinst", fault: "the line goes down, the installation goes on", asked: "tb-slow=1.1", before: "ii tb-slow 1.0", after: "ii tb-slow 1.1"},
	{file: "36-link-down-mid-op", fault: "the run is cut off before it began", asked: "tb-slow=1.1", before: "ii tb-slow 1.0", after: "ii tb-slow 1.0", reason: patching.ReasonUnknown, signature: "apt: cut off"},
	{file: "36a-inside-while-link-down", after: "iF tb-slow 1.1"},
	{file: "36b-after-link-up", asked: "tb-slow=1.1", before: "ii tb-slow 1.0", after: "ii tb-slow 1.1"},
	{file: "36c-repair", after: "ii tb-slow 1.0"},
	{file: "37-detached"},
	{file: "37b-detached-result", asked: "tb-slow=1.1", before: "ii tb-slow 1.0", after: "ii tb-slow 1.1"},
	{file: "40-lock-held", fault: "another program installs", asked: "tb-reboot=1.1", before: "ii tb-reboot 1.0", after: "ii tb-reboot 1.0", reason: patching.ReasonLocked, signature: "apt: lock"},
	{file: "41-lock-dpkg", fault: "another program holds dpkg's own lock", asked: "tb-reboot=1.0", before: "ii tb-reboot 1.1", after: "ii tb-reboot 1.1", reason: patching.ReasonLocked, signature: "apt: lock"},
	{file: "42-lists-lock", fault: "another program fetches the lists", reason: patching.ReasonLocked, signature: "apt: lock"},
	{file: "43-held-pkg", fault: "the package is on hold on the machine", asked: "tb-reboot=1.2", before: "hi tb-reboot 1.1", after: "hi tb-reboot 1.1", reason: patching.ReasonHostRules, signature: "apt: held"},
	{file: "50-kill9-mid-postinst", fault: "apt and dpkg are killed while a script runs", asked: "tb-slow=1.1", before: "ii tb-slow 1.0", after: "iF tb-slow 1.1", interrupted: true, reason: patching.ReasonUnknown, signature: "apt: cut off"},
	{file: "50b-state", fault: "the next order, before that is repaired", asked: "tb-reboot=1.2", before: "ii tb-reboot 1.1; iF tb-slow 1.1", after: "ii tb-reboot 1.1; iF tb-slow 1.1", interrupted: true, reason: patching.ReasonPreflight, signature: "apt: interrupted"},
	{file: "50c-repair", asked: "tb-slow=1.1", before: "iF tb-slow 1.1", after: "ii tb-slow 1.1"},
	{file: "51-kill9-mid-unpack", fault: "apt and dpkg are killed while they unpack", asked: "tb-big=1.1", before: "ii tb-big 1.0; ii libperl5.36 5.36.0-7+deb12u3", after: "ii tb-big 1.0; iUR libperl5.36 5.36.0-7+deb12u3", interrupted: true, reason: patching.ReasonUnknown, signature: "apt: cut off"},
	{file: "51b-state", fault: "the next order, before that is repaired", asked: "tb-reboot=1.0", before: "ii tb-reboot 1.1; iUR libperl5.36 5.36.0-7+deb12u3", after: "ii tb-reboot 1.1; iUR libperl5.36 5.36.0-7+deb12u3", interrupted: true, reason: patching.ReasonPreflight, signature: "apt: interrupted"},
	{file: "51c-repair", fault: "configuring what was cut off while it was unpacked", before: "iUR libperl5.36 5.36.0-7+deb12u3", after: "iUR libperl5.36 5.36.0-7+deb12u3", reason: patching.ReasonPreflight, signature: "libperl5.36: needs reinstalling"},
	{file: "51d-reinstall-repair", asked: "libperl5.36=5.36.0-7+deb12u4", before: "iUR libperl5.36 5.36.0-7+deb12u3", after: "ii libperl5.36 5.36.0-7+deb12u4"},
	{file: "60-df"},
	{file: "60-disk-full-download", fault: "too little space for the download", asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonDisk, signature: "disk full"},
	{file: "61-disk-full-unpack", fault: "the disk fills while dpkg unpacks", asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonDisk, signature: "disk full"},
	{file: "61b-state", after: "ii tb-big 1.0"},
	{file: "62-disk-100pct-update", fault: "the disk is full when lists are fetched", reason: patching.ReasonDisk, signature: "disk full"},
	{file: "62b-disk-100pct-install", fault: "the disk is full when apt begins", asked: "tb-reboot=1.1", before: "ii tb-reboot 1.0", after: "ii tb-reboot 1.0", reason: patching.ReasonDisk, signature: "disk full"},
	{file: "62c-state", after: "ii tb-reboot 1.0"},
	{file: "62d-repair", asked: "tb-reboot=1.1", before: "ii tb-reboot 1.0", after: "ii tb-reboot 1.1"},
	{file: "63-inodes-full", fault: "no inode is left; it reads as if the source failed", asked: "tb-big=1.0", before: "ii tb-big 1.1", after: "ii tb-big 1.1", reason: patching.ReasonDisk, signature: "disk full"},
	{file: "70-host-killed-mid-postinst", fault: "the machine loses power while a script runs", asked: "tb-slow=1.1", before: "ii tb-slow 1.0", after: "iF tb-slow 1.1", interrupted: true, reason: patching.ReasonUnknown, signature: "apt: cut off"},
	{file: "70a-ssh-while-dead", reason: patching.ReasonUnknown, signature: "apt: cut off"},
	{file: "70b-after-boot", fault: "the next order after that", asked: "tb-reboot=1.1", before: "ii tb-reboot 1.2; iF tb-slow 1.1", after: "ii tb-reboot 1.2; iF tb-slow 1.1", interrupted: true, reason: patching.ReasonPreflight, signature: "apt: interrupted"},
	{file: "70c-repair", asked: "tb-slow=1.1", before: "iF tb-slow 1.1", after: "ii tb-slow 1.1"},
	{file: "71-frozen-host-ssh", reason: patching.ReasonUnknown, signature: "apt: cut off"},
}

// The lab's own lines: what it ran, and how that and its ssh ended.
var (
	labLine  = regexp.MustCompile(`(?m)^(\$ .*|\[(ssh )?exit [0-9]+.*\]|(ssh )?rc=[0-9]+.*)\n?`)
	labFails = regexp.MustCompile(`(?m)^(\[(ssh )?exit|(ssh )?rc=) ?[1-9]|^ssh rc=[1-9]`)
)

func (f recordedFault) account(t *testing.T) account {
	t.Helper()
	text := recorded(t, "faults/"+f.file+".txt")
	return account{
		asked: wanted(f.asked), before: standingOf(t, f.before), after: standingOf(t, f.after),
		stdout: labLine.ReplaceAll(text, nil), failed: labFails.Match(text),
	}
}

// wanted reads "tb-big=1.1 tb-conf=1.1".
func wanted(text string) (patches []patching.Patch) {
	for word := range strings.FieldsSeq(text) {
		name, version, _ := strings.Cut(word, "=")
		patches = append(patches, patching.Patch{Action: patching.Upgrade, Name: name, Arch: "all", To: version})
	}
	return patches
}

func standingOf(t *testing.T, text string) []Installed {
	t.Helper()
	if text == "" {
		return nil
	}
	var listing strings.Builder
	for one := range strings.SplitSeq(text, "; ") {
		f := strings.Fields(one)
		fmt.Fprintf(&listing, "%-3s\t%s\t%s\tall\t%s\t%s\n", f[0], f[1], f[2], f[1], f[2])
	}
	all, err := parseDpkgQuery([]byte(listing.String()))
	require.NoError(t, err)
	return all
}

// Serves Q8, Q4, Q5.
func TestEveryRecordedFaultIsLaidToWhatCausedIt(t *testing.T) {
	files, err := filepath.Glob("testdata/apt/faults/*.txt")
	require.NoError(t, err)
	var names []string
	for _, f := range recordedFaults {
		names = append(names, "testdata/apt/faults/"+f.file+".txt")
		t.Run(f.file, func(t *testing.T) {
			e := f.account(t).judge()
			if f.reason == "" {
				require.Nil(t, e, "%+v", e)
				return
			}
			require.NotNil(t, e)
			require.Equal(t, f.reason, e.Reason, e.Detail)
			require.Equal(t, f.signature, e.Signature, e.Detail)
			require.NotEmpty(t, e.Detail)
			require.NotContains(t, e.Detail, "E: ")
		})
	}
	slices.Sort(names)
	require.Equal(t, files, names, "each recording has a row")
}

// Serves Q8.
func TestTheDetailSaysWhatAPersonNeeds(t *testing.T) {
	for file, want := range map[string]string{
		"01-postinst-exit1":   "tb-badpost: migrating database schema; tb-badpost: ERROR: cannot migrate; installed tb-badpost package post-installation script subprocess returned error exit status 1",
		"06-unmet-dep":        "tb-dep : Depends: no-such-package (>= 2) but it is not installable; Unable to correct problems, you have held broken packages.",
		"07-file-overwrite":   "trying to overwrite '/usr/share/tb-conf/version', which is also in package tb-conf 1.1",
		"43-held-pkg":         "On hold on this machine (apt-mark showhold): tb-reboot. Held packages were changed and -y was used without --allow-change-held-packages.",
		"40-lock-held":        "Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 2776 (python3); Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?",
		"61-disk-full-unpack": "cannot copy extracted data for './usr/share/tb-big/blob' to '/usr/share/tb-big/blob.dpkg-new': failed to write (No space left on device)",
	} {
		i := slices.IndexFunc(recordedFaults, func(f recordedFault) bool { return f.file == file })
		require.Equal(t, want, recordedFaults[i].account(t).judge().Detail, file)
	}
}

// Recordings in languages that the rules do not know: a package manager that
// does not speak English to us may end as unknown, never as somebody's fault
// who has none. Numbers of errors and programs' names are the same everywhere.
//
// Serves Q8.
func TestAnotherLanguageIsUnknownRatherThanWrong(t *testing.T) {
	for file, want := range map[string]recordedFault{
		"de-postinst":      {asked: "tb-a=1.1", before: "ii tb-a 1.0", after: "iF tb-a 1.1", reason: patching.ReasonUnknown, signature: "tb-a: dpkg --configure"},
		"fr-postinst":      {asked: "tb-a=1.1", before: "ii tb-a 1.0", after: "iF tb-a 1.1", reason: patching.ReasonUnknown, signature: "tb-a: dpkg --configure"},
		"de-version-gone":  {asked: "tb-a=9.9", before: "ii tb-a 1.0", after: "ii tb-a 1.0", reason: patching.ReasonUnknown, signature: "apt: unknown"},
		"fr-version-gone":  {asked: "tb-a=9.9", before: "ii tb-a 1.0", after: "ii tb-a 1.0", reason: patching.ReasonUnknown, signature: "apt: unknown"},
		"de-killed":        {asked: "tb-a=1.2", before: "ii tb-a 1.0", after: "iF tb-a 1.2", reason: patching.ReasonUnknown, signature: "apt: cut off"},
		"fr-killed":        {asked: "tb-a=1.2", before: "ii tb-a 1.0", after: "iF tb-a 1.2", reason: patching.ReasonUnknown, signature: "apt: cut off"},
		"de-interrupted":   {asked: "tb-c=1", before: "iF tb-a 1.2", after: "iF tb-a 1.2", reason: patching.ReasonPreflight, signature: "apt: interrupted"},
		"fr-interrupted":   {asked: "tb-c=1", before: "iF tb-a 1.2", after: "iF tb-a 1.2", reason: patching.ReasonPreflight, signature: "apt: interrupted"},
		"fr-lock":          {asked: "tb-c=1", before: "ii tb-a 1.0", after: "ii tb-a 1.0", reason: patching.ReasonLocked, signature: "apt: lock"},
		"de-disk-unpack":   {asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonUnknown, signature: "tb-big: dpkg --unpack"},
		"fr-disk-unpack":   {asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonUnknown, signature: "tb-big: dpkg --unpack"},
		"de-disk-download": {asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonUnknown, signature: "apt: unknown"},
		"fr-disk-download": {asked: "tb-big=1.1", before: "ii tb-big 1.0", after: "ii tb-big 1.0", reason: patching.ReasonUnknown, signature: "apt: unknown"},
		"de-success":       {asked: "tb-c=1", before: "ii tb-a 1.0", after: "ii tb-a 1.0; ii tb-c 1"},
	} {
		text := recorded(t, "language/"+file+".txt")
		e := account{asked: wanted(want.asked), before: standingOf(t, want.before), after: standingOf(t, want.after), stdout: text, failed: !strings.Contains(string(text), "[exit 0]")}.judge()
		if want.reason == "" {
			require.Nil(t, e, file)
			continue
		}
		require.NotNil(t, e, file)
		require.Equal(t, want.reason, e.Reason, "%s: %s", file, e.Detail)
		require.Equal(t, want.signature, e.Signature, "%s: %s", file, e.Detail)
	}
}

// What the rules were not written from: other releases, other programs, other
// packages.
//
// Serves Q8.
func TestWhatOtherReleasesSayHasItsReasonToo(t *testing.T) {
	const sound, half = "ii app 1.0; ii dep 1.0", "iF app 2.0; ii dep 1.0"
	for what, c := range map[string]struct {
		said, after string
		reason      patching.Reason
		signature   string
	}{
		"apt 3 on Ubuntu 26.04, which has a solver of its own": {
			"Solving dependencies...\nSome packages could not be installed. This may mean that you have\nrequested an impossible situation\n" +
				"Unsatisfied dependencies:\n app : Depends: app-base (= 1:7.0) but it is not going to be installed\n" +
				"Error: Unable to satisfy dependencies. Reached two conflicting assignments:\n" +
				"   1. app-base:amd64=1:7.0 is selected for install because:\n      1. app:amd64=1:7.0 is selected for install\n" +
				"   2. app-base:amd64=1:7.0 Depends libgone11\n      but none of the choices are installable:\n      [no choices]\n",
			sound, patching.ReasonInstallFailed, "apt: dependencies",
		},
		"apt 3 on Debian 13, which asks both solvers": {
			"Error: Unable to correct problems, you have held broken packages.\n" +
				"Error: The following information from --solver 3.0 may provide additional context:\n" +
				"   Unable to satisfy dependencies. Reached two conflicting decisions:\n   1. libx:amd64=6.8 is not selected for install\n",
			sound, patching.ReasonInstallFailed, "apt: dependencies",
		},
		"dpkg 1.19 on Debian 10": {
			"Setting up app (2.0) ...\nModuleNotFoundError: No module named 'x'\ndpkg: error processing package app (--configure):\n" +
				" installed app package post-installation script subprocess returned error exit status 1\nErrors were encountered while processing:\n app\n" +
				"E: Sub-process /usr/bin/dpkg returned an error code (1)\n",
			half, patching.ReasonInstallFailed, "app: postinst",
		},
		"dpkg 1.18, which puts the words in another order": {
			"dpkg: error processing package app (--configure):\n subprocess installed post-installation script returned error exit status 127\n",
			half, patching.ReasonInstallFailed, "app: postinst",
		},
		"a foreign architecture, numbered by apt": {
			"dpkg: error processing archive /tmp/apt-dpkg-install-kX3fYQ/07-app_1%3a2.0-1_i386.deb (--unpack):\n" +
				" new app:i386 package pre-installation script subprocess returned error exit status 2\n",
			sound, patching.ReasonInstallFailed, "app: preinst",
		},
		"a script that was killed: by whom is not known": {
			"dpkg: error processing package app (--configure):\n installed app package post-installation script subprocess was killed by signal (Killed)\n",
			half, patching.ReasonUnknown, "app: dpkg --configure",
		},
		"one that only waits for another": {
			"dpkg: dependency problems prevent configuration of app:\n app depends on dep (>= 2); however:\n  Package dep is not configured yet.\n\n" +
				"dpkg: error processing package app (--configure):\n dependency problems - leaving unconfigured\n" +
				"dpkg: error processing package dep (--configure):\n installed dep package post-installation script subprocess returned error exit status 1\n",
			"iU app 2.0; iF dep 2.0", patching.ReasonInstallFailed, "dep: postinst",
		},
		"an archive that is damaged in the cache": {
			"dpkg-deb: error: '/var/cache/apt/archives/app_2.0_all.deb' is not a Debian format archive\n" +
				"dpkg: error processing archive /var/cache/apt/archives/app_2.0_all.deb (--unpack):\n dpkg-deb --control subprocess returned error exit status 2\n",
			sound, patching.ReasonDownload, "app: damaged archive",
		},
		"a full disk, which dpkg only tells by the archive": {
			"dpkg-deb (subprocess): decompressing archive member: internal write error: No space left on device\n" +
				"dpkg: error processing archive /var/cache/apt/archives/app_2.0_all.deb (--unpack):\n dpkg-deb --fsys-tarfile subprocess returned error exit status 2\n",
			sound, patching.ReasonDisk, "disk full",
		},
		"a disk that went read-only": {
			"E: Could not open lock file /var/lib/dpkg/lock-frontend - open (30: Read-only file system)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n",
			sound, patching.ReasonDisk, "disk cannot be written",
		},
		"an agent that is not root": {
			"E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)\nE: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), are you root?\n",
			sound, patching.ReasonUnknown, "apt: not root",
		},
		"an older apt's lock": {
			"E: Could not get lock /var/lib/dpkg/lock - open (11: Resource temporarily unavailable)\nE: Unable to lock the administration directory (/var/lib/dpkg/), is another process using it?\n",
			sound, patching.ReasonLocked, "apt: lock",
		},
		"dpkg's frontend lock": {
			"dpkg: error: dpkg frontend lock was locked by another process with pid 1234\n", sound, patching.ReasonLocked, "apt: lock",
		},
		"a script that speaks of a lock of its own": {
			"Setting up app (2.0) ...\napp: Could not get lock on its database\ndpkg: error processing package app (--configure):\n" +
				" installed app package post-installation script subprocess returned error exit status 1\n",
			half, patching.ReasonInstallFailed, "app: postinst",
		},
		"a script that downloads": {
			"Setting up app (2.0) ...\nFailed to fetch https://vendor.example/blob 404 Not Found\ndpkg: error processing package app (--configure):\n" +
				" installed app package post-installation script subprocess returned error exit status 1\n",
			half, patching.ReasonInstallFailed, "app: postinst",
		},
		"sqv, which checks signatures since apt 3": {
			"W: OpenPGP signature verification failed: http://mirror.example/tb ./ InRelease: Sub-process /usr/bin/sqv returned an error code (1), error message is: Missing key 6F2A0123456789ABCDEF, which is needed to verify signature.\n" +
				"E: The repository 'http://mirror.example/tb ./ InRelease' is not signed.\n",
			sound, patching.ReasonUntrusted, "apt: unknown key",
		},
		"a key that has expired": {
			"W: GPG error: http://mirror.example/tb ./ InRelease: The following signatures were invalid: EXPKEYSIG F1D4CD93B4EBF3FA testbed\nE: The repository 'http://mirror.example/tb ./ InRelease' is not signed.\n",
			sound, patching.ReasonUntrusted, "apt: bad signature",
		},
		"lists that are too old": {
			"E: Release file for http://mirror.example/debian/dists/sid/InRelease is expired (invalid since 2d 3h 4min 5s). Updates for this repository will not be applied.\n",
			sound, patching.ReasonDownload, "fetch: lists expired",
		},
		"a clock that is behind": {
			"E: Release file for http://mirror.example/debian/dists/sid/InRelease is not valid yet (invalid for another 3h 2min 1s). Updates for this repository will not be applied.\n",
			sound, patching.ReasonClockOff, "apt: lists from the future",
		},
		"a server that fails": {
			"E: Failed to fetch http://mirror.example/app_2.0_all.deb  503  Service Unavailable [IP: 192.0.2.1 80]\nE: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n",
			sound, patching.ReasonDownload, "fetch: failed",
		},
		"a version that is older than the machine's": {
			"E: Packages were downgraded and -y was used without --allow-downgrades.\n", sound, patching.ReasonPlanStale, "apt: more than was asked",
		},
		"what nobody has seen yet": {
			"E: The frobnicator could not be frobnicated\n", sound, patching.ReasonUnknown, "apt: unknown",
		},
		"a crash": {
			"E: Sub-process /usr/bin/dpkg received signal 9.\n", half, patching.ReasonUnknown, "apt: cut off",
		},
	} {
		e := account{asked: wanted("app=2.0"), before: standingOf(t, sound), after: standingOf(t, c.after), stderr: []byte(c.said), failed: true}.judge()
		require.NotNil(t, e, what)
		require.Equal(t, c.reason, e.Reason, "%s: %s", what, e.Detail)
		require.Equal(t, c.signature, e.Signature, what)
		require.NotEmpty(t, e.Detail, what)
	}
}

// Serves Q8.
func TestWhatIsInPlaceCountsAndNotWhatAnExitCodeSays(t *testing.T) {
	a := account{asked: wanted("app=2.0"), before: standingOf(t, "ii app 1.0"), after: standingOf(t, "ii app 1.0")}
	require.Equal(t, patching.ReasonNotTaken, a.judge().Reason, "all went well, it says")
	a.after = standingOf(t, "ii app 2.0")
	a.failed = true
	require.Nil(t, a.judge(), "nothing went well, it says")
	a.before, a.after = standingOf(t, "ii app 1.0; ii boot 1"), standingOf(t, "ii app 2.0; iF boot 1")
	e := a.judge()
	require.Equal(t, "boot: half installed", e.Signature, "another one broke on the way")
	require.Equal(t, patching.ReasonUnknown, e.Reason)
	a.before = a.after
	require.Nil(t, a.judge(), "it was so before")
	removal := account{
		asked:  []patching.Patch{{Action: patching.Remove, Name: "app", Arch: "all", From: "1.0"}},
		before: standingOf(t, "ii app 1.0; ii x 1"), after: standingOf(t, "ii x 1"),
	}
	require.Nil(t, removal.judge())
}

// The page is made from the table above and the rules that it checks; the agent
// checks its outcomes.
//
// Serves Q8.
func TestThePageOfFaultsSaysWhatTheAgentDoes(t *testing.T) {
	const page = "../../docs/faults.md"
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	const begin, end = "<!-- made by TestThePageOfFaultsSaysWhatTheAgentDoes -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)

	var table strings.Builder
	table.WriteString("\n| recording | fault | laid to | reason | signature | ends as | repair |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, f := range recordedFaults {
		if f.fault == "" {
			continue
		}
		e := f.account(t).judge()
		cause, reason, signature, outcome := "nobody", "", "", "goes on"
		if e != nil {
			reason, signature, outcome = string(e.Reason), "`"+e.Signature+"`", "failed"
			if slices.Contains(deferring, e.Reason) {
				outcome = "deferred"
			}
			if c := e.Reason.Cause(); c != "" {
				cause = "the " + string(c)
			} else {
				cause = "not known"
			}
		}
		number, _, _ := strings.Cut(f.file, "-")
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s | %s |\n", number, f.fault, cause, reason, signature, outcome, f.cures(t))
	}
	table.WriteString("\n")
	want := before + begin + table.String() + end + after
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(page, []byte(want), 0o644))
		return
	}
	require.Equal(t, want, string(text), "UPDATE_GOLDEN=1 writes it")
}

// deferring are the reasons by which the agent defers; its own test compares
// the page with it.
var deferring = []patching.Reason{patching.ReasonLocked, patching.ReasonPlanStale, patching.ReasonHostRules, patching.ReasonDownload, patching.ReasonClockOff}

// cures says what a repair would do afterwards.
func (f recordedFault) cures(t *testing.T) string {
	has := standingOf(t, f.after)
	var words []string
	if configures(has, f.interrupted) {
		words = append(words, "configure")
	}
	for _, p := range unpacks(has) {
		words = append(words, "unpack "+p.Name+" "+p.Version+" again")
	}
	return strings.Join(words, ", then ")
}
