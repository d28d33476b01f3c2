package packages

import (
	"errors"
	"regexp"
	"strings"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// aptFaults are what apt and dpkg say when they cannot answer. Their exit codes
// tell nothing (nearly always 100). The first that matches counts: a full disk
// also looks like an archive that is out of reach, and a lock like an
// interruption.
var aptFaults = []struct {
	says      *regexp.Regexp
	reason    patching.Reason
	signature string
}{
	// E: Write error - write (28: No space left on device)
	{regexp.MustCompile(`\(28: |No space left on device`), patching.ReasonPreflight, "apt: no space"},
	// E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 2776 (python3)
	// dpkg: error: dpkg database lock was locked by another process with pid 2833
	{regexp.MustCompile(`Could not get lock|Unable to lock|lock was locked`), patching.ReasonLocked, "apt: lock"},
	// E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.
	{regexp.MustCompile(`dpkg was interrupted`), patching.ReasonPreflight, "apt: interrupted"},
	// E: Unmet dependencies. Try 'apt --fix-broken install' with no packages (or specify a solution).
	{regexp.MustCompile(`--fix-broken install`), patching.ReasonPreflight, "apt: broken dependencies"},
	// E: Version '9.9' for 'tb-reboot' was not found
	// E: Unable to locate package no-such-thing
	{regexp.MustCompile(`Version '.*' for '.*' was not found|Unable to locate package|has no installation candidate`), patching.ReasonPlanStale, "apt: version gone"},
	// E: Held packages were changed and -y was used without --allow-change-held-packages.
	{regexp.MustCompile(`--allow-change-held-packages`), patching.ReasonHostRules, "apt: held"},
	// E: Unable to correct problems, you have held broken packages.
	{regexp.MustCompile(`Unable to correct problems|Error, pkgProblemResolver`), patching.ReasonInstallFailed, "apt: dependencies"},
}

// aptError words what a program of apt's said, and its cause where that is
// known. Which dependency is not met stands in what it printed.
func aptError(err error, printed []byte) error {
	var e *command.Error
	if !errors.As(err, &e) {
		return err
	}
	said := complaints(e.Stderr, printed)
	for _, f := range aptFaults {
		if f.says.MatchString(said) {
			return &Error{Reason: f.reason, Detail: said, Signature: f.signature, Cause: err}
		}
	}
	return err
}

var dependency = regexp.MustCompile(`^ \S+ : (Pre-)?(Depends|Breaks|Conflicts): `)

// complaints keeps the lines that say what is wrong, without their marks:
//
//	 tb-dep : Depends: no-such-package (>= 2) but it is not installable
//	E: Unable to correct problems, you have held broken packages.
func complaints(stderr, printed []byte) string {
	var kept []string
	for _, line := range append(lines(stderr), lines(printed)...) {
		rest, ok := strings.CutPrefix(line, "E: ")
		if !ok {
			rest, ok = strings.CutPrefix(line, "dpkg: error: ")
		}
		if ok || dependency.MatchString(line) {
			kept = append(kept, strings.TrimSpace(rest))
		}
	}
	return strings.Join(kept, "; ")
}
