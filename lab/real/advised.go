//go:build linux

package main

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/lab/faults"
	"github.com/patchcycle/patchcycle/patching"
)

// ours is the advisory that somebody enters by hand.
const ours = patching.AdvisoryID("LAB-2026-1")

// enter tells the server of a flaw that no feed knows, in the lab's own package.
func (g *ground) enter(ctx context.Context) error {
	_, err := g.people.Author.AddAdvisories(ctx, "lab.yaml", fmt.Appendf(nil, `advisories:
  - id: %s
    title: The lab's package wants a restart
    kind: security
    severity: high
    cves: [CVE-2099-0001]
    published: 2026-11-01
    platform: debian 12
    package: %s
    fixed: "%s"
`, ours, faults.Reboot, faults.Bad))
	return err
}

// requireAdvised holds the first plan against what is known without any feed of Debian's:
// the advisory by hand, and the flaws that the changelogs of the packages name.
func (g *ground) requireAdvised(ctx context.Context, id patching.CycleID, p *problems) error {
	made, err := g.people.Author.Plan(ctx, id, 1)
	if err != nil {
		return err
	}
	r := made.Outlook.Remediation
	if r == nil {
		return fmt.Errorf("the plan of %s does not say which advisories it deals with", id)
	}
	g.say("the plan: %s", r.Words)
	byHand, told := false, 0
	for _, a := range r.Remedies {
		switch {
		case a.Advisory == ours:
			byHand = true
			p.want(a.Clears == g.machines, "%s is cleared on %d of %d machines", ours, a.Clears, g.machines)
			p.want(a.Due != nil, "%s has no due date", ours)
		case a.Feed == "changelog" && a.Clears == g.machines:
			told++
			p.want(len(a.CVEs) > 0, "%s names no flaw", a.Advisory)
		}
	}
	p.want(byHand, "the plan does not name %s", ours)
	p.want(told > 0, "no changelog of a package names a flaw that the plan clears: %v", r.Feeds)
	g.say("changelogs name %d fixes that every machine gets; %d flaws in all", told, r.CVEs)
	return g.report(ctx, id, p, string(ours))
}
