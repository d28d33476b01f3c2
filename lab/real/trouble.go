//go:build linux

package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/patching"
)

//go:embed trouble.yaml
var troublePolicy []byte

// trouble is what befalls one machine within a cycle, and what has to become of it.
type trouble struct {
	what string // for people
	// patch is what the machine is to get, in the version that has the fault.
	patch faults.Fault
	disk  int // MB of its own, 0: it shares this machine's
	// before is done when the machine is enrolled, during while it works on its
	// order. Both may be nil.
	before, during func(context.Context, *nspawn.Host) error

	outcome   patching.Outcome
	reason    patching.Reason
	signature string // of the last receipt
	repairs   bool   // the agent had to repair something
	version   string // of the package, afterwards
	state     string // dpkg's word of it: "ii " is sound
}

// well is how a machine ends that got its patch all the same.
func (t trouble) well() trouble {
	t.outcome, t.reason, t.version, t.state = patching.Patched, patching.ReasonVerified, faults.Bad, "ii "
	return t
}

const (
	sound          = "ii "
	halfConfigured = "iF "
	onHold         = "hi "
)

// troubles are all of them. The first machine is the test ring.
func troubles() []trouble {
	return slices.Concat(badPackages(), fullDisks(), hindrances(), waits(), powerLosses())
}

func badPackages() []trouble {
	return []trouble{
		trouble{what: "nothing", patch: faults.Reboot}.well(),
		trouble{what: "a settings file was changed on the machine", patch: faults.Conffile, before: changeSettings}.well(),
		{
			what: "the package's script fails after unpacking", patch: faults.PostinstFails,
			outcome: patching.NeedsHands, reason: patching.ReasonInstallFailed, signature: "lab-postinst-fails: postinst", repairs: true,
			version: faults.Bad, state: halfConfigured,
		},
		{
			what: "the package's script fails before unpacking", patch: faults.PreinstFails,
			outcome: patching.Failed, reason: patching.ReasonInstallFailed, signature: "lab-preinst-fails: preinst",
			version: faults.Good, state: sound,
		},
		{
			what: "a service does not start with the new version, and apt says that all is well", patch: faults.ServiceDies,
			outcome: patching.Failed, reason: patching.ReasonServiceBroken, signature: "lab-service-dies.service: not running",
			version: faults.Bad, state: sound,
		},
		{
			what: "a service dies after some seconds and is started again by systemd", patch: faults.ServiceLoops,
			outcome: patching.Failed, reason: patching.ReasonServiceBroken, signature: "lab-service-loops.service: not running",
			version: faults.Bad, state: sound,
		},
		{
			what: "a service does not start, and the package's script insists", patch: faults.ServiceStrict,
			outcome: patching.NeedsHands, reason: patching.ReasonInstallFailed, signature: "lab-service-strict: postinst", repairs: true,
			version: faults.Bad, state: halfConfigured,
		},
		{
			what: "another package has the same file", patch: faults.Clash,
			outcome: patching.Failed, reason: patching.ReasonInstallFailed, signature: "lab-clash: file of another package", repairs: true,
			version: faults.Good, state: sound,
		},
	}
}

func fullDisks() []trouble {
	return []trouble{
		trouble{
			what: "too little space for the download, until somebody makes room", patch: faults.Big, disk: 400,
			before: func(ctx context.Context, h *nspawn.Host) error { return faults.FillDisk(ctx, h, 40) },
			during: func(ctx context.Context, h *nspawn.Host) error {
				if err := until(ctx, h, both(order(""), process(asked(download)))); err != nil {
					return err
				}
				pause(ctx, 20*time.Second)
				return faults.FreeDisk(ctx, h)
			},
		}.well(),
		{
			what: "too little space for unpacking", patch: faults.Big, disk: 400,
			// Enough for the download, and not for its content beside it.
			before:  func(ctx context.Context, h *nspawn.Host) error { return faults.FillDisk(ctx, h, 100) },
			outcome: patching.Failed, reason: patching.ReasonDisk, signature: "disk full",
			version: faults.Good, state: sound,
		},
		{
			what: "no room for another file", patch: faults.Reboot, disk: 400,
			before:  faults.FillInodes,
			outcome: patching.Failed, reason: patching.ReasonDisk, signature: "disk full",
			version: faults.Good, state: sound,
		},
		{
			what: "no byte left", patch: faults.Reboot, disk: 400,
			before:  func(ctx context.Context, h *nspawn.Host) error { return faults.FillDisk(ctx, h, 0) },
			outcome: patching.Failed, reason: patching.ReasonDisk, signature: "disk full",
			version: faults.Good, state: sound,
		},
	}
}

// hindrances are what others do on a machine, or have left there.
func hindrances() []trouble {
	return []trouble{
		{
			what: "the package is on hold", patch: faults.Reboot,
			before: func(ctx context.Context, h *nspawn.Host) error {
				return steps(ctx, h, [][]string{{"apt-mark", "hold", string(faults.Reboot)}})
			},
			outcome: patching.Deferred, reason: patching.ReasonKeptBack,
			version: faults.Good, state: onHold,
		},
		{
			what: "a dependency that nobody offers", patch: faults.Unmet,
			outcome: patching.Deferred, reason: patching.ReasonKeptBack,
			version: faults.Good, state: sound,
		},
		trouble{what: "another package was left unpacked before", patch: faults.Reboot, before: leave("--unpack", faults.Conffile), repairs: true}.well(),
		{
			what: "another package was left broken before, beyond repair", patch: faults.Reboot, before: leave("--install", faults.PostinstFails),
			outcome: patching.Failed, reason: patching.ReasonPreflight, signature: "lab-postinst-fails: half installed", repairs: true,
			version: faults.Good, state: sound,
		},
		trouble{what: "apt and dpkg are killed in a script", patch: faults.Slow, during: killManager(process(inScript), inScript), repairs: true}.well(),
		trouble{what: "apt and dpkg are killed while they unpack", patch: faults.Big, before: lingerUnpacking, during: killManager(unpacking, dpkg), repairs: true}.well(),
		trouble{what: "the agent is killed in a script", patch: faults.Slow, during: killAgent(inScript)}.well(),
		trouble{what: "power is lost in a script", patch: faults.Slow, during: losePower(process(inScript)), repairs: true}.well(),
		trouble{what: "power is lost while a package is unpacked", patch: faults.Big, before: lingerUnpacking, during: losePower(unpacking), repairs: true}.well(),
	}
}

// waits are for something that a machine has again after a while.
func waits() []trouble {
	return []trouble{
		trouble{what: "another program installs for a while", patch: faults.Reboot, during: held(faults.LockFrontend)}.well(),
		trouble{what: "another program has dpkg's database for a while", patch: faults.Reboot, during: held(faults.LockDpkg)}.well(),
		trouble{what: "another program has apt's lists for a while", patch: faults.Reboot, during: held(faults.LockLists)}.well(),
		trouble{what: "its line is cut in a script, for a while", patch: faults.Slow, during: without((*nspawn.Host).LinkDown, (*nspawn.Host).LinkUp)}.well(),
		trouble{what: "it hangs in a script, for a while", patch: faults.Slow, during: without((*nspawn.Host).Freeze, (*nspawn.Host).Thaw)}.well(),
	}
}

// powerLosses strike at each step of the agent.
func powerLosses() (all []trouble) {
	for _, step := range []struct {
		what   string
		before func(context.Context, *nspawn.Host) error
		at     sign
	}{
		{"the order was accepted", nil, order(`"stage":"accepted"`)},
		{"packages are fetched", linger(download), both(order(""), process(asked(download)))},
		{"apt simulates", linger(simulate), both(order(`"stage":"started"`), process(asked(simulate)))},
		{"the order has started", nil, order(`"stage":"started"`)},
		{"the installation is next", linger(install), order(`"phase":"install"`)},
		{"the restart is next", nil, order(`"phase":"restart"`)},
		{"the check is next", nil, order(`"phase":"check"`)},
		{"the end is written down", nil, journal(`"done":["`)},
	} {
		all = append(all, trouble{what: "power is lost when " + step.what, patch: faults.Reboot, before: step.before, during: losePower(step.at)}.well())
	}
	return all
}

// troubled sends a machine for each trouble through one cycle.
func (g *ground) troubled(ctx context.Context) error {
	all := troubles()
	hosts := make([]nspawn.HostOptions, len(all))
	for i, t := range all {
		hosts[i].DiskMB = t.disk
	}
	// Without Debian's 60,000 packages each apt is ten times as quick.
	g.labOnly = true
	if err := g.up(ctx, hosts); err != nil {
		return err
	}
	if err := each(g.hosts, func(h *nspawn.Host) error {
		t := all[slices.Index(g.hosts, h)]
		first := []string{"apt-get", install, "-q", "-y", string(t.patch)}
		if t.patch == faults.Clash {
			first = append(first, string(faults.Conffile))
		}
		return steps(ctx, h, [][]string{first})
	}); err != nil {
		return err
	}
	if err := g.close(); err != nil {
		return err
	}
	if err := g.repo.PublishAll(faults.Bad); err != nil {
		return err
	}
	if err := g.serve(ctx); err != nil {
		return err
	}
	if err := g.enrol(ctx, g.hosts); err != nil {
		return err
	}
	g.say("%d machines are enrolled", len(all))
	var during errgroup.Group
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, t := range all {
		if t.before != nil {
			if err := t.before(ctx, g.hosts[i]); err != nil {
				return fmt.Errorf("%s: %w", t.what, err)
			}
		}
		if t.during != nil {
			during.Go(func() error {
				if err := t.during(ctx, g.hosts[i]); err != nil {
					return fmt.Errorf("%s on %s: %w", t.what, g.hosts[i].Name, err)
				}
				g.say("%s: %s", g.hosts[i].Name, t.what)
				return nil
			})
		}
	}
	c, err := g.run(ctx, troublePolicy, false, func() error { return nil })
	if err != nil {
		return err
	}
	err = g.judge(ctx, c.ID, all)
	cancel() // what has not happened by now will not
	return errors.Join(err, during.Wait())
}

// judge holds what became of each machine against what has to.
func (g *ground) judge(ctx context.Context, id patching.CycleID, all []trouble) error {
	found, err := g.deployments(ctx, id)
	if err != nil {
		return err
	}
	var p problems
	for i, t := range all {
		h := g.hosts[i]
		at := slices.IndexFunc(found, func(d wire.Deployment) bool { return d.Hostname == h.Name })
		if at < 0 {
			p.want(false, "%s (%s) is not in the plan", h.Name, t.what)
			continue
		}
		d := found[at]
		state, version, err := stateOf(ctx, h, t.patch)
		if err != nil {
			return err
		}
		record, err := g.people.Author.Machine(ctx, id, d.Asset)
		if err != nil {
			return err
		}
		var last wire.Receipt
		for _, r := range record.Receipts {
			if r.Stage.Terminal() {
				last = r
			}
		}
		log, err := h.ReadFile(dpkgLog)
		if err != nil {
			return err
		}
		became := trouble{
			what: t.what, patch: t.patch, outcome: d.Outcome, reason: d.Reason, signature: last.Signature, repairs: d.Repairs > 0,
			version: version, state: state,
		}
		g.say("%s %s", h.Name, became.row())
		if last.Detail != "" {
			g.say("    %q", last.Detail)
		}
		p.want(became.row() == t.row(), "%s: want %s", h.Name, t.row())
		for _, again := range repeated(string(log[g.logged[h.Name]:])) {
			p.want(false, "%s (%s): dpkg did %q again after it had been done", h.Name, t.what, again)
		}
	}
	return p.err()
}

// row is a line of the table in docs/faults.md.
func (t trouble) row() string {
	signature, repaired, cause := "", "", ""
	if c := t.reason.Cause(); c != "" {
		cause = "the " + string(c)
	}
	if t.signature != "" {
		signature = "`" + t.signature + "`"
	}
	if t.repairs {
		repaired = "yes"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | `%s%s` |", t.what, cause, t.reason, signature, t.outcome.Words(), repaired, t.state, t.version)
}

func changeSettings(_ context.Context, h *nspawn.Host) error {
	return h.WriteFile("etc/lab-conffile.conf", []byte("setting = mine\n"), 0o644)
}

// leave does with the bad version of a package what dpkg is told to, and no more.
func leave(do string, f faults.Fault) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		d := faults.Package(f, faults.Bad)
		data, err := d.Build()
		if err != nil {
			return err
		}
		file := "root/" + d.FileName()
		if err := h.WriteFile(file, data, 0o644); err != nil {
			return err
		}
		// It may fail, and is to.
		_, err = h.Exec(ctx, "dpkg", do, "/"+file)
		return err
	}
}

// sign says whether a machine is at the moment that is waited for.
type sign func(*nspawn.Host) (bool, error)

// process waits for a process.
func process(at faults.Moment) sign {
	return func(h *nspawn.Host) (bool, error) {
		all, err := h.Processes()
		return slices.ContainsFunc(all, at), err
	}
}

// journal waits until the last line of the agent's journal says something.
func journal(says string) sign {
	return func(h *nspawn.Host) (bool, error) {
		text, err := h.ReadFile("var/lib/patchcycle-agent/journal")
		if err != nil {
			return false, nil //nolint:nilerr // it is being replaced
		}
		text = bytes.TrimSuffix(text, []byte("\n"))
		return bytes.Contains(text[bytes.LastIndexByte(text, '\n')+1:], []byte(says)), nil
	}
}

// order waits until the agent has an order to install in hand, of which its journal
// says something more.
func order(says string) sign { return both(journal(`"verb":"apply"`), journal(says)) }

func both(one, other sign) sign {
	return func(h *nspawn.Host) (bool, error) {
		if is, err := one(h); !is || err != nil {
			return false, err
		}
		return other(h)
	}
}

// What apt is asked for.
const (
	download = "--download-only"
	simulate = "-s"
	install  = "install"
)

// lingering is how long a moment lasts that would be over between two looks, in
// seconds: on a machine with twenty times its load they are seconds apart.
const lingering = "5"

// linger makes what apt is asked for last longer, and lets it wait before it installs.
func linger(option string) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		const apt = "/usr/bin/apt-get"
		script := `#!/bin/sh
case " $* " in *" ` + simulate + ` "* | *" ` + download + ` "*) ;; *" ` + install + ` "*) sleep ` + lingering + ` ;; esac
` + apt + `.distrib "$@"; code=$?
case " $* " in *" ` + option + ` "*) sleep ` + lingering + ` ;; esac
exit $code
`
		return replace(ctx, h, apt, script)
	}
}

// lingerUnpacking stops dpkg in the middle of a large package.
func lingerUnpacking(ctx context.Context, h *nspawn.Host) error {
	const deb = "/usr/bin/dpkg-deb"
	return replace(ctx, h, deb, `#!/bin/sh
case "$1" in --fsys-tarfile) ;; *) exec `+deb+`.distrib "$@" ;; esac
`+deb+`.distrib "$@" | { head -c 30000000; sleep `+lingering+`; cat; }
`)
}

// replace puts a script in the place of a program, which is called .distrib then.
func replace(ctx context.Context, h *nspawn.Host, program, script string) error {
	if _, err := h.Output(ctx, "dpkg-divert", "--local", "--rename", "--add", program); err != nil {
		return err
	}
	return h.WriteFile(program[1:], []byte(script), 0o755)
}

// asked is while apt is asked for something.
func asked(option string) faults.Moment {
	return func(p nspawn.Process) bool { return p.Name == "apt-get" && slices.Contains(p.Args, option) }
}

var inScript = faults.InScript(faults.Slow, "postinst")

// unpacking is while dpkg replaces files, which it has noted before the first of them.
func unpacking(h *nspawn.Host) (bool, error) {
	_, err := h.ReadFile(faults.BigUnpacked)
	return err == nil, nil
}

// dpkg is while it runs.
func dpkg(p nspawn.Process) bool { return p.Name == "dpkg" }

// until waits for a sign, for as long as a cycle may take. Its thread goes before
// those of the machines, which want all there is: some moments are short.
func until(ctx context.Context, h *nspawn.Host, at sign) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, -15); err != nil {
		return fmt.Errorf("go before the machines: %w", err)
	}
	defer unix.Setpriority(unix.PRIO_PROCESS, 0, 0) //nolint:errcheck // it was allowed to a moment ago
	for {
		is, err := at(h)
		if err != nil || is {
			return err
		}
		if ctx.Err() != nil {
			return errors.New("that moment never came")
		}
		pause(ctx, 10*time.Millisecond)
	}
}

func losePower(at sign) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		if err := until(ctx, h, at); err != nil {
			return err
		}
		if err := h.PowerLoss(ctx); err != nil {
			return err
		}
		return nspawn.Boot(ctx, h)
	}
}

// killManager waits for a sign, and kills what still does that.
func killManager(at sign, still faults.Moment) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		if err := until(ctx, h, at); err != nil {
			return err
		}
		return faults.KillPackageManager(ctx, h, still)
	}
}

func killAgent(at faults.Moment) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		if err := until(ctx, h, process(at)); err != nil {
			return err
		}
		_, err := h.Output(ctx, "systemctl", "kill", "--kill-who=main", "--signal=KILL", "patchcycle-agent")
		return err
	}
}

// aWhile is longer than a package takes, and shorter than patience lasts.
const aWhile = 30 * time.Second

// held holds a lock for a while, from the moment at which the machine has an order.
func held(lock faults.Lock) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		if err := until(ctx, h, order("")); err != nil {
			return err
		}
		release, err := faults.Hold(ctx, h, lock)
		if err != nil {
			return err
		}
		defer release()
		pause(ctx, aWhile)
		return nil
	}
}

// without takes something from a machine in the middle of a script, and gives it
// back after a while.
func without(take, giveBack func(*nspawn.Host, context.Context) error) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		if err := until(ctx, h, process(inScript)); err != nil {
			return err
		}
		if err := take(h, ctx); err != nil {
			return err
		}
		pause(ctx, aWhile)
		return giveBack(h, context.WithoutCancel(ctx))
	}
}

// stateOf is dpkg's word of a package, and its version.
func stateOf(ctx context.Context, h *nspawn.Host, f faults.Fault) (state, version string, err error) {
	out, err := h.Output(ctx, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}\t${Version}", string(f))
	state, version, _ = strings.Cut(out, "\t")
	return state, version, err
}
