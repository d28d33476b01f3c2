package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

const verbGroup = "verbs"

// newVerbs makes a command of each row of the table of verbs, help included: the
// API, the cycle and the command line say the same.
func newVerbs(e *env) []*cobra.Command {
	var all []*cobra.Command
	for _, rule := range contract.Verbs() {
		all = append(all, newVerb(e, rule))
	}
	return all
}

type verbOptions struct {
	rule   contract.VerbRule
	plan   string
	reason string
	assets []string
	once   string
	json   bool
	// signing an approval
	key, signature, breakGlass string
}

func newVerb(e *env, rule contract.VerbRule) *cobra.Command {
	o := verbOptions{rule: rule}
	name := string(rule.Verb)
	c := &cobra.Command{
		Use: name + " [CYCLE]", Short: strings.ToUpper(rule.Short[:1]) + rule.Short[1:], GroupID: verbGroup,
		Args: between(0, 1), ValidArgsFunction: e.completeCycles, Long: verbHelp(rule), Example: verbExample(rule),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	f := c.Flags()
	if rule.NeedsPlan {
		f.StringVar(&o.plan, "plan", "", "hash of the plan that you mean, or its first twelve digits")
	}
	if rule.OfMachines {
		f.StringSliceVar(&o.assets, "machine", nil, "the machines, by name or id")
	}
	f.StringVar(&o.reason, "reason", "", "why; it goes on record")
	if rule.NeedsPlan {
		required(c, "plan")
	}
	if rule.NeedsReason {
		required(c, "reason")
	}
	if rule.OfMachines {
		required(c, "machine")
	}
	if rule.Verb == contract.VerbApprove {
		f.StringVar(&o.key, "key", "", "sign the approval with this OpenSSH key: a private key's file, or a .pub whose other half is in an agent or in hardware")
		f.StringVar(&o.signature, "signature", "", "a signature that was made elsewhere, of the text of \"patchcycle cycle plan grants\"")
		f.StringVar(&o.breakGlass, "break-glass", "", "why the usual approvers cannot be waited for; needs the role in the trust root, and is reviewed")
	}
	keyFlag(c, &o.once)
	jsonFlag(c, &o.json)
	return c
}

func verbHelp(r contract.VerbRule) string {
	var may []string
	for _, role := range r.May {
		may = append(may, string(role))
	}
	when := "until it closes"
	if len(r.Phases) > 0 {
		var phases []string
		for _, p := range r.Phases {
			phases = append(phases, string(p))
		}
		when = "in phase " + strings.Join(phases, ", ")
	}
	long := fmt.Sprintf(`%s.

What happens to machines that
  have not started:  %s
  are at work:       %s
  are done:          %s

To take it back:  %s
Who may:          %s
When:             %s`, strings.ToUpper(r.Short[:1])+r.Short[1:], r.NotStarted, r.AtWork, r.Done, r.Undo, strings.Join(may, ", "), when)
	if r.OfMachines {
		long += "\n\nWhoever is limited to sites may do it to the machines of these."
	}
	if r.NeedsPlan {
		long += "\n\nWhat is meant is one plan and no other, so its hash has to be named. See it with:\npatchcycle cycle plan"
	}
	if r.Verb == contract.VerbApprove {
		long += `

Where the trust root is in mode grants an approval is signed with an OpenSSH key of
yours, which the server never has. --key computes the plan again on this machine, shows
what is signed, and has ssh-keygen sign it. Elsewhere, without this program:
patchcycle cycle plan grants CYCLE >grants
ssh-keygen -Y sign -f KEY -n ` + string(trust.GrantsPaper) + ` grants
patchcycle cycle approve CYCLE --plan HASH --signature grants.sig`
	}
	return long
}

func verbExample(r contract.VerbRule) string {
	line := "patchcycle cycle " + string(r.Verb) + " cycle/servers/2026-11.1"
	if r.NeedsPlan {
		line += " --plan 3f2a9c51d07b"
	}
	if r.OfMachines {
		line += " --machine web-1,web-2"
	}
	switch {
	case r.Verb == contract.VerbAdmit:
		line += " --reason \"installed last night\""
	case r.NeedsReason:
		line += " --reason \"payroll runs tonight\""
	}
	return line
}

func (o verbOptions) run(ctx context.Context, s *session, args []string) error {
	switch {
	case o.rule.NeedsPlan && o.plan == "":
		return usage(s.cmd, "say which plan you mean: --plan HASH (see it with: patchcycle cycle plan)")
	case o.rule.NeedsReason && strings.TrimSpace(o.reason) == "":
		return usage(s.cmd, "say why: --reason TEXT")
	case o.key != "" && o.signature != "":
		return usage(s.cmd, "%v", errTwoWays)
	case o.breakGlass != "" && o.key == "" && o.signature == "":
		return usage(s.cmd, "break-glass has to be signed: add --key FILE")
	case o.rule.OfMachines && len(o.assets) == 0:
		return usage(s.cmd, "say which machines: --machine NAME,…")
	}
	c, id, err := s.clientFor(args)
	if err != nil {
		return err
	}
	act := wire.Act{Reason: o.reason, BreakGlass: o.breakGlass}
	if act.Plan, err = s.thePlan(ctx, c, id, o.plan); err != nil {
		return err
	}
	for _, name := range o.assets {
		asset, err := s.machine(c, name)
		if err != nil {
			return err
		}
		act.Assets = append(act.Assets, asset)
	}
	if o.key != "" || o.signature != "" {
		if err := s.signGrants(ctx, c, id, &act, o.key, o.signature); err != nil {
			return err
		}
	}
	answer, err := c.Do(ctx, id, string(o.rule.Verb), act, cmp.Or(o.once, client.NewKey()))
	if err != nil || o.json {
		return orJSON(s, answer, err)
	}
	s.say("%s", answer.Words)
	return nil
}

// shortPlan is how many digits of a hash are enough: [patching.Digest.Short]
// shows as many.
const shortPlan = 12

// thePlan makes a hash of what a person typed. A short form has to be that of
// the plan that counts now.
func (s *session) thePlan(ctx context.Context, c *client.Client, id patching.CycleID, typed string) (patching.Digest, error) {
	if typed == "" {
		return "", nil
	}
	digits := strings.TrimPrefix(typed, "sha256:")
	if full := patching.Digest("sha256:" + digits); full.Valid() {
		return full, nil
	}
	if len(digits) < shortPlan {
		return "", usage(s.cmd, "--plan %s: give the whole hash, or at least its first %d digits", typed, shortPlan)
	}
	p, err := c.Plan(ctx, id, 0)
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(strings.TrimPrefix(string(p.Hash), "sha256:"), digits) {
		return "", Fail(ExitFailed, fmt.Sprintf("Look at it again: patchcycle cycle plan %s", id), "the plan that counts is %s, not %s", p.Hash.Short(), typed)
	}
	return p.Hash, nil
}
