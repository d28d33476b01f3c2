package cli

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

func newEmergency(e *env) *cobra.Command {
	return group("emergency", "Call an emergency cycle", newEmergencyStart(e))
}

type emergencyStartOptions struct {
	reason string
	shadow bool
	key    string
	json   bool
}

func newEmergencyStart(e *env) *cobra.Command {
	var o emergencyStartOptions
	c := &cobra.Command{
		Use: "start POLICY NAME", Short: "Call an emergency cycle", Args: exactly(2), ValidArgsFunction: e.completePolicies,
		Long: `Call an emergency cycle. It goes the monthly cycle's way with shorter soaks; the
test ring is never skipped. Machines of a cycle that runs are taken over if they
have not started; the others are named. You become its author: somebody else has
to approve it.`,
		Example: "patchcycle emergency start servers openssl-cve-2026-1234 --reason \"exploited in the wild\"",
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.PolicyName(args[0]), args[1])
		},
	}
	c.Flags().StringVar(&o.reason, "reason", "", "why it cannot wait")
	c.Flags().BoolVar(&o.shadow, "shadow", false, "plan, gate and report, but install nothing")
	required(c, "reason")
	keyFlag(c, &o.key)
	jsonFlag(c, &o.json)
	return c
}

func (o emergencyStartOptions) run(ctx context.Context, s *session, p patching.PolicyName, name string) error {
	if strings.TrimSpace(o.reason) == "" {
		return usage(s.cmd, "say why it cannot wait: --reason TEXT")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	started, err := c.StartEmergency(ctx, p, wire.StartEmergency{Slug: name, Reason: o.reason, Shadow: o.shadow}, cmp.Or(o.key, client.NewKey()))
	if err != nil || o.json {
		return orJSON(s, started, err)
	}
	s.printStarted(started)
	return nil
}
