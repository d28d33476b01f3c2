package packages

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// aptFaults are what apt says when it cannot do what it was asked. Exit codes
// tell nothing (nearly always 100). The first that matches counts: a full disk
// also looks like an archive that is out of reach, and a bad signature like a
// download that failed.
var aptFaults = []struct {
	says      *regexp.Regexp
	reason    patching.Reason
	signature string
}{
	// E: Could not open lock file /var/lib/dpkg/lock-frontend - open (13: Permission denied)
	{regexp.MustCompile(`are you root\?|lock file .*\(13: `), patching.ReasonUnknown, "apt: not root"},
	// E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 2776 (python3)
	// dpkg: error: dpkg database lock was locked by another process with pid 2833
	{regexp.MustCompile(`Could not get lock|Unable to lock|lock was locked|status database area is locked`), patching.ReasonLocked, "apt: lock"},
	// E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.
	// E: dpkg a été interrompu. Il est nécessaire d'utiliser « dpkg --configure -a » pour corriger le problème.
	{regexp.MustCompile(`dpkg --configure -a`), patching.ReasonPreflight, "apt: interrupted"},
	// E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).
	{regexp.MustCompile(`--fix-broken install`), patching.ReasonPreflight, "apt: broken dependencies"},
	// E: Version '9.9' for 'tb-reboot' was not found
	// E: Unable to locate package no-such-thing
	// E: Can't find a source to download version '1.0' of 'tool:amd64'
	{regexp.MustCompile(`Version '.*' for '.*' was not found|Unable to locate package|has no installation candidate|find a source to download version`), patching.ReasonPlanStale, "apt: version gone"},
	// E: Held packages were changed and -y was used without --allow-change-held-packages.
	{regexp.MustCompile(`--allow-change-held-packages`), patching.ReasonHostRules, "apt: held"},
	// E: Packages were downgraded and -y was used without --allow-downgrades.
	{regexp.MustCompile(`--allow-downgrades|--allow-remove-essential|remove is disabled`), patching.ReasonPlanStale, "apt: more than was asked"},
	// E: Release file for http://mirror.example/debian/dists/sid/InRelease is not valid yet (invalid for another 3h 2min 1s).
	{regexp.MustCompile(`is not valid yet`), patching.ReasonClockOff, "apt: lists from the future"},
	// NO_PUBKEY F1D4CD93B4EBF3FA; with sqv: Missing key F1D4CD93B4EBF3FA, which is needed to verify signature.
	{regexp.MustCompile(`NO_PUBKEY|Missing key `), patching.ReasonUntrusted, "apt: unknown key"},
	// W: GPG error: http://mirror.example/tb ./ InRelease: The following signatures were invalid: BADSIG F1D4CD93B4EBF3FA
	{regexp.MustCompile(`BADSIG|EXPKEYSIG|REVKEYSIG|GPG error|OpenPGP signature verification failed|is not signed|unauthenticated`), patching.ReasonUntrusted, "apt: bad signature"},
	{regexp.MustCompile(`Hash Sum mismatch|has unexpected size`), patching.ReasonDownload, "fetch: not the bytes that were promised"},
	{regexp.MustCompile(`does not have a Release file`), patching.ReasonDownload, "fetch: no Release file"},
	{regexp.MustCompile(`\b404 +Not Found`), patching.ReasonDownload, "fetch: not there"},
	{regexp.MustCompile(`\b(401|403|407) +[A-Z]`), patching.ReasonDownload, "fetch: not allowed"},
	{regexp.MustCompile(`Temporary failure resolving|Could not resolve|Something wicked happened resolving`), patching.ReasonDownload, "fetch: no such name"},
	{regexp.MustCompile(`Could not connect|Unable to connect|Connection (failed|timed out)|connection timed out|\((101|104|110|111|113): `), patching.ReasonDownload, "fetch: no connection"},
	// E: Release file for http://mirror.example/debian/dists/sid/InRelease is expired (invalid since 2d 3h).
	{regexp.MustCompile(`Release file for .* is expired`), patching.ReasonDownload, "fetch: lists expired"},
	{regexp.MustCompile(`Failed to fetch|Unable to fetch some archives|index files failed to download`), patching.ReasonDownload, "fetch: failed"},
	// E: Sub-process /usr/bin/dpkg exited unexpectedly
	{regexp.MustCompile(`^Sub-process \S+dpkg (exited unexpectedly|received (a )?signal)`), patching.ReasonUnknown, "apt: cut off"},
	// E: Unable to correct problems, you have held broken packages.
	// Error: Unable to satisfy dependencies. Reached two conflicting assignments:
	{regexp.MustCompile(`Unable to correct problems|Unable to satisfy dependencies|Error, pkgProblemResolver`), patching.ReasonInstallFailed, "apt: dependencies"},
}

// Of the disk it is enough that anything says so: apt, dpkg, or a script. The
// numbers are errno's, whatever the language.
var (
	diskFull   = regexp.MustCompile(`\(28: |\(122: |No space left on device|Disk quota exceeded|don't have enough free space`)
	diskBroken = regexp.MustCompile(`\(30: |Read-only file system|\(5: |Input/output error`)
)

// account is all that a run of apt or dpkg is judged by.
type account struct {
	asked  []patching.Patch // none: lists, or a repair
	stdout []byte
	stderr []byte
	failed bool // it said so by its exit code, or was ended
	// before and after are what was installed; nil: not looked at.
	before, after []Installed
}

// judge says why a run did not do what was asked; nil: it did. It goes by what
// the packages are like afterwards and by what was said, never by the exit code
// alone. What it cannot tell is [patching.ReasonUnknown].
func (a account) judge() *Error {
	late, fresh := a.late(), a.broke()
	switch {
	case a.after != nil && len(a.asked) > 0 && len(late) == 0 && len(fresh) == 0:
		return nil // whatever else was said: it is about others
	case len(a.asked) == 0 && !a.failed && a.complaints() == "" && len(fresh) == 0:
		return nil
	}
	said := a.complaints()
	all := string(a.stderr) + "\n" + string(a.stdout)
	faults := parseFaults(all)
	switch {
	case diskFull.MatchString(all):
		return &Error{Reason: patching.ReasonDisk, Detail: lineWith(all, diskFull), Signature: "disk full"}
	case diskBroken.MatchString(said):
		return &Error{Reason: patching.ReasonDisk, Detail: said, Signature: "disk cannot be written"}
	case len(faults) > 0:
		return a.blame(faults, lines([]byte(all)))
	}
	for _, f := range aptFaults {
		if f.says.MatchString(said) {
			if f.signature == "apt: held" {
				said = heldWords(all) + said
			}
			return &Error{Reason: f.reason, Detail: said, Signature: f.signature}
		}
	}
	return a.byState(said, late, fresh)
}

// byState judges what nothing that was said explains.
func (a account) byState(said string, late, fresh []string) *Error {
	switch {
	case len(fresh) > 0 && len(late) == 0:
		return &Error{
			Reason: patching.ReasonUnknown, Signature: fresh[0] + ": half installed",
			Detail: strings.Join(fresh, ", ") + ", which nobody asked for, was left half installed. " + said,
		}
	case said == "" && !a.failed && len(late) > 0:
		return &Error{
			Reason: patching.ReasonNotTaken, Signature: late[0] + ": not taken",
			Detail: "The package manager saw nothing wrong, but this is not as it was asked for: " + strings.Join(late, ", "),
		}
	case said == "":
		return &Error{
			Reason: patching.ReasonUnknown, Signature: "apt: cut off",
			Detail: "The package manager ended without a word of what is wrong: it was killed, or the machine went down. It had come to: " + lastLine(a.stdout),
		}
	}
	return &Error{Reason: patching.ReasonUnknown, Detail: said, Signature: "apt: unknown"}
}

// late names what was asked for and is not in place, or not sound.
func (a account) late() (names []string) {
	if a.after == nil {
		return nil
	}
	for _, p := range a.asked {
		has, ok := Find(a.after, p.Name, p.Arch)
		switch {
		case p.To == "" && !ok: // removed
		case p.To != "" && ok && has.Version == p.To && !has.Broken:
		default:
			names = append(names, p.Name)
		}
	}
	return names
}

// broke names what was not asked for, was sound before and is not any more.
func (a account) broke() (names []string) {
	if a.before == nil || a.after == nil {
		return nil
	}
	for _, has := range a.after {
		if was, ok := Find(a.before, has.Name, has.Arch); has.Broken && ok && !was.Broken && !a.askedFor(has.Name) {
			names = append(names, has.Name)
		}
	}
	return names
}

func (a account) askedFor(name string) bool {
	return slices.ContainsFunc(a.asked, func(p patching.Patch) bool { return p.Name == name })
}

func (a account) wasBroken(name string) bool {
	return slices.ContainsFunc(a.before, func(p Installed) bool { return p.Name == name && p.Broken })
}

func (a account) complaints() string { return complaints(a.stderr, a.stdout) }

// aptError words what a program of apt's said when it was only asked, and its
// cause where that is known.
func aptError(err error, printed []byte) error {
	var e *command.Error
	if !errors.As(err, &e) {
		return err
	}
	known := account{stdout: printed, stderr: e.Stderr, failed: true}.judge()
	if known.Reason == patching.ReasonUnknown && known.Signature != "apt: not root" {
		return err
	}
	known.Cause = err
	return known
}

var (
	dependency = regexp.MustCompile(`^ \S+ : (Pre-)?(Depends|Breaks|Conflicts): `)
	// Warnings that say why an error follows, or should.
	warning = regexp.MustCompile(`^(W|Warning): (Failed to fetch|GPG error|OpenPGP signature|Some index files|.*(NO_PUBKEY|BADSIG))`)
	// apt's own programs mark errors by a letter, since 2.9 also by the word.
	errorMark = regexp.MustCompile(`^(E|W|Error|Warning): |^dpkg(-deb)?: error: `)
	// What follows an error of the solver's, further in.
	numbered = regexp.MustCompile(`^ {3,}([0-9]+\. |but |\[no choices\]|Unable to )`)
)

// complaints keeps the lines that say what is wrong, without their marks:
//
//	 tb-dep : Depends: no-such-package (>= 2) but it is not installable
//	E: Unable to correct problems, you have held broken packages.
func complaints(stderr, printed []byte) string {
	var kept []string
	for _, line := range append(lines(stderr), lines(printed)...) {
		mark := errorMark.FindString(line)
		isWarning := strings.HasPrefix(line, "W")
		if mark != "" && (!isWarning || warning.MatchString(line)) || dependency.MatchString(line) || numbered.MatchString(line) {
			kept = append(kept, strings.TrimSpace(line[len(mark):]))
		}
	}
	return strings.Join(kept, "; ")
}

// heldWords names what is on hold:
//
//	The following held packages will be changed:
//	  tb-reboot
func heldWords(all string) string {
	_, rest, ok := strings.Cut(all, "The following held packages will be changed:\n")
	if !ok {
		_, rest, ok = strings.Cut(all, "Changing held packages:\n") // apt 3
	}
	var names []string
	for line := range strings.Lines(rest) {
		if !ok || !strings.HasPrefix(line, "  ") {
			break
		}
		names = append(names, strings.Fields(line)...)
	}
	if len(names) == 0 {
		return ""
	}
	return "On hold on this machine (apt-mark showhold): " + strings.Join(names, ", ") + ". "
}

func lineWith(text string, what *regexp.Regexp) string {
	for line := range strings.Lines(text) {
		if what.MatchString(line) {
			return strings.TrimSpace(line[len(errorMark.FindString(line)):])
		}
	}
	return ""
}

func lastLine(text []byte) string {
	all := lines(text)
	if len(all) == 0 {
		return "nothing"
	}
	return all[len(all)-1]
}
