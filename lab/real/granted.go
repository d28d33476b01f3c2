//go:build linux

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// second is who approves beside [trial.Approver]: by OpenSSH's own tools.
const second patching.AccountName = "cy"

// The primary keys by which Debian 12's archive and its security archive are signed, as
// gpg --show-keys names them.
const (
	archiveKey  = "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8"
	securityKey = "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0"
)

// granted has machines patched that obey only what people have signed: by the ceremony,
// the commands and the tools of docs/trust.md. One cycle has no pre-approval; one has one
// that does not name who signed the packages; one has one that does, and an attacker who
// has the server.
func (g *ground) granted(ctx context.Context) error {
	if err := g.up(ctx, make([]nspawn.HostOptions, g.machines), string(faults.Conffile), string(faults.Reboot)); err != nil {
		return err
	}
	if err := g.close(); err != nil {
		return err
	}
	if err := g.repo.Publish(faults.Package(faults.Reboot, faults.Bad)); err != nil {
		return err
	}
	if err := g.serve(ctx); err != nil {
		return err
	}
	if err := g.ceremony(ctx); err != nil {
		return fmt.Errorf("the ceremony: %w", err)
	}
	if err := g.enrol(ctx, g.hosts); err != nil {
		return err
	}
	first, err := g.seenCycle(ctx)
	if err != nil {
		return fmt.Errorf("the cycle without a pre-approval: %w", err)
	}
	if err := g.preApprove(ctx, first, archiveKey, securityKey); err != nil {
		return err
	}
	// To Debian's keys this is a stranger's.
	if err := g.publishConffile(ctx); err != nil {
		return err
	}
	refused, err := g.strangersCycle(ctx)
	if err != nil {
		return fmt.Errorf("the cycle with packages of others: %w", err)
	}
	key, err := g.labKey()
	if err != nil {
		return err
	}
	if err := g.preApprove(ctx, refused, archiveKey, securityKey, key); err != nil {
		return err
	}
	if err := g.attackedCycle(ctx, first); err != nil {
		return fmt.Errorf("the cycle with a pre-approval: %w", err)
	}
	g.say("all went as it should")
	return nil
}

func (g *ground) publishConffile(ctx context.Context) error {
	if err := g.repo.Publish(faults.Package(faults.Conffile, faults.Bad)); err != nil {
		return err
	}
	return g.learn(ctx, g.hosts)
}

// labKey is the fingerprint of the key that signs the lab's packages.
func (g *ground) labKey() (string, error) {
	text, err := g.repo.Key()
	if err != nil {
		return "", err
	}
	keys, err := apt.ReadKeys(text)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%X", keys[0].PrimaryKey.Fingerprint), nil
}

// as runs the program as somebody would, and returns what it says.
func (g *ground) as(ctx context.Context, who patching.AccountName, args ...string) (string, error) {
	c := exec.CommandContext(ctx, g.program, append(args, "--data-dir", g.dir)...)
	c.Env = append(os.Environ(), "PATCHCYCLE_TOKEN="+cmp.Or(g.others[who], g.people.Tokens[who]))
	var failed strings.Builder
	c.Stderr = &failed
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("patchcycle %s: %w: %s", strings.Join(args, " "), err, failed.String())
	}
	return string(out), nil
}

// admin is who has the server's first token.
const admin patching.AccountName = "admin"

// ceremony is that of docs/trust.md: after it the server cannot say whose signatures
// count, and machines want those of two people.
func (g *ground) ceremony(ctx context.Context) error {
	token, err := os.ReadFile(filepath.Join(g.dir, "admin.token"))
	if err != nil {
		return err
	}
	made, err := g.people.Admin.AddAccount(ctx, wire.NewAccount{Name: second, Roles: []patching.Role{patching.RoleApprover}})
	if err != nil {
		return err
	}
	g.others = map[patching.AccountName]string{admin: strings.TrimSpace(string(token)), second: made.Token}
	for _, who := range []patching.AccountName{trial.Approver, second} {
		if err := makeKey(ctx, g.keyOf(who)); err != nil {
			return err
		}
	}
	own, next := filepath.Join(g.dir, "keys", "root.key"), filepath.Join(g.dir, "next.json")
	draft := []string{
		"trust", "draft", next, "--mode", "grants", "--quorum", "monthly=2,emergency=2,root=2",
		"--approver", fmt.Sprintf("%s=%s.pub", trial.Approver, g.keyOf(trial.Approver)), "--approver", fmt.Sprintf("%s=%s.pub", second, g.keyOf(second)),
	}
	holders := []string{filepath.Join(g.dir, "holder-1.key"), filepath.Join(g.dir, "holder-2.key")}
	for _, h := range holders {
		public, err := g.as(ctx, admin, "trust", "key", h)
		if err != nil {
			return err
		}
		draft = append(draft, "--root-key", strings.TrimSpace(public))
	}
	if err := g.publishRoot(ctx, next, draft, append([]string{own}, holders...)...); err != nil {
		return err
	}
	// The server's own key is dropped, and gone.
	shown, err := g.as(ctx, admin, "trust", "show", "--json")
	if err != nil {
		return err
	}
	var root struct {
		Keys []string `json:"root_keys"`
	}
	if err := json.Unmarshal([]byte(shown), &root); err != nil || len(root.Keys) != 3 {
		return fmt.Errorf("want three root keys (%w): %s", err, shown)
	}
	if err := g.publishRoot(ctx, next, []string{"trust", "draft", next, "--drop-root-key", root.Keys[0]}, holders...); err != nil {
		return err
	}
	g.say("the ceremony: two holders have the root keys, two people approve, and the server has no root key any more")
	return os.Remove(own)
}

// publishRoot drafts a trust root, has it signed and puts it in force.
func (g *ground) publishRoot(ctx context.Context, file string, draft []string, keys ...string) error {
	if _, err := g.as(ctx, admin, draft...); err != nil {
		return err
	}
	for _, k := range keys {
		if _, err := g.as(ctx, admin, "trust", "sign", file, "--key", k); err != nil {
			return err
		}
	}
	_, err := g.as(ctx, admin, "trust", "publish", file)
	return err
}

func (g *ground) keyOf(who patching.AccountName) string {
	return filepath.Join(g.dir, string(who)+"_key")
}

// sign has two people approve a plan: one by the program, one by OpenSSH's own tools.
func (g *ground) sign(ctx context.Context, c wire.CycleDetail) error {
	id, hash := string(c.ID), strings.TrimPrefix(string(c.Plan), "sha256:")[:12]
	if _, err := g.as(ctx, trial.Approver, "cycle", "approve", id, "--plan", hash); err == nil {
		return errors.New("an approval counts that nobody signed")
	}
	said, err := g.as(ctx, trial.Approver, "cycle", "approve", id, "--plan", hash, "--key", g.keyOf(trial.Approver))
	if err != nil {
		return err
	}
	g.say("%s", strings.TrimSpace(said))
	grants := filepath.Join(g.dir, "grants")
	for verb, file := range map[string]string{"grants": grants, "file": filepath.Join(g.dir, "plan")} {
		text, err := g.as(ctx, second, "cycle", "plan", verb, id)
		if err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
	}
	digest, err := g.as(ctx, second, "cycle", "plan", "digest", filepath.Join(g.dir, "plan"), "--grants", grants)
	if err != nil {
		return err
	}
	if !strings.Contains(digest, hash) {
		return fmt.Errorf("the digest of the plan's file does not say %s: %s", hash, digest)
	}
	_ = os.Remove(grants + ".sig")
	if out, err := exec.CommandContext(ctx, "ssh-keygen", "-Y", "sign", "-f", g.keyOf(second), "-n", "patchcycle-grants-v1", grants).CombinedOutput(); err != nil {
		return fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	said, err = g.as(ctx, second, "cycle", "approve", id, "--plan", hash, "--signature", grants+".sig")
	g.say("%s", strings.TrimSpace(said))
	return err
}

// preApprove has two people let the test ring's machines be upgraded from what the keys sign.
func (g *ground) preApprove(ctx context.Context, id patching.CycleID, keys ...string) error {
	for _, who := range []patching.AccountName{trial.Approver, second} {
		if _, err := g.as(ctx, who, "trust", "pre-approve", string(id), "--repository-key", strings.Join(keys, ","), "--key", g.keyOf(who)); err != nil {
			return err
		}
	}
	said, err := g.as(ctx, trial.Approver, "trust", "papers", "--kind", "pre-approval")
	g.say("%s", strings.TrimSpace(said))
	return err
}

// signed runs a cycle with people who sign. Before is done before they do.
func (g *ground) signed(ctx context.Context, before func(wire.CycleDetail) error) (c wire.CycleDetail, asked int, err error) {
	c, err = g.follow(ctx, aCycle{name: policyName, policy: g.terms(), limit: 30 * time.Minute, approve: func(c wire.CycleDetail) error {
		asked++
		if before != nil {
			if err := before(c); err != nil {
				return err
			}
		}
		return g.sign(ctx, c)
	}})
	return c, asked, err
}

// seenCycle brings what there is, all of Debian's updates among it, to machines of which no test ring was
// pre-approved: people are asked before it, and after it.
func (g *ground) seenCycle(ctx context.Context) (patching.CycleID, error) {
	c, asked, err := g.signed(ctx, nil)
	if err != nil {
		return "", err
	}
	var p problems
	p.want(asked == 2, "people were asked %d times, want before the test ring and after it", asked)
	return c.ID, errors.Join(g.requirePatched(ctx, c, &p), p.err())
}

// requirePatched wants all machines patched, each thing once.
func (g *ground) requirePatched(ctx context.Context, c wire.CycleDetail, p *problems) error {
	p.want(c.ClosedAs == patching.ClosedSuccessful, "it closed as %s: %s", c.ClosedAs, c.Words)
	p.want(c.Outcomes[patching.Patched] == g.machines, "%d of %d machines are patched", c.Outcomes[patching.Patched], g.machines)
	all, err := g.deployments(ctx, c.ID)
	if err != nil {
		return err
	}
	if err := g.requireOnce(ctx, c.ID, all, p); err != nil {
		return err
	}
	pending, err := g.missing(ctx)
	p.want(pending == 0 || g.short, "%d updates are pending afterwards", pending)
	return err
}

// terms are the policy of these cycles.
func (g *ground) terms() []byte {
	if g.short {
		return holding()
	}
	return policyText
}

// strangersCycle brings a package whose index none of the named keys has signed: the
// machine in the test ring says no, whatever the server wants, and nothing is installed.
func (g *ground) strangersCycle(ctx context.Context) (patching.CycleID, error) {
	var refused wire.Deployment
	c, err := g.follow(ctx, aCycle{name: policyName, policy: g.terms(), limit: 20 * time.Minute, approve: func(c wire.CycleDetail) error {
		all, err := g.deployments(ctx, c.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(d wire.Deployment) bool { return d.Ring == "test" })
		if at < 0 {
			return errors.New("the test ring is empty")
		}
		refused = all[at]
		_, err = g.people.Approver.Do(ctx, c.ID, "stop", wire.Act{Reason: "the test machine refuses"}, client.NewKey())
		return err
	}})
	if err != nil {
		return "", err
	}
	var p problems
	g.say("%s: %s", refused.Hostname, refused.Why)
	p.want(refused.Outcome == patching.Deferred && refused.Reason == patching.ReasonRefused, "the test machine ended as %s %s", refused.Outcome, refused.Reason)
	p.want(regexp.MustCompile(`InRelease is signed by \["[0-9A-F]{40}`).MatchString(refused.Why), "it does not say whose key it saw: %s", refused.Why)
	return c.ID, errors.Join(g.requireAt(ctx, faults.Good, &p), p.err())
}

// requireAt wants all machines to have the version of the package that cycles bring.
func (g *ground) requireAt(ctx context.Context, want string, p *problems) error {
	for _, h := range g.hosts {
		is, err := h.Output(ctx, "dpkg-query", "-W", "-f", "${Version}", string(faults.Conffile))
		if err != nil {
			return err
		}
		p.want(is == want, "%s on %s is at %s, want %s", faults.Conffile, h.Name, is, want)
	}
	return nil
}

// attackedCycle lets the test ring go first on its pre-approval. Before people sign for
// the others, who has the server orders the same update there without them.
func (g *ground) attackedCycle(ctx context.Context, first patching.CycleID) error {
	c, asked, err := g.signed(ctx, func(c wire.CycleDetail) error {
		is, err := g.hosts[0].Output(ctx, "dpkg-query", "-W", "-f", "${Version}", string(faults.Conffile))
		if err != nil || is != faults.Bad {
			return fmt.Errorf("the test machine is at %s before anybody signs for this plan, want %s by the pre-approval (%w)", is, faults.Bad, err)
		}
		g.say("nobody has signed for a plan, and %s has the update by the pre-approval", g.hosts[0].Name)
		return g.attack(ctx, c.ID, first)
	})
	if err != nil {
		return err
	}
	var p problems
	p.want(asked == 1, "people were asked %d times, want after the test ring alone", asked)
	if err := g.requirePatched(ctx, c, &p); err != nil {
		return err
	}
	return errors.Join(g.requireAt(ctx, faults.Bad, &p), p.err())
}
