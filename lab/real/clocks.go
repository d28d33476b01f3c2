//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/vm"
	"github.com/patchcycle/patchcycle/patching"
)

//go:embed clocks.yaml
var clocksPolicy string

// clocked is a machine with a clock and what has to become of it.
type clocked struct {
	name string
	// shows is what its clock shows from when it is enrolled, if it were now; nil: the
	// right time. Believed: its systemd takes that time as it is.
	shows    func(now time.Time) time.Time
	believed bool
	outcome  patching.Outcome
	reason   patching.Reason

	*vm.Machine
	boot string // its boot id when the cycle began
}

func fixed(year, day int) func(time.Time) time.Time {
	return func(time.Time) time.Time { return time.Date(year, time.January, day, 0, 0, 0, 0, time.UTC) }
}

// kernel is the machine that gets one, and whose clock is right.
const kernel = "kernel"

// clockeds are the machines. The server's certificate is a year old and ends in a week:
// a clock before or behind that speaks to nobody, and then the server knows of silence
// alone.
func clockeds() []*clocked {
	return []*clocked{
		{name: kernel, outcome: patching.Patched, reason: patching.ReasonVerified},
		{name: "hour", shows: func(now time.Time) time.Time { return now.Add(time.Hour) }, outcome: patching.Deferred, reason: patching.ReasonClockOff},
		{name: "year-1970", shows: fixed(1970, 2), believed: true, outcome: patching.Unreachable, reason: patching.ReasonSilent},
		{name: "year-2099", shows: fixed(2099, 1), believed: true, outcome: patching.Unreachable, reason: patching.ReasonSilent},
		// Debian's systemd does not believe 1970: this one lives when it was built.
		{name: "flat-battery", shows: fixed(1970, 2), outcome: patching.Deferred, reason: patching.ReasonClockOff},
	}
}

// clocks sends machines whose clocks are off through a cycle, and at the same time one
// whose clock is right, and that gets a newer kernel, through another.
func (g *ground) clocks(ctx context.Context) (err error) {
	if err := g.foundKernels(ctx); err != nil {
		return err
	}
	all := clockeds()
	defer func() {
		for _, m := range all {
			if m.Machine != nil {
				err = errors.Join(err, m.Kill(context.WithoutCancel(ctx)))
			}
		}
	}()
	if err := g.emulate(ctx, all); err != nil {
		return err
	}
	if err := errors.Join(g.listRepositories(), g.close(), g.repo.Publish(faults.Package(faults.Conffile, faults.Bad))); err != nil {
		return err
	}
	if err := g.serve(ctx); err != nil {
		return err
	}
	token, err := g.people.Admin.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: "lab", Uses: 2 * len(all), Hours: 2, AutoAccept: true})
	if err != nil {
		return err
	}
	var both errgroup.Group // what one has come to says nothing of the other
	both.Go(func() error { return g.newKernel(ctx, all[0], token.Token) })
	both.Go(func() error { return g.clocksOff(ctx, all[1:], token.Token) })
	if err := both.Wait(); err != nil {
		return err
	}
	g.say("all went as it should")
	return nil
}

// newKernel lets one machine get a kernel. It says nothing for minutes while it
// restarts.
func (g *ground) newKernel(ctx context.Context, m *clocked, token string) error {
	if err := g.join(ctx, token, m); err != nil {
		return err
	}
	var err error
	if m.boot, err = m.BootID(ctx); err != nil {
		return err
	}
	before, err := m.Output(ctx, "uname", "-r")
	if err != nil {
		return err
	}
	before = strings.TrimSpace(before)
	g.say("%s runs %s", m.name, before)
	c, err := g.runEmulated(ctx, "kernel", "==", 20*time.Minute)
	if err != nil {
		return err
	}
	var p problems
	p.want(c.ClosedAs == patching.ClosedSuccessful, "it closed as %s: %s", c.ClosedAs, c.Words)
	err = errors.Join(g.judgeClocks(ctx, c.ID, []*clocked{m}, &p), g.judgeKernel(ctx, m, before, &p))
	return errors.Join(err, p.err())
}

// clocksOff lets machines go through a cycle whose clocks were right when they were
// enrolled.
func (g *ground) clocksOff(ctx context.Context, all []*clocked, token string) error {
	if err := g.join(ctx, token, all...); err != nil {
		return err
	}
	if err := g.setClocks(ctx, all); err != nil {
		return err
	}
	c, err := g.runEmulated(ctx, "clocks", "!=", 2*time.Minute)
	if err != nil {
		return err
	}
	var p problems
	p.want(c.ClosedAs == patching.ClosedWithExceptions, "it closed as %s: %s", c.ClosedAs, c.Words)
	return errors.Join(g.judgeClocks(ctx, c.ID, all, &p), p.err())
}

// runEmulated runs a cycle of machines that are kernel, or are not.
func (g *ground) runEmulated(ctx context.Context, name patching.PolicyName, which string, silence time.Duration) (wire.CycleDetail, error) {
	return g.follow(ctx, aCycle{name: name, policy: policyOf(name, which, silence), limit: 40 * time.Minute})
}

func policyOf(name patching.PolicyName, which string, silence time.Duration) []byte {
	return []byte(strings.NewReplacer("NAME", string(name), "WHICH", which, "SILENCE", silence.String()).Replace(clocksPolicy))
}

// foundKernels makes the lab, and the file system of its machines: with the kernel of
// Debian's main suite, so that the security suite has a newer one. What takes an
// emulated machine minutes is done here.
func (g *ground) foundKernels(ctx context.Context) error {
	base := []string{"--no-install-recommends", string(faults.Conffile)}
	for _, p := range vm.Packages {
		base = append(base, p+"/"+nspawn.Suite)
	}
	if err := g.found(ctx, base...); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"env", "--unset=TMPDIR", "update-ca-certificates"}, // ours is not in there
		{"sh", "-c", "sed -i s,http://,https://, /etc/apt/sources.list.d/*.sources"},
	} {
		if out, err := g.lab.Command(ctx, append([]string{"chroot", g.lab.Tree()}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", args, err, out)
		}
	}
	return errors.Join(
		g.lab.Install("etc/apt/apt.conf.d/60lab", []byte("Acquire::https::CAInfo \"/etc/ssl/certs/ca-certificates.crt\";\n"), 0o644),
		g.lab.Install("etc/default/patchcycle-agent", []byte("PATCHCYCLE_AGENT_OPTIONS=--notice="+g.notice.String()+"\n"), 0o644),
		g.lab.Apt(ctx, "clean"),
		g.lab.Apt(ctx, "-s", "-q", "dist-upgrade"), // so that apt's caches are written
	)
}

// emulate makes the machines and switches them on.
func (g *ground) emulate(ctx context.Context, all []*clocked) error {
	for i, m := range all {
		var err error
		m.Machine, err = vm.Create(ctx, vm.Options{
			Name: m.name, Address: fmt.Sprintf("10.77.200.%d/16", i+1), Dir: filepath.Join(g.lab.Dir(), "vm", m.name), Tree: g.lab.Tree(),
			Network: g.lab.Network, Bridge: "br0", Tap: fmt.Sprintf("t%d", i+1),
		})
		if err != nil {
			return err
		}
		if m.name == kernel {
			continue
		}
		// One that does not know of Debian's 60,000 packages is ten times as quick.
		if err := m.Change(ctx, func(root *os.Root) error {
			return root.WriteFile("etc/apt/sources.list.d/debian.sources", nil, 0o644)
		}); err != nil {
			return err
		}
	}
	return nil
}

// allAtOnce does something on machines. Each has one core, which it waits for.
func allAtOnce(all []*clocked, do func(*clocked) error) error {
	var group errgroup.Group
	for _, m := range all {
		group.Go(func() error { return do(m) })
	}
	return group.Wait()
}

// join switches machines on and lets them into the fleet.
func (g *ground) join(ctx context.Context, token string, all ...*clocked) error {
	return allAtOnce(all, func(m *clocked) error {
		if err := m.switchOn(ctx); err != nil {
			return err
		}
		g.say("%s is up", m.name)
		if err := m.WriteFile(ctx, "/root/token", []byte(token+"\n"), 0o600); err != nil {
			return err
		}
		for _, args := range [][]string{
			append([]string{"apt-get"}, update...),
			{"patchcycle-agent", "enrol", "--server", "https://" + g.lab.Server(), "--token-file", "/root/token"},
			{"systemctl", "start", "patchcycle-agent"},
		} {
			if _, err := m.Output(ctx, args...); err != nil {
				return err
			}
		}
		g.say("%s is enrolled", m.name)
		return g.await(ctx, 15*time.Minute, "the inventory of "+m.name, func() (bool, error) {
			a, err := g.known(ctx, m.name)
			return !a.Inventoried.IsZero(), err
		})
	})
}

func (m *clocked) switchOn(ctx context.Context) error {
	if err := m.Start(ctx); err != nil {
		return err
	}
	return m.AwaitUp(ctx)
}

// known is what the server knows of a machine.
func (g *ground) known(ctx context.Context, name string) (wire.Asset, error) {
	page, err := g.people.Author.Assets(ctx, client.AssetQuery{Limit: 100})
	for _, a := range page.Items {
		if a.Hostname == name {
			return a, err
		}
	}
	return wire.Asset{}, err
}

// setClocks switches machines off and on again, with the clocks that they are to have,
// and tells what they make of it.
func (g *ground) setClocks(ctx context.Context, all []*clocked) error {
	return allAtOnce(all, func(m *clocked) (err error) {
		if err := m.Stop(ctx); err != nil {
			return err
		}
		now := time.Now()
		at := m.shows(now)
		if m.believed {
			if err := m.Believe(ctx, at); err != nil {
				return err
			}
		}
		m.SetClock(at.Sub(now))
		if err := m.switchOn(ctx); err != nil {
			return err
		}
		if m.boot, err = m.BootID(ctx); err != nil {
			return err
		}
		said := ""
		for _, args := range [][]string{
			{"date", "--utc", "+%FT%TZ"},
			append([]string{"apt-get"}, update...),
			{"patchcycle-agent", "enrol", "--server", "https://" + g.lab.Server(), "--token-file", "/root/token"},
			{"patchcycle-agent", "status"},
		} {
			o, err := m.Exec(ctx, args...)
			if err != nil {
				return err
			}
			said += fmt.Sprintf("\n         %s: exit %d\n%s", strings.Join(args[:min(2, len(args))], " "), o.Code, indented(o.Stdout+o.Stderr))
		}
		g.say("%s has its clock:%s", m.name, said)
		return nil
	})
}

func indented(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > 12 {
		lines = slices.Concat(lines[:4], []string{"…"}, lines[len(lines)-7:])
	}
	return "           " + strings.Join(lines, "\n           ")
}

// judgeClocks holds what became of each machine against what has to.
func (g *ground) judgeClocks(ctx context.Context, id patching.CycleID, all []*clocked, p *problems) error {
	found, err := g.deployments(ctx, id)
	if err != nil {
		return err
	}
	for _, m := range all {
		at := slices.IndexFunc(found, func(d wire.Deployment) bool { return d.Hostname == m.name })
		if at < 0 {
			p.want(false, "%s is not in the plan", m.name)
			continue
		}
		d := found[at]
		asset, err := g.known(ctx, m.name)
		if err != nil {
			return err
		}
		boot, err := m.BootID(ctx)
		if err != nil {
			return err
		}
		version, err := m.Output(ctx, "dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", string(faults.Conffile))
		if err != nil {
			return err
		}
		g.say("%s: %s, %s: %s; its clock for the server: %q; it has %s", m.name, d.Outcome, d.Reason, d.Why, asset.ClockOff, version)
		p.want(d.Outcome == m.outcome && d.Reason == m.reason, "%s ended as %s, %s: want %s, %s", m.name, d.Outcome, d.Reason, m.outcome, m.reason)
		want := "ii " + faults.Good
		if m.shows == nil {
			want = "ii " + faults.Bad
		} else {
			p.want(boot == m.boot, "%s was restarted, and its clock is off", m.name)
			log, err := m.Output(ctx, "sh", "-c", "journalctl -q -u patchcycle-agent -u patchcycle-courier -b --no-pager -o cat | tail -n 3")
			if err != nil {
				return err
			}
			g.say("%s: its agent's last words\n%s", m.name, indented(log))
		}
		p.want(version == want, "%s has %s %q, want %q", m.name, faults.Conffile, version, want)
	}
	return nil
}

// judgeKernel: the machine has booted into the newest kernel that it has, and the
// server knows.
func (g *ground) judgeKernel(ctx context.Context, m *clocked, before string, p *problems) error {
	boot, err := m.BootID(ctx)
	if err != nil {
		return err
	}
	runs, err := m.Output(ctx, "uname", "-r")
	if err != nil {
		return err
	}
	runs = strings.TrimSpace(runs)
	log, err := m.Output(ctx, "sh", "-c", "grep -E ' (install|upgrade) linux-image' /var/log/dpkg.log | tail -n 2")
	if err != nil {
		return err
	}
	g.say("kernel ran %s and runs %s; its boot id was %s and is %s; dpkg:\n%s", before, runs, m.boot, boot, indented(log))
	p.want(boot != m.boot, "kernel was not restarted")
	p.want(runs != before, "kernel still runs %s", runs)
	p.want(strings.Contains(log, "linux-image-"+runs), "kernel runs %s, and that is not what was installed", runs)
	a, err := g.known(ctx, m.name)
	if err != nil {
		return err
	}
	g.say("the server says of it: kernel %s, reboot pending %t", a.Kernel, a.Reboot)
	p.want(a.Kernel == runs, "the server believes that kernel runs %s", a.Kernel)
	p.want(!a.Reboot, "the server believes that kernel waits for a restart")
	return nil
}
