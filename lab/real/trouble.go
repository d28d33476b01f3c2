//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/patching"
)

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
	return slices.Concat(badPackages(), fullDisks(), hindrances(), waits(), parts(), powerLosses())
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
				_ = pause.For(ctx, 20*time.Second)
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
		trouble{what: "apt and dpkg are killed in a script", patch: faults.Slow, during: killManager(script, inScript), repairs: true}.well(),
		trouble{what: "apt and dpkg are killed while they unpack", patch: faults.Big, before: lingerUnpacking, during: killManager(unpacking, dpkg), repairs: true}.well(),
		trouble{what: "power is lost in a script", patch: faults.Slow, during: losePower(script), repairs: true}.well(),
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
		{"the order was accepted", linger(download), order(`"stage":"accepted"`)},
		{"packages are fetched", linger(download), both(order(""), process(asked(download)))},
		{"apt simulates", linger(simulate), both(order(`"stage":"started"`), process(asked(simulate)))},
		{"the order has started", linger(simulate), order(`"stage":"started"`)},
		{"the installation is next", linger(install), order(`"phase":"install"`)},
		{"the restart is next", nil, order(`"phase":"restart"`)},
		{"the check is next", nil, order(`"phase":"check"`)},
		{"the end is written down", nil, journal(`"done":["`)},
	} {
		all = append(all, trouble{what: "power is lost when " + step.what, patch: faults.Reboot, before: step.before, during: losePower(step.at)}.well())
	}
	return all
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
