//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/nspawn"
)

// administrator is who may log in at all machines, with a key that the product never has.
type administrator struct {
	key    string // its file
	public []byte
}

// newAdmin makes a key that all machines know.
func (g *ground) newAdmin(ctx context.Context) (a administrator, err error) {
	a.key = filepath.Join(g.dir, "admin_key")
	if err := makeKey(ctx, a.key); err != nil {
		return a, err
	}
	if a.public, err = os.ReadFile(a.key + ".pub"); err != nil {
		return a, err
	}
	return a, g.lab.Install("root/.ssh/authorized_keys", a.public, 0o600)
}

func makeKey(ctx context.Context, file string) error {
	out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("make a key: %w: %s (apt-get install openssh-client)", err, out)
	}
	return nil
}

// withAgent lets a program ask an ssh-agent that has the key, until end is called.
func (a administrator) withAgent(ctx context.Context) (env []string, end func(), err error) {
	socket := a.key + ".agent"
	c := exec.CommandContext(ctx, "ssh-agent", "-D", "-a", socket)
	if err := c.Start(); err != nil {
		return nil, nil, fmt.Errorf("ssh-agent: %w", err)
	}
	end = func() { _ = c.Process.Kill(); _ = c.Wait() }
	env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	for range 100 {
		add := exec.CommandContext(ctx, "ssh-add", "-q", a.key)
		add.Env = env
		out, failed := add.CombinedOutput()
		if failed == nil {
			return env, end, nil
		}
		err = fmt.Errorf("ssh-add: %w: %s", failed, out)
		_ = pause.For(ctx, 50*time.Millisecond) // its socket is not there yet
	}
	end()
	return nil, nil, err
}

// prepare bootstraps all machines, as docs/relay.md tells who has a relay and machines.
func (g *ground) prepare(ctx context.Context, a administrator) error {
	if err := g.await(ctx, soon, "the relay", func() (bool, error) {
		_, err := relay.ReadStatus(g.relayDir())
		return err == nil, nil
	}); err != nil {
		return err
	}
	if err := makeKey(ctx, g.relayKey()); err != nil {
		return err
	}
	token, err := g.people.Admin.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: "lab", Uses: len(g.hosts), Hours: 1, AutoAccept: true})
	if err != nil {
		return err
	}
	env, end, err := a.withAgent(ctx)
	if err != nil {
		return err
	}
	defer end()
	list := "machines:\n"
	for i, h := range g.hosts {
		shown, err := h.Output(ctx, "ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub")
		if err != nil {
			return err
		}
		fingerprint := strings.Fields(shown)[1]
		if i == 0 {
			if err := g.requireHelp(ctx, h, env, token.Token, fingerprint); err != nil {
				return err
			}
		}
		args := []string{"--fingerprint", fingerprint, "--package", g.agent}
		if i > 0 { // the first one by ssh-agent, the others by the key's file
			env, args = os.Environ(), append(args, "--identity", a.key)
		}
		entry, err := g.bootstrap(ctx, h, env, token.Token, args...)
		if err != nil {
			return err
		}
		list += entry + "  every: 1m\n"
	}
	g.say("bootstrap, with an administrator's key: %d machines have an agent that does not stay, and the relay's key", len(g.hosts))
	return os.WriteFile(g.machinesFile(), []byte(list), 0o600)
}

// requireHelp has a bootstrap say what it lacks, one thing after the other.
func (g *ground) requireHelp(ctx context.Context, h *nspawn.Host, env []string, token, fingerprint string) error {
	var p problems
	_, err := g.bootstrap(ctx, h, env, token)
	p.want(err != nil && strings.Contains(err.Error(), "--fingerprint "+fingerprint), "a bootstrap without a fingerprint says %v", err)
	_, err = g.bootstrap(ctx, h, env, token, "--fingerprint", fingerprint)
	p.want(err != nil && strings.Contains(err.Error(), "give its package with --package FILE.deb"), "a bootstrap of a machine without the agent says %v", err)
	return p.err()
}

// bootstrap runs the relay's command where the relay is, and returns the machine's entry.
func (g *ground) bootstrap(ctx context.Context, h *nspawn.Host, env []string, token string, args ...string) (entry string, err error) {
	c := g.lab.Command(ctx, append([]string{g.relay, "bootstrap", h.Address, "--server", "http://" + aloneRelay, "--dir", g.relayDir(), "--name", h.Name}, args...)...)
	var said bytes.Buffer
	c.Env, c.Stdin, c.Stderr = env, strings.NewReader(token+"\n"), &said
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", h.Name, err, said.String())
	}
	return string(out), nil
}

func (g *ground) relayKey() string     { return filepath.Join(g.relayDir(), "ssh_key") }
func (g *ground) machinesFile() string { return filepath.Join(g.dir, "machines.yaml") }

// requireAlone looks at the machines when nobody visits them any more: no agent is there
// that nobody started, also not when its package is installed again, and all that the
// relay's key gets is the agent.
func (g *ground) requireAlone(ctx context.Context, a administrator) error {
	var p problems
	public, err := os.ReadFile(g.relayKey() + ".pub")
	if err != nil {
		return err
	}
	key := strings.Join(strings.Fields(string(public))[:2], " ")
	want := string(a.public) + `restrict,command="/usr/bin/patchcycle-agent once --stdio" ` + key + " patchcycle-relay\n"
	for _, h := range g.hosts {
		if err := g.await(ctx, 3*time.Minute, "the end of the last visit of "+h.Name, func() (bool, error) {
			all, err := h.Processes()
			return !slices.ContainsFunc(all, visitedAgent), err
		}); err != nil {
			return err
		}
		if err := h.CopyIn(g.agent, "root/again.deb"); err != nil {
			return err
		}
		if err := steps(ctx, h, [][]string{{"dpkg", "--install", "/root/again.deb"}}); err != nil {
			return err
		}
		_ = pause.For(ctx, 2*time.Second) // a unit is started without waiting for it
		for _, unit := range []string{handUnit, courierUnit, socketUnit} {
			state, err := h.Exec(ctx, "systemctl", "is-active", unit)
			p.want(err == nil && strings.TrimSpace(state.Stdout) == "inactive", "%s on %s is %s (%v)", unit, h.Name, state.Stdout, err)
		}
		all, err := h.Processes()
		if err != nil {
			return err
		}
		for _, one := range all {
			p.want(len(one.Args) == 0 || !strings.HasSuffix(one.Args[0], "patchcycle-agent"), "an agent stays on %s: %v", h.Name, one.Args)
		}
		keys, err := h.ReadFile("root/.ssh/authorized_keys")
		if err != nil {
			return err
		}
		p.want(string(keys) == want, "authorized_keys on %s: %s", h.Name, keys)
		if err := g.requireNoShell(ctx, h, a, &p); err != nil {
			return err
		}
	}
	g.say("no agent stays on a machine, and the relay's key starts one and nothing else")
	return p.err()
}

// requireNoShell asks for a command with the administrator's key, which gets it, and with
// the relay's.
func (g *ground) requireNoShell(ctx context.Context, h *nspawn.Host, a administrator, p *problems) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	host, err := h.ReadFile("etc/ssh/ssh_host_ed25519_key.pub")
	if err != nil {
		return err
	}
	known := filepath.Join(g.dir, "known_hosts")
	if err := os.WriteFile(known, append([]byte(h.Address+" "), host...), 0o600); err != nil {
		return err
	}
	ask := func(key string) (string, error) {
		out, err := g.lab.Command(ctx, "ssh", "-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes",
			"-o", "UserKnownHostsFile="+known, "-o", "StrictHostKeyChecking=yes", "root@"+h.Address, "id").CombinedOutput()
		return string(out), errors.Join(err, ctx.Err())
	}
	said, err := ask(a.key)
	p.want(err == nil && strings.Contains(said, "uid=0(root)"), "the administrator has no shell on %s: %v: %s", h.Name, err, said)
	said, err = ask(g.relayKey())
	p.want(err != nil && ctx.Err() == nil, "the relay's key ran something on %s: %v: %s", h.Name, err, said)
	p.want(!strings.Contains(said, "uid=") && strings.Contains(said, "patchcycle-agent "), "the relay's key on %s gets %s", h.Name, said)
	return nil
}
