//go:build linux

package main

import (
	"context"
	"encoding/json"
	"strings"
)

// packageLife installs the agent's package over itself, removes and purges it,
// on one machine.
func (g *ground) packageLife(ctx context.Context) error {
	var (
		p     problems
		h     = g.hosts[0]
		state = func(args ...string) string {
			o, err := h.Exec(ctx, args...)
			p.want(err == nil, "%v: %v", args, err)
			return strings.TrimSpace(o.Stdout)
		}
		pid    = func() string { return state("systemctl", "show", "--property=MainPID", "--value", "patchcycle-agent") }
		before = pid()
		who    = func() string {
			var s struct {
				Device string `json:"device"`
				Parts  struct {
					Hand    bool            `json:"hand"`
					Courier json.RawMessage `json:"courier"`
				} `json:"parts"`
			}
			err := json.Unmarshal([]byte(state("patchcycle-agent", "status", "--json")), &s)
			p.want(err == nil && s.Parts.Hand && len(s.Parts.Courier) > 0, "status does not show both parts at work (%v)", err)
			return s.Device
		}
		device = who()
		unit   = func() string { return state("systemctl", "is-active", "patchcycle-agent") }
	)
	p.want(before != "0", "the agent does not run before its package is upgraded")
	if err := steps(ctx, h, [][]string{{"dpkg", "-i", "/root/patchcycle-agent.deb"}}); err != nil {
		return err
	}
	err := g.await(ctx, soon, "the upgraded agent", func() (bool, error) { return pid() != "0" && pid() != before, nil })
	if err != nil {
		return err
	}
	p.want(who() == device, "the upgraded agent is somebody else")
	if err := steps(ctx, h, [][]string{{"dpkg", "--remove", "patchcycle-agent"}}); err != nil {
		return err
	}
	p.want(unit() == "inactive", "the removed agent is %s", unit())
	p.want(exists(ctx, h, "/var/lib/patchcycle-agent/identity.json"), "removing forgot who the machine is")
	p.want(exists(ctx, h, "/etc/patchcycle/rules.json"), "removing forgot the machine's rules")
	if err := steps(ctx, h, [][]string{{"dpkg", "--purge", "patchcycle-agent"}}); err != nil {
		return err
	}
	for _, gone := range []string{"/var/lib/patchcycle-agent", "/etc/patchcycle/rules.json", "/etc/systemd/system/patchcycle-agent.service", "/etc/systemd/system/multi-user.target.wants/patchcycle-agent.service"} {
		p.want(!exists(ctx, h, gone), "purging left %s", gone)
	}
	g.say("the agent's package was upgraded, removed and purged on %s", h.Name)
	return p.err()
}
