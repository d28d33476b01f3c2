//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// selfOptions are those of the server on its machine: the archive is where the lab's
// machines find it, for this server takes nobody's place.
const selfOptions = `PATCHCYCLE_OPTIONS="--uplink 127.0.0.1:7440 --repositories /etc/patchcycle/repositories.yaml --ui ''"` + "\n"

// twoRings is the policy without its ring in the middle: the test ring takes h1.
func twoRings() []byte {
	before, after, _ := strings.Cut(string(policyText), "  - name: early\n")
	_, rest, _ := strings.Cut(after, "  - name: rest\n")
	return []byte(before + "  - name: rest\n" + rest)
}

// self has a server patch the machine that it runs on, from its package, and restart it
// in the middle of the cycle.
func (g *ground) self(ctx context.Context) error {
	if g.serverDeb == "" {
		return errors.New("-cycle self builds the agent and the server: leave -agent out")
	}
	g.labOnly, g.machines = true, 1
	if err := g.found(ctx, string(faults.Reboot), "adduser"); err != nil {
		return err
	}
	deb, err := os.ReadFile(g.serverDeb)
	if err != nil {
		return err
	}
	key, err := g.repo.Key()
	if err != nil {
		return err
	}
	list := "repositories:\n" + fmt.Sprintf(ofLab, "http://"+g.lab.Server()+"/apt", faults.Suite)
	for name, text := range map[string][]byte{
		"root/patchcycle.deb": deb, "etc/patchcycle/repositories.yaml": []byte(list), "etc/patchcycle/lab.gpg": key,
	} {
		if err := g.lab.Install(name, text, 0o644); err != nil {
			return err
		}
	}
	if err := g.boot(ctx, make([]nspawn.HostOptions, 1)); err != nil {
		return err
	}
	if err := g.serveItself(ctx, g.hosts[0]); err != nil {
		return err
	}
	return g.restartsItself(ctx, g.hosts[0])
}

// serveItself installs the server's package on the machine, and enrols it there.
func (g *ground) serveItself(ctx context.Context, h *nspawn.Host) error {
	if err := g.beginWitness(); err != nil {
		return err
	}
	if err := h.WriteFile("etc/default/patchcycle", []byte(selfOptions), 0o600); err != nil {
		return err
	}
	if err := steps(ctx, h, [][]string{{"dpkg", "--force-confold", "--install", "/root/patchcycle.deb"}}); err != nil {
		return err
	}
	if err := g.repo.Publish(faults.Package(faults.Reboot, faults.Bad)); err != nil {
		return err
	}
	home := filepath.Join(h.Disk(), "var", "lib", "patchcycle")
	err := g.await(ctx, 2*time.Minute, "the server", func() (bool, error) {
		people, err := trial.Introduce(ctx, home)
		if err == nil {
			g.people = people
		}
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	token, err := g.people.Admin.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: "lab", Uses: 1, Hours: 1, AutoAccept: true})
	if err != nil {
		return err
	}
	if err := h.WriteFile("root/token", []byte(token.Token+"\n"), 0o600); err != nil {
		return err
	}
	if err := steps(ctx, h, [][]string{
		append([]string{"apt-get"}, update...),
		{"sh", "-c", "echo PATCHCYCLE_AGENT_OPTIONS=--notice=" + g.notice.String() + " > /etc/default/patchcycle-agent"},
		{"patchcycle-agent", "enrol", "--server", "http://127.0.0.1:7440", "--token-file", "/root/token"},
		{"systemctl", "start", "patchcycle-agent"},
	}); err != nil {
		return err
	}
	g.enrolled = 1
	return g.await(ctx, time.Minute, "its inventory", func() (bool, error) {
		n, err := trial.Inventoried(ctx, g.people.Admin)
		return n == 1, err
	})
}

// restartsItself runs a cycle in which the server's machine restarts.
func (g *ground) restartsItself(ctx context.Context, h *nspawn.Host) error {
	page, err := g.people.Author.Assets(ctx, client.AssetQuery{Limit: 1})
	if err != nil {
		return err
	}
	var p problems
	if len(page.Items) != 1 {
		return fmt.Errorf("want one machine, the server knows of %d", len(page.Items))
	}
	asset, err := g.people.Author.Asset(ctx, page.Items[0].ID)
	if err != nil {
		return err
	}
	p.want(asset.CarriesPatchcycle, "the server does not know that it runs on h1")
	before, err := h.BootID(ctx)
	if err != nil {
		return err
	}
	g.say("the server runs on h1, which misses a patch that asks for a restart")
	c, err := g.run(ctx, twoRings(), nil)
	if err != nil {
		return err
	}
	after, err := h.BootID(ctx)
	if err != nil {
		return err
	}
	p.want(after != before, "the machine was not restarted")
	p.want(c.ClosedAs == patching.ClosedSuccessful, "it closed as %s: %s", c.ClosedAs, c.Words)
	p.want(c.Outcomes[patching.Patched] == 1, "the outcomes are %v", c.Outcomes)
	version, err := h.Output(ctx, "dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", string(faults.Reboot))
	if err != nil {
		return err
	}
	p.want(version == faults.Bad+" installed", "%s is %q", faults.Reboot, version)
	all, err := g.deployments(ctx, c.ID)
	if err != nil {
		return err
	}
	if err := g.requireOnce(ctx, c.ID, all, &p); err != nil {
		return err
	}
	log, err := h.Output(ctx, "journalctl", "--no-pager", "--boot", "-u", "patchcycle", "-o", "cat")
	if err != nil {
		return err
	}
	p.want(strings.Contains(log, "Started patchcycle.service"), "the server did not come back by itself: %s", log)
	g.say("the server restarted its own machine and closed the cycle afterwards")
	return errors.Join(g.report(ctx, c.ID, &p, "Patched", "h1"), p.err())
}
