//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/patchcycle/patchcycle/edge/courier"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// visited patches machines that have no resident agent and reach nobody: an administrator
// prepares them, a relay visits them. In the middle of a transaction the relay is killed
// in the test ring, and a session in the last one.
func (g *ground) visited(ctx context.Context) error {
	g.bare, g.labOnly = true, g.options.cycle == "bootstrap"
	// As most machines have it, each session is a scope of its own.
	if err := g.found(ctx, "openssh-server", "libpam-systemd", string(faults.Reboot), string(faults.Slow)); err != nil {
		return err
	}
	admin, err := g.newAdmin(ctx)
	if err != nil {
		return err
	}
	if err := g.boot(ctx, make([]nspawn.HostOptions, g.machines)); err != nil {
		return err
	}
	if err := each(g.hosts, func(h *nspawn.Host) error { return g.alone(ctx, h) }); err != nil {
		return err
	}
	if err := g.close(); err != nil {
		return err
	}
	if err := g.repo.Publish(faults.Package(faults.Reboot, faults.Bad), faults.Package(faults.Slow, faults.Bad)); err != nil {
		return err
	}
	if err := errors.Join(g.serve(ctx), g.startRelay(ctx)); err != nil {
		return err
	}
	if err := g.prepare(ctx, admin); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	end(g.relaying) // it reads its list when it starts
	if err := g.startRelay(ctx); err != nil {
		return err
	}
	g.enrolled = len(g.hosts)
	if err := g.awaitVisits(ctx); err != nil {
		return err
	}
	if g.options.cycle == "ssh" {
		if err := g.visitedCycle(ctx); err != nil {
			return err
		}
	}
	end(g.relaying)
	g.relaying = nil
	if err := g.requireAlone(ctx, admin); err != nil {
		return err
	}
	g.say("all went as it should")
	return nil
}

// alone gives the machine host keys of its own, for those of the lab's common part are all
// machines' own, and lists that lead to whoever visits it.
func (g *ground) alone(ctx context.Context, h *nspawn.Host) error {
	return steps(ctx, h, [][]string{
		{"sh", "-c", "rm /etc/ssh/ssh_host_* && ssh-keygen -q -A && systemctl restart ssh"},
		{"sh", "-c", "sed -i s,http://" + g.lab.Server() + "/,http://" + courier.ParcelAddress + "/, /etc/apt/sources.list.d/*.sources"},
	})
}

// awaitVisits waits until all machines have told what is installed on them, and what they
// miss, which comes after that.
func (g *ground) awaitVisits(ctx context.Context) error {
	want := 2 * g.machines
	if !g.labOnly {
		want += g.machines * g.lab.Base.Made.Pending
	}
	err := g.await(ctx, 3*time.Minute, fmt.Sprintf("first visits, and that %d updates are pending", want), func() (bool, error) {
		n, err := trial.Inventoried(ctx, g.people.Admin)
		if err != nil || n < g.enrolled {
			return false, err
		}
		pending, err := g.missing(ctx)
		return pending == want, err
	})
	if err == nil {
		g.say("visited; the server knows of %d pending updates", want)
	}
	return err
}

// visitedCycle brings all that is pending.
func (g *ground) visitedCycle(ctx context.Context) error {
	before, err := g.bootIDs(ctx)
	if err != nil {
		return err
	}
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	during, watched := errgroup.WithContext(watched)
	during.Go(func() error { return g.loseRelay(watched, g.hosts[0], before[g.hosts[0].Name]) })
	during.Go(func() error { return g.loseSession(watched, g.last()) })
	// The first to be visited may have told of itself minutes before the last.
	policy := bytes.Replace(twoRings(), []byte("fresh: 1m"), []byte("fresh: 10m"), 1)
	c, err := g.run(watched, policy, nil)
	cancel() // what has not happened by now will not
	if err := errors.Join(err, during.Wait()); err != nil {
		return err
	}
	var p problems
	p.want(c.ClosedAs == patching.ClosedSuccessful, "it closed as %s: %s", c.ClosedAs, c.Words)
	p.want(c.Outcomes[patching.Patched] == g.machines, "%d of %d machines are patched", c.Outcomes[patching.Patched], g.machines)
	after, err := g.bootIDs(ctx)
	if err != nil {
		return err
	}
	for name, id := range before {
		p.want(after[name] != id, "%s was not restarted", name)
	}
	pending, err := g.missing(ctx)
	if err != nil {
		return err
	}
	p.want(pending == 0, "%d updates are pending afterwards", pending)
	all, err := g.deployments(ctx, c.ID)
	if err != nil {
		return err
	}
	if err := g.requireOnce(ctx, c.ID, all, &p); err != nil {
		return err
	}
	g.say("all machines have new boot ids and nothing is pending")
	return errors.Join(g.report(ctx, c.ID, &p, "Patched", "h1"), p.err())
}

// loseRelay kills the relay in the middle of the machine's transaction, and starts it
// again when the machine has ended that without it, restarted, and kept its receipts.
func (g *ground) loseRelay(ctx context.Context, h *nspawn.Host, boot string) error {
	if err := until(ctx, h, script); err != nil {
		return fmt.Errorf("the relay was to be killed while %s installs: %w", h.Name, err)
	}
	end(g.relaying)
	g.say("kill -9 of the relay while %s installs", h.Name)
	if err := h.AwaitReboot(ctx, boot); err != nil {
		return err
	}
	version, err := h.Output(ctx, "dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", string(faults.Slow))
	if err != nil {
		return err
	}
	if version != faults.Bad+" installed" {
		return fmt.Errorf("without the relay %s did not end its transaction: %s is %q", h.Name, faults.Slow, version)
	}
	out, err := h.Output(ctx, "patchcycle-agent", "status", "--json")
	if err != nil {
		return err
	}
	var s struct {
		Unsent int `json:"unsent"`
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		return err
	}
	if s.Unsent == 0 {
		return fmt.Errorf("%s keeps no receipt of what it did without the relay", h.Name)
	}
	g.say("%s ended its transaction without a relay, restarted, and keeps %d receipts; the relay is started again", h.Name, s.Unsent)
	return g.startRelay(ctx)
}

// loseSession kills the machine's end of its visit in the middle of a transaction. The
// relay's next visit finds the agent at work still, and one of the later ones its end.
func (g *ground) loseSession(ctx context.Context, h *nspawn.Host) error {
	if err := until(ctx, h, script); err != nil {
		return fmt.Errorf("the session was to be cut while %s installs: %w", h.Name, err)
	}
	noted, err := os.ReadFile(g.relayLog())
	if err != nil {
		return err
	}
	all, err := h.Processes()
	if err != nil {
		return err
	}
	cut := 0
	for _, p := range all {
		if p.Name == "sshd" && len(p.Args) > 0 && strings.HasPrefix(p.Args[0], "sshd: root") {
			if err := unix.Kill(p.PID, unix.SIGKILL); err != nil {
				return fmt.Errorf("cut the session of %s: %w", h.Name, err)
			}
			cut++
		}
	}
	if cut == 0 {
		return fmt.Errorf("nobody visits %s while it installs", h.Name)
	}
	_ = pause.For(ctx, time.Second)
	if all, err = h.Processes(); err != nil {
		return err
	}
	if !slices.ContainsFunc(all, visitedAgent) {
		return fmt.Errorf("the agent of %s ended with its session, in the middle of a transaction", h.Name)
	}
	g.say("kill -9 of the session while %s installs; its agent goes on", h.Name)
	return g.await(ctx, 10*time.Minute, "a visit of "+h.Name+" after the one that was cut", func() (bool, error) {
		log, err := os.ReadFile(g.relayLog())
		said := strings.Join(visitsOf(h.Name, log[len(noted):]), " ")
		_, rest, failed := strings.Cut(said, "a visit failed")
		return failed && strings.Contains(rest, "visited again"), err
	})
}

// visitsOf are the words of a relay's log that speak of a machine.
func visitsOf(name string, log []byte) (words []string) {
	for line := range strings.Lines(string(log)) {
		var l struct {
			Msg     string `json:"msg"`
			Machine string `json:"machine"`
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Machine == name {
			words = append(words, l.Msg)
		}
	}
	return words
}

// visitedAgent is an agent that a visit has started.
func visitedAgent(p nspawn.Process) bool { return slices.Contains(p.Args, "--stdio") }
