package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// APT speaks to dpkg and apt: Debian, Ubuntu and their kin.
type APT struct {
	run  Runner
	act  Runner
	load Runner
	root fs.FS
	o    Options
}

// NewAPT returns the apt of this machine.
func NewAPT(o Options) *APT {
	if o.Act == nil {
		o.Act = command.Run
	}
	if o.Load == nil {
		o.Load = command.Run
	}
	if o.LockWait == 0 {
		o.LockWait = 10 * time.Minute
	}
	return &APT{run: command.Run, act: o.Act, load: o.Load, root: os.DirFS("/"), o: o}
}

// apt asks one of apt's programs something, with the settings of the work that
// the context is for.
func (a *APT) apt(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
	settings, err := a.settings(ctx)
	if err != nil {
		return nil, err
	}
	return a.run(ctx, limit, program, append(settings, args...)...)
}

// Time limits. A simulation takes one to two seconds of a quiet machine, and
// five without apt's own cache; the rest take tenths.
const (
	aptQuick = time.Minute
	aptSlow  = 5 * time.Minute
)

// aptSimulation is what every simulation asks for. Phased updates count as
// offered: whether apt takes part in a phase hangs on the machine's id, and
// pacing is the policy's. The lock is left alone: nothing is written.
var aptSimulation = []string{
	"-s", "-q",
	"-o", "APT::Get::Always-Include-Phased-Updates=true",
	"-o", "APT::Get::Show-User-Simulation-Note=false",
	"-o", "Debug::NoLocking=true",
}

// Name is "apt".
func (*APT) Name() string { return "apt" }

// Installed asks dpkg.
func (a *APT) Installed(ctx context.Context) ([]Installed, error) {
	out, err := a.run(ctx, aptQuick, "dpkg-query", "-W", "-f", dpkgFormat)
	if err != nil {
		return nil, fmt.Errorf("list what is installed: %w", aptError(err, out))
	}
	return parseDpkgQuery(out)
}

// Candidates simulates an upgrade that may install new packages but removes
// none (what `apt upgrade` does), so that what needs a removal is kept back.
// Where a candidate comes from is in the lists' heads, its size and hash in
// its own stanza.
func (a *APT) Candidates(ctx context.Context) (patching.CandidateSet, error) {
	var would simulation
	var known releases
	var foreign []patching.Foreign
	group, both := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		would, err = a.simulate(both, "--with-new-pkgs", "upgrade")
		return err
	})
	group.Go(func() error {
		// That the machine's own sources cannot be read does not matter to work with a
		// snapshot's: where packages come from is not known then.
		foreign, _ = a.foreign(both)
		return nil
	})
	group.Go(func() error {
		out, err := a.apt(both, aptQuick, "apt-cache", "policy")
		if err != nil {
			return aptError(err, out)
		}
		known = parsePolicy(out)
		return nil
	})
	if err := group.Wait(); err != nil {
		return patching.CandidateSet{}, fmt.Errorf("ask for upgrades: %w", err)
	}
	files, err := a.files(ctx, would.installs)
	if err != nil {
		return patching.CandidateSet{}, err
	}
	set := patching.CandidateSet{Manager: a.Name(), KeptBack: would.keptBack, Foreign: foreign}
	for _, i := range would.installs {
		c := i.candidate(known)
		c.Size, c.SHA256 = files[fileKey{c.Name, c.Arch, c.To}].of()
		if err := patching.ValidatePackage(c.Name, c.Arch, c.To); err != nil {
			return patching.CandidateSet{}, fmt.Errorf("apt offers what cannot be: %w", err)
		}
		set.Candidates = append(set.Candidates, c)
	}
	set.Sort()
	return set, nil
}

// files asks for the stanzas of what would be installed.
func (a *APT) files(ctx context.Context, installs []install) (map[fileKey]file, error) {
	if len(installs) == 0 {
		return nil, nil
	}
	args := []string{"show", "--no-all-versions", "--"}
	for _, i := range installs {
		args = append(args, i.said+"="+i.to)
	}
	out, err := a.apt(ctx, aptQuick, "apt-cache", args...)
	if err != nil {
		return nil, fmt.Errorf("ask for the upgrades' sizes: %w", aptError(err, out))
	}
	return parseShow(out), nil
}

func (a *APT) simulate(ctx context.Context, args ...string) (simulation, error) {
	out, err := a.apt(ctx, aptSlow, "apt-get", append(slices.Clone(aptSimulation), args...)...)
	if err != nil {
		return simulation{}, aptError(err, out)
	}
	return parseSimulation(out)
}

// Simulate asks for exactly the patches' versions, without what they only
// recommend: a bundle names all that it wants.
func (a *APT) Simulate(ctx context.Context, patches []patching.Patch) ([]patching.Change, error) {
	if len(patches) == 0 {
		return nil, nil
	}
	args := []string{"-y", "--no-install-recommends", "--allow-downgrades", "install", "--"}
	for _, p := range patches {
		arg, err := aptArgument(p)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	would, err := a.simulate(ctx, args...)
	if err != nil {
		return nil, err
	}
	changes := make([]patching.Change, 0, len(would.installs)+len(would.removals))
	for _, i := range would.installs {
		changes = append(changes, patching.Change{Name: i.name, Arch: i.arch, From: i.from, To: i.to})
	}
	if len(would.removals) == 0 {
		return changes, nil
	}
	has, err := a.Installed(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range would.removals {
		changes = append(changes, r.change(has))
	}
	return changes, nil
}

// aptArgument words a patch for apt-get install.
func aptArgument(p patching.Patch) (string, error) {
	version, end := p.To, "="+p.To
	if p.Action == patching.Remove {
		version, end = p.From, "-"
	}
	if err := patching.ValidatePackage(p.Name, p.Arch, version); err != nil {
		return "", &Error{Reason: patching.ReasonRefused, Detail: err.Error(), Cause: err}
	}
	return p.Name + ":" + p.Arch + end, nil
}

// State reads what dpkg, apt's settings and packages' marks say.
func (a *APT) State(ctx context.Context) (State, error) {
	has, err := a.Installed(ctx)
	if err != nil {
		return State{}, err
	}
	// It says what is wrong in words, and exits 0 all the same.
	audit, err := a.run(ctx, aptQuick, "dpkg", "--audit")
	if err != nil {
		return State{}, fmt.Errorf("ask dpkg what is broken: %w", aptError(err, audit))
	}
	s := State{Broken: parseAudit(audit)}
	for _, p := range has {
		if p.Broken {
			s.Broken = append(s.Broken, p.Name)
		}
	}
	s.Broken = sortedOnce(s.Broken)
	if s.Interrupted, err = a.interrupted(); err != nil {
		return State{}, err
	}
	if s.RebootPending, s.RebootFor, err = a.reboot(has); err != nil {
		return State{}, err
	}
	if s.Updaters, err = a.updaters(ctx, has); err != nil {
		return State{}, err
	}
	return s, nil
}

// interrupted looks at dpkg's journal. Its entries are numbered; apt refuses to
// work while there is one (apt-pkg/deb/debsystem.cc, CheckUpdates).
func (a *APT) interrupted() (bool, error) {
	entries, err := fs.ReadDir(a.root, "var/lib/dpkg/updates")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("look at dpkg's journal: %w", err)
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return strings.Trim(e.Name(), "0123456789") == ""
	}), nil
}

// reboot says whether the machine has to be restarted: a package asked for it,
// or a kernel is installed that is newer than the one that runs.
func (a *APT) reboot(has []Installed) (pending bool, why []string, err error) {
	if _, err := fs.Stat(a.root, "run/reboot-required"); err == nil {
		pending = true
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, nil, fmt.Errorf("look for reboot-required: %w", err)
	}
	// One line a package, repeated when it asks again.
	asked, err := fs.ReadFile(a.root, "run/reboot-required.pkgs")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, nil, fmt.Errorf("read who wants a restart: %w", err)
	}
	why = strings.Fields(string(asked))
	running := a.runningKernel()
	if kernel := newerKernel(has, running); kernel != "" {
		why = append(why, kernel)
	}
	built, err := fs.ReadFile(a.root, "proc/version")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, nil, fmt.Errorf("read how the running kernel was built: %w", err)
	}
	if kernel := rebuiltKernel(has, running, string(built)); kernel != "" {
		why = append(why, kernel)
	}
	return pending || len(why) > 0, sortedOnce(why), nil
}

// updaters finds unattended-upgrades where it is installed, switched on and not
// masked.
func (a *APT) updaters(ctx context.Context, has []Installed) ([]string, error) {
	const name = "unattended-upgrades"
	if !slices.ContainsFunc(has, func(p Installed) bool { return p.Name == name }) {
		return nil, nil
	}
	out, err := a.apt(ctx, aptQuick, "apt-config", "dump", "APT::Periodic")
	if err != nil {
		return nil, fmt.Errorf("read apt's settings: %w", aptError(err, out))
	}
	if !unattended(out) || a.masked("apt-daily-upgrade.timer") {
		return nil, nil
	}
	return []string{name}, nil
}

// masked reports whether systemd was told never to start a unit.
func (a *APT) masked(unit string) bool {
	target, err := fs.ReadLink(a.root, "etc/systemd/system/"+unit)
	return err == nil && target == "/dev/null"
}

func sortedOnce(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
