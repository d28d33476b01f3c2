//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/edge/probation"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/patching"
)

// agentRelease is a release of the agent that a cycle brings.
type agentRelease struct {
	version string
	// program takes the place of the agent's; empty: it is the agent, built as this version.
	program string
}

// The releases that cycles bring, in their order. One ends as soon as it is started.
var agentReleases = []agentRelease{
	{version: "9.1"},
	{version: "9.2", program: "#!/bin/sh\necho 'patchcycle-agent: this release is broken' >&2\nexit 1\n"},
	{version: "9.4"},
}

// mute is a release that is started, says nothing, and hangs the scripts that call it.
var mute = agentRelease{version: "9.5", program: "#!/bin/sh\nexec sleep infinity\n"}

// own brings new releases of the agent to all machines in ordinary cycles: a good one
// arrives everywhere; a broken one is halted in the test ring, where the machine itself
// puts the one before back; the next good one arrives everywhere again. At last somebody
// installs a broken one by hand, on a machine whose line is down.
func (g *ground) own(ctx context.Context) error {
	g.labOnly, g.probation = true, 90*time.Second
	if err := g.up(ctx, make([]nspawn.HostOptions, g.machines)); err != nil {
		return err
	}
	if err := g.close(); err != nil {
		return err
	}
	// What is installed is in the archive too, as it would be at a vendor's.
	if err := g.repo.PublishFile(ctx, g.agent); err != nil {
		return err
	}
	if err := g.serve(ctx); err != nil {
		return err
	}
	if err := g.enrol(ctx, g.hosts); err != nil {
		return err
	}
	before, err := g.hosts[0].Output(ctx, "dpkg-query", "-W", "-f", "${Version}", probation.Package)
	if err != nil {
		return err
	}
	for _, r := range agentReleases {
		if err := g.bring(ctx, r, before); err != nil {
			return fmt.Errorf("release %s of the agent: %w", r.version, err)
		}
		if r.program == "" {
			before = r.version
		}
	}
	if err := g.byHand(ctx, before); err != nil {
		return fmt.Errorf("release %s of the agent, by hand: %w", mute.version, err)
	}
	g.say("all went as it should")
	return nil
}

// byHand installs a broken release on a machine whose line is down: nobody may blame it
// for that, and it goes back once the line is up again.
func (g *ground) byHand(ctx context.Context, before string) error {
	h := g.last()
	file, err := g.makeRelease(ctx, mute)
	if err != nil {
		return err
	}
	if err := errors.Join(h.CopyIn(file, "root/mute.deb"), h.LinkDown(ctx)); err != nil {
		return err
	}
	if err := steps(ctx, h, [][]string{{"dpkg", "--install", "/root/mute.deb"}}); err != nil {
		return err
	}
	g.say("somebody installs release %s on %s, whose line is down", mute.version, h.Name)
	judged := func(v probation.Verdict) func() (bool, error) {
		return func() (bool, error) {
			log, err := h.Output(ctx, "journalctl", "--no-pager", "-o", "cat", "-u", "patchcycle-probation.service")
			return strings.Contains(log, string(v)), err
		}
	}
	if err := g.await(ctx, g.probation+5*time.Minute, "a judge who waits for the line", judged(probation.Waits)); err != nil {
		return err
	}
	version, err := h.Output(ctx, "dpkg-query", "-W", "-f", "${Version}", probation.Package)
	if err != nil {
		return err
	}
	if version != mute.version {
		return fmt.Errorf("without a line the agent was replaced by %s", version)
	}
	g.say("the release before does not reach the server either: it is left alone")
	if err := h.LinkUp(ctx); err != nil {
		return err
	}
	if err := g.await(ctx, 5*time.Minute, "the release before", judged(probation.Back)); err != nil {
		return err
	}
	var p problems
	err = g.requireRelease(ctx, h, before, mute, probation.PutBack, &p)
	g.say("the line is up: release %s is back", before)
	return errors.Join(err, p.err())
}

// bring publishes a release and runs a cycle with it.
func (g *ground) bring(ctx context.Context, r agentRelease, before string) error {
	file, err := g.makeRelease(ctx, r)
	if err != nil {
		return err
	}
	if err := g.repo.PublishFile(ctx, file); err != nil {
		return err
	}
	if err := g.learn(ctx, g.hosts); err != nil {
		return err
	}
	g.say("release %s of the agent is out; %s is installed", r.version, before)
	c, err := g.run(ctx, policyText, nil)
	if err != nil {
		return err
	}
	var p problems
	all, err := g.deployments(ctx, c.ID)
	if err != nil {
		return err
	}
	for _, d := range all {
		g.say("%s: %s %s", d.Hostname, d.Outcome, d.Reason)
	}
	want := r.version
	if r.program == "" {
		p.want(c.ClosedAs == patching.ClosedSuccessful, "it closed as %s: %s", c.ClosedAs, c.Words)
		p.want(c.Outcomes[patching.Patched] == g.machines, "%d of %d machines are patched", c.Outcomes[patching.Patched], g.machines)
	} else {
		want = before
		p.want(c.ClosedAs == patching.ClosedBackedOut, "it closed as %s: %s", c.ClosedAs, c.Words)
		p.want(c.Outcomes[patching.RolledBack] == 1 && c.Outcomes[patching.Patched] == 0, "the outcomes are %v, want one machine that went back, and none patched", c.Outcomes)
	}
	for i, h := range g.hosts {
		state := probation.Passed
		if r.program != "" && i == 0 {
			state = probation.PutBack
		}
		if err := g.requireRelease(ctx, h, want, r, state, &p); err != nil {
			return err
		}
	}
	if r.program != "" {
		log, err := g.hosts[0].Output(ctx, "journalctl", "--no-pager", "-u", "patchcycle-probation.service")
		if err != nil {
			return err
		}
		p.want(strings.Contains(log, string(probation.Back)), "the journal of %s does not say who put the release back: %s", g.hosts[0].Name, log)
	}
	return errors.Join(g.report(ctx, c.ID, &p, probation.Package), p.err())
}

// requireRelease looks at a machine: which release is installed and at work, what is
// kept, and that nothing waits to judge.
func (g *ground) requireRelease(ctx context.Context, h *nspawn.Host, want string, r agentRelease, state probation.State, p *problems) error {
	version, err := h.Output(ctx, "dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", probation.Package)
	if err != nil {
		return err
	}
	p.want(version == want+" installed", "the agent on %s is %q, want %s", h.Name, version, want)
	if err := says(ctx, h, "The courier last heard"); err != nil {
		p.want(false, "%v", err)
	}
	about, err := h.Output(ctx, "patchcycle-agent", "release")
	if err != nil {
		return err
	}
	want = map[probation.State]string{
		probation.Passed:  "reported in",
		probation.PutBack: "Release " + r.version + " was put back to " + want,
	}[state]
	p.want(strings.Contains(about, want), "%s says of its releases: %s", h.Name, about)
	for _, file := range []string{"/var/lib/patchcycle-agent/release/patchcycle-agent.deb", "/var/lib/patchcycle-agent/release/patchcycle-agent"} {
		p.want(exists(ctx, h, file), "%s does not keep %s", h.Name, file)
	}
	p.want(!exists(ctx, h, "/etc/systemd/system/patchcycle-probation.timer"), "a judge is still there on %s", h.Name)
	return nil
}

// makeRelease makes the package of a release out of the first one's.
func (g *ground) makeRelease(ctx context.Context, r agentRelease) (file string, err error) {
	tree := filepath.Join(g.dir, "release-"+r.version)
	file = tree + ".deb"
	run := func(env []string, program string, args ...string) error {
		c := exec.CommandContext(ctx, program, args...)
		c.Env = append(os.Environ(), env...)
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %v: %w: %s", program, args, err, out)
		}
		return nil
	}
	if err := run(nil, "dpkg-deb", "--raw-extract", g.agent, tree); err != nil {
		return "", err
	}
	program := filepath.Join(tree, "usr", "bin", "patchcycle-agent")
	if r.program != "" {
		err = os.WriteFile(program, []byte(r.program), 0o755)
	} else {
		err = run([]string{"CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-ldflags", "-X main.version="+r.version,
			"-o", program, "github.com/patchcycle/patchcycle/cmd/patchcycle-agent")
	}
	if err != nil {
		return "", err
	}
	control := filepath.Join(tree, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		return "", err
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "Version:") {
			line = "Version: " + r.version + "\n"
		}
		lines = append(lines, line)
	}
	if err := os.WriteFile(control, []byte(strings.Join(lines, "")), 0o644); err != nil {
		return "", err
	}
	return file, run(nil, "dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, file)
}
