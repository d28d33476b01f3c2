//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
)

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
const lingering = "10"

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

// script is while that script runs for an order. To look for the order is cheap, and to
// look through a machine's processes is not: that is left until it has one.
var script = both(order(""), process(inScript))

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
		_ = pause.For(ctx, 10*time.Millisecond)
	}
}

func losePower(at sign) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		if err := until(ctx, h, at); err != nil {
			return err
		}
		switch err := h.PowerLoss(ctx); {
		case err == nil:
			return nspawn.Boot(ctx, h)
		case errors.Is(err, nspawn.ErrOff): // it is restarting by itself: nothing runs in it that power could be taken from
			return h.AwaitUp(ctx)
		default:
			return err
		}
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

// aWhile is longer than a package takes, and shorter than patience lasts.
const aWhile = 30 * time.Second

// held holds a lock for a while, from the moment at which the machine has an order.
func held(lock faults.Lock) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		if err := until(ctx, h, order("")); err != nil {
			return err
		}
		release, err := faults.Hold(ctx, h, lock)
		for range 40 { // the agent's own apt may have it, for a moment
			if err == nil {
				break
			}
			_ = pause.For(ctx, 250*time.Millisecond)
			release, err = faults.Hold(ctx, h, lock)
		}
		if err != nil {
			return err
		}
		defer release()
		_ = pause.For(ctx, aWhile)
		return nil
	}
}

// without takes something from a machine in the middle of a script, and gives it
// back after a while.
func without(take, giveBack func(*nspawn.Host, context.Context) error) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		if err := until(ctx, h, script); err != nil {
			return err
		}
		if err := take(h, ctx); err != nil {
			return err
		}
		_ = pause.For(ctx, aWhile)
		return giveBack(h, context.WithoutCancel(ctx))
	}
}
