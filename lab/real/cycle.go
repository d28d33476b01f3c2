//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/patching"
)

//go:embed policy.yaml
var policyText []byte

const policyName patching.PolicyName = "real"

// try makes the ground and sends its machines through what was asked for.
func try(ctx context.Context, o options, dir string, stdout, stderr io.Writer) (err error) {
	began := time.Now()
	g := &ground{options: o, dir: dir, out: stdout, log: stderr, say: func(format string, args ...any) {
		fmt.Fprintf(stdout, "%5.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}}
	defer func() { err = errors.Join(err, g.down(ctx)) }()
	switch o.cycle {
	case "troubled":
		return g.troubled(ctx)
	case "waves":
		return g.waves(ctx)
	case "own":
		return g.own(ctx)
	case "self":
		return g.self(ctx)
	case "ssh", "bootstrap":
		return g.visited(ctx)
	case "clocks":
		return g.clocks(ctx)
	case "grants":
		return g.granted(ctx)
	}
	return g.bothCycles(ctx)
}

// bothCycles sends all machines through a cycle that goes well, and one that does not.
func (g *ground) bothCycles(ctx context.Context) error {
	if err := g.up(ctx, make([]nspawn.HostOptions, g.machines), string(faults.Conffile), string(faults.Reboot)); err != nil {
		return err
	}
	// One machine alone has the service that will be stopped by its update.
	if _, err := g.last().Output(ctx, "apt-get", "install", "-q", "-y", string(faults.ServiceDies)); err != nil {
		return err
	}
	if err := g.close(); err != nil {
		return err
	}
	g.say("%d Debian machines run; each misses %d updates of Debian's", g.machines, g.lab.Base.Made.Pending)
	// What the first cycle brings beside Debian's updates.
	fresh := []faults.Deb{faults.Package(faults.Reboot, faults.Bad)}
	if g.options.cycle == "bad" {
		fresh = badPatches()
	}
	if err := g.repo.Publish(fresh...); err != nil {
		return err
	}
	if err := g.serve(ctx); err != nil {
		return err
	}
	if g.relay != "" {
		if err := errors.Join(g.countWAN(ctx), g.startRelay(ctx)); err != nil {
			return err
		}
	}
	if err := g.enrol(ctx, g.hosts); err != nil {
		return err
	}
	if g.options.cycle != "bad" {
		if err := g.goodCycle(ctx); err != nil {
			return fmt.Errorf("the good cycle: %w", err)
		}
	}
	if g.options.cycle == "both" {
		if err := g.publishBad(ctx); err != nil {
			return err
		}
	}
	if g.options.cycle != "good" {
		if err := g.badCycle(ctx); err != nil {
			return fmt.Errorf("the bad cycle: %w", err)
		}
	}
	if err := g.packageLife(ctx); err != nil {
		return fmt.Errorf("the agent's package: %w", err)
	}
	g.say("all went as it should")
	return nil
}

// goodCycle brings all that is pending, and one package that asks for a restart.
func (g *ground) goodCycle(ctx context.Context) error {
	pending, err := g.missing(ctx)
	if err != nil {
		return err
	}
	g.say("enrolled; the server knows of %d pending updates", pending)
	if want := g.machines * (g.lab.Base.Made.Pending + 1); pending != want {
		return fmt.Errorf("the machines miss %d updates in all, the server knows of %d", want, pending)
	}
	before, err := g.bootIDs(ctx)
	if err != nil {
		return err
	}
	if err := g.enter(ctx); err != nil {
		return err
	}
	run := func() (wire.CycleDetail, error) { return g.run(ctx, policyText, nil) }
	if g.options.kill {
		run = func() (wire.CycleDetail, error) { return g.runKilled(ctx, policyText) }
	}
	c, err := run()
	if err != nil {
		return err
	}
	var p problems
	p.want(c.ClosedAs == patching.ClosedSuccessful, "it closed as %s: %s", c.ClosedAs, c.Words)
	p.want(c.Outcomes[patching.Patched] == g.machines, "%d of %d machines are patched", c.Outcomes[patching.Patched], g.machines)
	all, err := g.deployments(ctx, c.ID)
	if err != nil {
		return err
	}
	for _, d := range all {
		p.want(d.Verified.After(d.Answered), "%s counts by an inventory of before its answer", d.Hostname)
	}
	after, err := g.bootIDs(ctx)
	if err != nil {
		return err
	}
	for name, id := range before {
		p.want(after[name] != id, "%s was not restarted", name)
	}
	pending, err = g.missing(ctx)
	if err != nil {
		return err
	}
	p.want(pending == 0, "%d updates are pending afterwards", pending)
	p.want(c.FreedBytes > 0, "cleaning up gave nothing back")
	if err := g.requireOnce(ctx, c.ID, all, &p); err != nil {
		return err
	}
	if g.relay != "" {
		if err := g.requireOneCopy(ctx, &p); err != nil {
			return err
		}
	}
	if err := g.requireAdvised(ctx, c.ID, &p); err != nil {
		return err
	}
	g.say("all machines have new boot ids, nothing is pending, cleaning up gave back %d MB", c.FreedBytes>>20)
	return errors.Join(g.report(ctx, c.ID, &p, "Patched", "h1"), p.err())
}

// badPatches are one for all machines, and one for the last machine alone: apt
// says of it that all is well, and its service dies.
func badPatches() []faults.Deb {
	return []faults.Deb{faults.Package(faults.Conffile, faults.Bad), faults.Package(faults.ServiceDies, faults.Bad)}
}

// publishBad publishes them when machines have inventoried themselves already.
func (g *ground) publishBad(ctx context.Context) error {
	if err := g.repo.Publish(badPatches()...); err != nil {
		return err
	}
	return g.learn(ctx, g.hosts)
}

// learn lets machines know of what was published since they were inventoried.
func (g *ground) learn(ctx context.Context, hosts []*nspawn.Host) error {
	_ = pause.For(ctx, 10*time.Second) // as long as the server may call its mirror fresh
	if err := fetchLists(ctx, hosts); err != nil {
		return err
	}
	// The policies call inventories fresh that are a minute old.
	_ = pause.For(ctx, time.Minute)
	return nil
}

func fetchLists(ctx context.Context, hosts []*nspawn.Host) error {
	return each(hosts, func(h *nspawn.Host) error {
		return steps(ctx, h, [][]string{append([]string{"apt-get"}, update...)})
	})
}

// hold keeps Debian's own updates out of the bad cycle where the good one did
// not bring them.
const hold = `patches:
  hold:
    - {package: "[^l]*", reason: not of the lab, owner: lab, until: 2099-12-31}
    - {package: "lib*", reason: not of the lab, owner: lab, until: 2099-12-31}
`

// holding is the policy of a cycle that leaves Debian's own updates alone.
func holding() []byte { return []byte(strings.Replace(string(policyText), "patches:\n", hold, 1)) }

// badCycle is halted in its last ring, which goes back.
func (g *ground) badCycle(ctx context.Context) error {
	c, err := g.run(ctx, holding(), g.moveOn)
	if err != nil {
		return err
	}
	var p problems
	p.want(c.ClosedAs == patching.ClosedBackedOut, "it closed as %s: %s", c.ClosedAs, c.Words)
	rest := g.machines - 2
	p.want(c.Outcomes[patching.Patched] == 2, "%d machines are patched, want those of the first two rings", c.Outcomes[patching.Patched])
	p.want(c.Outcomes[patching.RolledBack] == rest, "%d machines went back, want the whole last ring: %d", c.Outcomes[patching.RolledBack], rest)
	for i, h := range g.hosts {
		version, err := h.Output(ctx, "dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", string(faults.Conffile))
		if err != nil {
			return err
		}
		want := faults.Good
		if i < 2 {
			want = faults.Bad
		}
		p.want(version == want+" installed", "%s on %s is at %q, want %s", faults.Conffile, h.Name, version, want)
	}
	state, err := g.last().Exec(ctx, "systemctl", "is-active", string(faults.ServiceDies))
	if err != nil {
		return err
	}
	p.want(strings.TrimSpace(state.Stdout) == "active", "the service on %s is %s", g.last().Name, state.Stdout)
	all, err := g.deployments(ctx, c.ID)
	if err != nil {
		return err
	}
	if err := g.requireOnce(ctx, c.ID, all, &p); err != nil {
		return err
	}
	decisions, err := g.people.Author.Decisions(ctx, c.ID)
	if err != nil {
		return err
	}
	for _, h := range g.hosts[1:] {
		if err := g.requireFrozen(h, &p); err != nil {
			return err
		}
	}
	halted := slices.ContainsFunc(decisions.Items, func(d wire.Decision) bool { return d.Verb == patching.Halt })
	p.want(halted, "no gate halted")
	g.say("the service died on %s, the gate halted, %d machines are back at the versions of before", g.last().Name, rest)
	return errors.Join(g.report(ctx, c.ID, &p, "was halted", string(faults.ServiceDies)), p.err())
}

// moveOn lets the archive forget all that the plan speaks of, and its index
// expire: what is installed and what goes back then comes from the snapshot.
func (g *ground) moveOn() error {
	g.say("the archive drops these packages, old and new, and its index expires")
	return errors.Join(
		g.repo.Drop(faults.Conffile, faults.Good, faults.Bad), g.repo.Drop(faults.ServiceDies, faults.Good, faults.Bad),
		g.repo.Expire(-time.Hour),
	)
}

// requireFrozen looks into apt's own log for where its transactions took their
// packages from.
func (g *ground) requireFrozen(h *nspawn.Host, p *problems) error {
	text, err := h.ReadFile("var/log/apt/history.log")
	if err != nil {
		return err
	}
	ours := 0
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "Commandline: ") && strings.Contains(line, "Always-Include-Phased-Updates") {
			ours++
			p.want(strings.Contains(line, "Dir::Etc::SourceList=/dev/null") && strings.Contains(line, "Dir::Etc::SourceParts=/var/cache/patchcycle-agent/"),
				"%s took packages from elsewhere than the snapshot: %s", h.Name, line)
		}
	}
	p.want(ours > 0, "apt's log on %s shows no transaction of the agent's", h.Name)
	return nil
}

// aCycle is a cycle to be run, with the approval of a second person.
type aCycle struct {
	name   patching.PolicyName
	policy []byte
	limit  time.Duration // how long it may take
	// approve is what people do about a plan; nil: the second person approves it.
	approve func(wire.CycleDetail) error
	// before is done before the approval, and look after each look at the cycle until it
	// closes; nil: nothing.
	before func() error
	look   func(wire.CycleDetail) error
}

// follow runs a cycle from its start to its close.
func (g *ground) follow(ctx context.Context, a aCycle) (c wire.CycleDetail, err error) {
	if _, err := g.people.Author.ApplyPolicy(ctx, a.name, "policy.yaml", a.policy, false); err != nil {
		return c, err
	}
	started, err := g.people.Author.StartCycle(ctx, a.name, wire.StartCycle{}, client.NewKey())
	if err != nil {
		return c, err
	}
	if a.approve == nil {
		a.approve = func(c wire.CycleDetail) error { return g.approve(ctx, c) }
	}
	words, approved := "", patching.Digest("")
	err = g.await(ctx, a.limit, "the close of "+string(started.Cycle), func() (bool, error) {
		next, err := g.people.Approver.Cycle(ctx, started.Cycle)
		if err != nil {
			return false, err
		}
		if c = next; c.Words != words {
			words = c.Words
			g.say("%s: %s: %s", a.name, c.Phase, words)
		}
		if c.Phase == patching.PhaseApproval && c.Plan != "" && c.Plan != approved {
			if a.before != nil {
				if err := a.before(); err != nil {
					return false, err
				}
				a.before = nil
			}
			err := a.approve(c)
			if err == nil {
				approved = c.Plan
			}
			return false, err
		}
		if c.Phase.Terminal() || a.look == nil {
			return c.Phase.Terminal(), nil
		}
		return false, a.look(c)
	})
	return c, err
}

// approve has the second person approve a plan.
func (g *ground) approve(ctx context.Context, c wire.CycleDetail) error {
	_, err := g.people.Approver.Do(ctx, c.ID, "approve", wire.Act{Plan: c.Plan, Reason: "the test ring is well"}, client.NewKey())
	return err
}

// run runs a cycle of all machines, see [aCycle].
func (g *ground) run(ctx context.Context, policy []byte, before func() error) (wire.CycleDetail, error) {
	return g.follow(ctx, aCycle{name: policyName, policy: policy, limit: 30 * time.Minute, before: before})
}

// runKilled runs one, and ends the server hard in the middle of the last ring.
func (g *ground) runKilled(ctx context.Context, policy []byte) (wire.CycleDetail, error) {
	killed := false
	c, err := g.follow(ctx, aCycle{name: policyName, policy: policy, limit: 30 * time.Minute, look: func(c wire.CycleDetail) error {
		if killed || !g.inLastRing(c) {
			return nil
		}
		busy, err := g.installing(ctx)
		if err != nil || !busy {
			return err
		}
		killed = true
		g.say("kill -9 of the server while the last ring installs")
		g.kill()
		if g.relaying != nil {
			if err := g.killRelay(ctx); err != nil {
				return err
			}
		}
		return g.serve(ctx)
	}})
	if err == nil && !killed {
		err = errors.New("the server was to be killed while the last ring installs, and that moment never came")
	}
	return c, err
}

func (g *ground) inLastRing(c wire.CycleDetail) bool {
	i := slices.IndexFunc(c.Rings, func(r wire.RingProgress) bool { return r.Name == "rest" })
	return i >= 0 && c.Rings[i].State == "at work"
}

// installing reports whether dpkg works on a machine of the last ring.
func (g *ground) installing(ctx context.Context) (bool, error) {
	for _, h := range g.hosts[2:] {
		if !h.On() {
			continue
		}
		all, err := h.Processes()
		if err != nil {
			return false, err
		}
		// apt asks dpkg about architectures too, long before it installs.
		if slices.ContainsFunc(all, func(p nspawn.Process) bool { return p.Name == "dpkg" && slices.Contains(p.Args, "--unpack") }) {
			return true, nil
		}
	}
	return false, ctx.Err()
}

func (g *ground) deployments(ctx context.Context, id patching.CycleID) ([]wire.Deployment, error) {
	page, err := g.people.Author.Deployments(ctx, id, client.DeploymentQuery{Limit: 1000})
	return page.Items, err
}

// missing is how many updates are pending on all machines, as the server knows.
func (g *ground) missing(ctx context.Context) (n int, err error) {
	page, err := g.people.Author.Assets(ctx, client.AssetQuery{Limit: 1000})
	for _, a := range page.Items {
		n += a.Missing
	}
	return n, err
}

// report looks for words in the cycle's report.
func (g *ground) report(ctx context.Context, id patching.CycleID, p *problems, words ...string) error {
	text, err := g.people.Author.Report(ctx, id)
	if err != nil {
		return err
	}
	for _, w := range words {
		p.want(strings.Contains(string(text), w), "the report does not say %q", w)
	}
	return nil
}

// problems are what was not as it should be.
type problems []error

func (p *problems) want(so bool, format string, args ...any) {
	if !so {
		*p = append(*p, fmt.Errorf(format, args...))
	}
}

func (p *problems) err() error { return errors.Join(*p...) }
