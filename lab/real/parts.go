//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/patching"
)

// The units of the agent's two parts.
const (
	handUnit    = "patchcycle-agent.service"
	courierUnit = "patchcycle-courier.service"
	socketUnit  = "patchcycle-courier.socket"
)

// parts are what befalls the agent's two parts, and what comes of their networks.
func parts() (all []trouble) {
	for _, unit := range []struct{ who, name string }{{"the agent", handUnit}, {"its courier", courierUnit}} {
		for _, step := range []struct {
			what   string
			patch  faults.Fault
			before func(context.Context, *nspawn.Host) error
			at     sign
		}{
			{"while packages are fetched", faults.Reboot, linger(download), both(order(""), process(asked(download)))},
			{"in a script", faults.Slow, nil, script},
		} {
			all = append(all, trouble{what: unit.who + " is killed " + step.what, patch: step.patch, before: step.before, during: killUnit(unit.name, step.at)}.well())
		}
	}
	return append(
		all,
		trouble{what: "its courier is stopped in a script, for a while", patch: faults.Slow, during: without(stopCourier, startCourier)}.well(),
		trouble{what: "its courier hangs in a script, for a while", patch: faults.Slow, during: without(signalCourier("STOP"), signalCourier("CONT"))}.well(),
		trouble{what: "the agent is stopped in a script, for a while", patch: faults.Slow, during: without(stopAgent, startAgent)}.well(),
		trouble{what: "the agent was in one part, and is upgraded when the installation is next", patch: faults.Reboot, before: onePart, during: upgrade}.well(),
		trouble{what: "a service that the package's script restarts wants the network", patch: faults.ServiceOnline}.well(),
		trouble{
			what: "the package's script wants the network", patch: faults.Downloads,
			outcome: patching.NeedsHands, reason: patching.ReasonInstallFailed, signature: "lab-downloads: postinst", repairs: true,
			version: faults.Bad, state: halfConfigured,
		},
	)
}

func killUnit(unit string, at sign) func(context.Context, *nspawn.Host) error {
	return func(ctx context.Context, h *nspawn.Host) error {
		if err := until(ctx, h, at); err != nil {
			return err
		}
		_, err := h.Output(ctx, "systemctl", "kill", "--kill-who=main", "--signal=KILL", unit)
		return err
	}
}

func stopCourier(h *nspawn.Host, ctx context.Context) error { //nolint:revive // as a method's expression
	if err := steps(ctx, h, [][]string{{"systemctl", "stop", socketUnit, courierUnit}}); err != nil {
		return err
	}
	return says(ctx, h, "Nothing reaches the server: this machine's courier does not answer")
}

func startCourier(h *nspawn.Host, ctx context.Context) error { //nolint:revive // as a method's expression
	return steps(ctx, h, [][]string{{"systemctl", "start", socketUnit, courierUnit}})
}

func signalCourier(signal string) func(*nspawn.Host, context.Context) error {
	return func(h *nspawn.Host, ctx context.Context) error {
		return steps(ctx, h, [][]string{{"systemctl", "kill", "--signal=" + signal, courierUnit}})
	}
}

func stopAgent(h *nspawn.Host, ctx context.Context) error { //nolint:revive // as a method's expression
	if err := steps(ctx, h, [][]string{{"systemctl", "stop", handUnit}}); err != nil {
		return err
	}
	return says(ctx, h, "No agent is at work here now")
}

func startAgent(h *nspawn.Host, ctx context.Context) error { //nolint:revive // as a method's expression
	return steps(ctx, h, [][]string{{"systemctl", "start", handUnit}})
}

// says waits for words in the agent's status: units are started without waiting for them.
func says(ctx context.Context, h *nspawn.Host, words string) error {
	for end := time.Now().Add(soon); ; {
		out, err := h.Output(ctx, "patchcycle-agent", "status")
		switch {
		case err == nil && strings.Contains(out, words):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case time.Now().After(end):
			return fmt.Errorf("status on %s does not say %q (%w): %s", h.Name, words, err, out)
		}
		_ = pause.For(ctx, 250*time.Millisecond)
	}
}

//go:embed onepart.service
var onePartService []byte

const identity = "var/lib/patchcycle-agent/identity.json"

// onePart gives the machine the units that the package had before.
func onePart(ctx context.Context, h *nspawn.Host) error {
	if err := linger(install)(ctx, h); err != nil {
		return err
	}
	if err := steps(ctx, h, [][]string{
		{"systemctl", "stop", handUnit},
		{"rm", "/lib/systemd/system/" + courierUnit, "/lib/systemd/system/" + socketUnit},
	}); err != nil {
		return err
	}
	if err := h.WriteFile("usr/lib/systemd/system/"+handUnit, onePartService, 0o644); err != nil {
		return err
	}
	return steps(ctx, h, [][]string{{"systemctl", "daemon-reload"}, {"systemctl", "start", handUnit}})
}

// upgrade installs the agent's package while the machine works on its order: it stays
// who it is.
func upgrade(ctx context.Context, h *nspawn.Host) error {
	if err := until(ctx, h, order(`"phase":"install"`)); err != nil {
		return err
	}
	key := func() (string, error) {
		return h.Output(ctx, "sha256sum", "/var/lib/patchcycle-agent/device.key", "/"+identity)
	}
	before, err := key()
	if err != nil {
		return err
	}
	if o, err := h.Exec(ctx, "systemctl", "is-active", courierUnit); err != nil || o.Code == 0 {
		return fmt.Errorf("the agent on %s is in two parts before it is upgraded (%w)", h.Name, err)
	}
	if err := steps(ctx, h, [][]string{{"dpkg", "-i", "/root/patchcycle-agent.deb"}}); err != nil {
		return err
	}
	after, err := key()
	if err == nil && before != after {
		err = errors.New("the upgrade changed who the machine is")
	}
	return errors.Join(err, says(ctx, h, "The courier "))
}
