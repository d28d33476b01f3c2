package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// How long apt is waited for. A transaction is never ended for taking longer:
// half a package is worse than a late one. Whoever runs it says what then.
const (
	aptLists       = 10 * time.Minute
	aptTransaction = 2 * time.Hour
	aptRetry       = 5 * time.Second
)

// transaction are the options of whatever installs: it asks nobody, takes no
// package that nobody named, and removes none that merely looks unused. Without
// the pseudo-terminal what scripts print can be read. Phased updates count as
// offered, as in a simulation.
func (a *APT) transaction() []string {
	conffiles := []string{"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"}
	if a.o.NewConffiles {
		conffiles = []string{"-o", "Dpkg::Options::=--force-confnew"}
	}
	return append([]string{
		"-y", "-q", "--no-install-recommends", "--no-auto-remove",
		"-o", "APT::Get::Always-Include-Phased-Updates=true",
		"-o", "Dpkg::Use-Pty=0",
		"-o", "DPkg::Lock::Timeout=" + strconv.Itoa(int(a.o.LockWait/time.Second)),
	}, conffiles...)
}

// network bounds how long a source that does not answer is waited for. Whoever
// called tries again, and what was fetched is there then: apt's own tries hide from
// its caller what it waits for.
var network = []string{"-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30"}

// Update fetches the lists; those of a snapshot, which never change, once. Without
// the error mode apt keeps old lists and says that all went well.
func (a *APT) Update(ctx context.Context) error {
	if a.o.Snapshot != nil {
		if s, ok := a.o.Snapshot(ctx); ok {
			return a.fetchOnce(s, func() error { return a.update(ctx) })
		}
	}
	return a.update(ctx)
}

func (a *APT) update(ctx context.Context) error {
	args := append([]string{"-q", "-o", "APT::Update::Error-Mode=any"}, network...)
	return a.patiently(ctx, func() error {
		out, err := a.download(ctx, aptLists, append(args, "update")...)
		return verdict(ctx, account{stdout: out}, err, "update the lists")
	})
}

// Fetch downloads the patches' archives into apt's cache. Those that are there
// cost nothing.
func (a *APT) Fetch(ctx context.Context, patches []patching.Patch) error {
	args, err := a.install(patches)
	if err != nil || len(patches) == 0 {
		return err
	}
	return a.fetch(ctx, downloadTime(patches), args)
}

// fetch downloads what apt-get would install by these arguments.
func (a *APT) fetch(ctx context.Context, limit time.Duration, install []string) error {
	args := append(append([]string{"--download-only"}, network...), install...)
	return a.patiently(ctx, func() error {
		out, err := a.download(ctx, limit, args...)
		return verdict(ctx, account{stdout: out}, err, "download")
	})
}

// download runs apt-get where it can reach its sources.
func (a *APT) download(ctx context.Context, limit time.Duration, args ...string) ([]byte, error) {
	settings, err := a.settings(ctx)
	if err != nil {
		return nil, err
	}
	return a.load(ctx, limit, "apt-get", append(settings, args...)...)
}

// downloadTime is how long a download is waited for: it has come to an end by then
// over the slowest line that is worth it. Apt itself has been seen to wait for
// ever, for nothing, when its server went away under it (2.6.1, over https).
func downloadTime(patches []patching.Patch) time.Duration {
	const slowest = 32 << 10 // bytes a second
	var size int64
	for _, p := range patches {
		size += p.Size
	}
	return aptLists + time.Duration(size/slowest)*time.Second
}

// install words the patches for apt-get.
func (a *APT) install(patches []patching.Patch) ([]string, error) {
	args := a.transaction()
	if slices.ContainsFunc(patches, func(p patching.Patch) bool { return p.Action == patching.Downgrade }) {
		args = append(args, "--allow-downgrades")
	}
	args = append(args, "install", "--")
	for _, p := range patches {
		arg, err := aptArgument(p)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, nil
}

// Install carries the patches out and looks at what came of it.
func (a *APT) Install(ctx context.Context, patches []patching.Patch) error {
	args, err := a.install(patches)
	if err != nil || len(patches) == 0 {
		return err
	}
	before, err := a.Installed(ctx)
	if err != nil {
		return err
	}
	if err := refuseHeld(before, patches); err != nil {
		return err
	}
	if err := a.settle(ctx); err != nil {
		return err
	}
	auto, err := a.automatic(ctx, before, patches)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(patches, func(p patching.Patch) bool { return p.Action == patching.Remove }) {
		// A simulation said that it removes nothing; but what is offered, and what
		// is installed, may have changed since.
		args = append([]string{"--no-remove"}, args...)
	}
	failure := a.change(ctx, patches, before, "install", args)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(failure, a.markAutomatic(ctx, auto))
}

// automatic returns the packages that nobody asked for by name: what apt keeps
// as such, and what is new, which another needs. apt takes whatever is named to
// it for wanted, and whoever tidies the machine later would keep it for ever:
// every library, and every kernel.
func (a *APT) automatic(ctx context.Context, before []Installed, patches []patching.Patch) ([]string, error) {
	out, err := a.apt(ctx, aptQuick, "apt-mark", "showauto")
	if err != nil {
		return nil, fmt.Errorf("ask which packages nobody asked for: %w", aptError(err, out))
	}
	marked := map[string]bool{}
	for _, name := range lines(out) { // of foreign architectures as name:arch
		marked[name] = true
	}
	var auto []string
	for _, p := range patches {
		_, has := Find(before, p.Name, p.Arch)
		if p.To != "" && (!has || marked[p.Name] || marked[p.Name+":"+p.Arch]) {
			auto = append(auto, p.Name+":"+p.Arch)
		}
	}
	return auto, nil
}

func (a *APT) markAutomatic(ctx context.Context, names []string) error {
	after, err := a.Installed(ctx)
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		name, arch, _ := strings.Cut(n, ":")
		_, has := Find(after, name, arch)
		return !has
	})
	if len(names) == 0 {
		return nil
	}
	out, err := a.apt(ctx, aptQuick, "apt-mark", append([]string{"auto", "--"}, names...)...)
	if err != nil {
		return fmt.Errorf("mark packages as not asked for: %w", aptError(err, out))
	}
	return nil
}

// change runs one transaction of apt and judges it by the packages before and
// after.
func (a *APT) change(ctx context.Context, patches []patching.Patch, before []Installed, what string, args []string) error {
	settings, err := a.settings(ctx)
	if err != nil {
		return err
	}
	out, ran := a.act(ctx, aptTransaction, "apt-get", append(settings, args...)...)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	after, err := a.Installed(ctx)
	if err != nil {
		return errors.Join(ran, err)
	}
	return verdict(ctx, account{asked: patches, stdout: out, before: before, after: after}, ran, what)
}

// refuseHeld names what somebody on the machine put on hold. apt refuses too,
// but not what is on hold at the asked version.
func refuseHeld(has []Installed, patches []patching.Patch) error {
	var held []string
	for _, p := range patches {
		if one, ok := Find(has, p.Name, p.Arch); ok && one.Held && one.Version != p.To {
			held = append(held, p.Name)
		}
	}
	if len(held) == 0 {
		return nil
	}
	names := strings.Join(held, " ")
	return &Error{
		Reason: patching.ReasonHostRules, Signature: "apt: held",
		Detail: "On hold on this machine: " + names + ". Leave it out of the policy, or on the machine: apt-mark unhold " + names,
	}
}

// verdict judges a run by what it said and did. What kept it from running at
// all is passed on.
func verdict(ctx context.Context, a account, ran error, what string) error {
	var e *command.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(ran, &e):
		a.stderr, a.failed = e.Stderr, true
	case ran != nil:
		return fmt.Errorf("%s: %w", what, ran)
	}
	known := a.judge()
	if known == nil {
		return nil
	}
	known.Cause = ran
	return known
}

// patiently tries again while another program holds the lock.
func (a *APT) patiently(ctx context.Context, try func() error) error {
	for waited := time.Duration(0); ; waited += aptRetry {
		err := try()
		var known *Error
		if !errors.As(err, &known) || known.Reason != patching.ReasonLocked || waited+aptRetry > a.o.LockWait {
			return err
		}
		select {
		case <-time.After(aptRetry):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Repair has two cures. What was unpacked, or whose configuration failed or was
// cut off, is configured. What dpkg was killed in while it unpacked is in
// disorder: configuring that does not help, nor does apt's --fix-broken; it is
// unpacked again at the same version.
func (a *APT) Repair(ctx context.Context) error {
	has, err := a.Installed(ctx)
	if err != nil {
		return err
	}
	interrupted, err := a.interrupted()
	if err != nil {
		return err
	}
	var cured error
	if configures(has, interrupted) {
		cured = a.configure(ctx, has)
		if has, err = a.Installed(ctx); err != nil {
			return err
		}
	}
	if damaged := unpacks(has); len(damaged) > 0 {
		if err := a.reinstall(ctx, has, damaged); err != nil {
			return err
		}
		// What waited for those can be configured now.
		if has, err = a.Installed(ctx); err != nil {
			return err
		}
		if len(brokenNames(has)) > 0 {
			cured = a.configure(ctx, has)
		}
		if has, err = a.Installed(ctx); err != nil {
			return err
		}
	}
	broken := brokenNames(has)
	switch {
	case len(broken) == 0:
		return nil // whatever was said on the way
	case cured != nil:
		return cured
	}
	return &Error{
		Reason: patching.ReasonPreflight, Signature: broken[0] + ": half installed",
		Detail: "Could not be repaired: " + strings.Join(broken, ", "),
	}
}

// configures reports whether configuring can cure something. It also ends what
// is in dpkg's journal, without which apt does nothing.
func configures(has []Installed, interrupted bool) bool {
	return interrupted || slices.ContainsFunc(has, func(p Installed) bool { return p.Broken && !p.Damaged })
}

// unpacks returns what only unpacking it again can cure.
func unpacks(has []Installed) []Installed {
	return keepIf(has, func(p Installed) bool { return p.Damaged })
}

// configure lets dpkg complete whatever it can.
func (a *APT) configure(ctx context.Context, before []Installed) error {
	args := []string{"--force-confdef", "--force-confold"}
	if a.o.NewConffiles {
		args = []string{"--force-confnew"}
	}
	args = append(args, "--configure", "-a")
	return a.patiently(ctx, func() error {
		out, ran := a.act(ctx, aptTransaction, "dpkg", args...)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		after, err := a.Installed(ctx)
		if err != nil {
			return errors.Join(ran, err)
		}
		return verdict(ctx, account{stdout: out, before: before, after: after}, ran, "complete what was interrupted")
	})
}

// reinstall unpacks packages again, at the version that is there. That version
// has to be offered still.
func (a *APT) reinstall(ctx context.Context, has, damaged []Installed) error {
	args := append(a.transaction(), "--no-remove", "--reinstall", "install", "--")
	asked := make([]patching.Patch, 0, len(damaged))
	for _, p := range damaged {
		patch := patching.Patch{Action: patching.Install, Name: p.Name, Arch: p.Arch, To: p.Version}
		arg, err := aptArgument(patch)
		if err != nil {
			return err
		}
		args, asked = append(args, arg), append(asked, patch)
	}
	// A transaction may have no way to the machine's own sources.
	if err := a.fetch(ctx, aptTransaction, args); err != nil {
		return err
	}
	return a.change(ctx, asked, has, "unpack again", args)
}

// settle makes dpkg end its journal, which is all that keeps apt from working
// after a kill; nothing is configured by it.
func (a *APT) settle(ctx context.Context) error {
	interrupted, err := a.interrupted()
	if err != nil || !interrupted {
		return err
	}
	return a.patiently(ctx, func() error {
		out, ran := a.act(ctx, aptQuick, "dpkg", "--set-selections")
		return verdict(ctx, account{stdout: out}, ran, "end dpkg's journal")
	})
}

// Room asks what the patches' packages take on the disk, and what those take
// that they replace.
func (a *APT) Room(ctx context.Context, patches []patching.Patch) (Room, error) {
	var news []install
	for _, p := range patches {
		if p.To != "" {
			news = append(news, install{said: p.Name + ":" + p.Arch, to: p.To})
		}
	}
	files, err := a.files(ctx, news)
	if err != nil {
		return Room{}, err
	}
	out, err := a.run(ctx, aptQuick, "dpkg-query", "-W", "-f", `${binary:Package}\t${Architecture}\t${Installed-Size}\n`)
	if err != nil {
		return Room{}, fmt.Errorf("ask what packages take: %w", aptError(err, out))
	}
	olds := parseSizes(out)
	var room Room
	for _, p := range patches {
		was := olds[p.Name+":"+p.Arch]
		will := files[fileKey{p.Name, p.Arch, p.To}].unpacked
		if will == 0 && p.To != "" {
			will = 4 * p.Size // archives are compressed three to five times
		}
		room.Grows += max(0, will-was)
		room.Peak = max(room.Peak, will)
		if p.Action == patching.Install && kernelImage.MatchString(p.Name) {
			room.Kernels++
		}
	}
	return room, nil
}

// parseSizes reads names, architectures and kibibytes.
func parseSizes(out []byte) map[string]int64 {
	sizes := map[string]int64{}
	for _, line := range lines(out) {
		f := strings.Split(line, "\t")
		if len(f) < 3 {
			continue
		}
		name, _, _ := strings.Cut(f[0], ":")
		kibibytes, _ := strconv.ParseInt(f[2], 10, 64) // 0: unknown
		sizes[name+":"+f[1]] = kibibytes << 10
	}
	return sizes
}

func keepIf(all []Installed, is func(Installed) bool) (kept []Installed) {
	for _, p := range all {
		if is(p) {
			kept = append(kept, p)
		}
	}
	return kept
}

func brokenNames(all []Installed) (names []string) {
	for _, p := range keepIf(all, func(p Installed) bool { return p.Broken }) {
		names = append(names, p.Name)
	}
	return sortedOnce(names)
}

// Clean empties apt's cache and removes superseded kernels. Caches come first:
// they need no transaction, and give it the room.
func (a *APT) Clean(ctx context.Context, held []string) (int64, error) {
	before := a.weigh("var/cache/apt")
	if err := a.patiently(ctx, func() error {
		out, err := a.apt(ctx, aptQuick, "apt-get", "clean")
		return verdict(ctx, account{stdout: out}, err, "empty apt's cache")
	}); err != nil {
		return 0, err
	}
	freed := max(0, before-a.weigh("var/cache/apt"))
	kernels, err := a.removeKernels(ctx, held)
	return freed + kernels, err
}

// weigh adds up the files in a folder; what cannot be read counts nothing.
func (a *APT) weigh(folder string) (bytes int64) {
	_ = fs.WalkDir(a.root, folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // a file that went away meanwhile weighs nothing
		}
		if info, err := d.Info(); err == nil {
			bytes += info.Size()
		}
		return nil
	})
	return bytes
}
