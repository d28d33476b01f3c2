package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
)

type holdOptions struct {
	reason string
	until  string
	json   bool
}

func newHold(e *env) *cobra.Command {
	var o holdOptions
	c := &cobra.Command{
		Use: "hold", Short: "Have nothing start on any machine", Args: exactly(0),
		Long: `Have nothing start on any machine, until a time or until it is lifted. One person may.
What has started runs to its end; what was permitted already starts within 15 minutes or
not at all, and machines that have a line hear of it within a minute. Going back is held
too. A machine alone is held on it (patchcycle-agent hold), a site at its relay
(patchcycle-relay hold), a cycle with: patchcycle cycle pause`,
		Example: "patchcycle hold --reason \"payroll runs tonight\" --until 2026-11-30T06:00:00Z\npatchcycle hold lift --reason \"payroll is through\"",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().StringVar(&o.reason, "reason", "", "why; it goes on record")
	c.Flags().StringVar(&o.until, "until", "", "until then, such as 2026-11-30T06:00:00Z (default: until it is lifted)")
	required(c, "reason")
	jsonFlag(c, &o.json)
	c.AddCommand(newHoldLift(e), newHoldShow(e))
	return c
}

func (o holdOptions) run(ctx context.Context, s *session) error {
	if strings.TrimSpace(o.reason) == "" {
		return usage(s.cmd, "say why: --reason TEXT")
	}
	h := wire.NewHold{Reason: o.reason}
	if o.until != "" {
		at, err := moment(o.until, s.zone)
		if err != nil {
			return usage(s.cmd, "--until %s: want a time such as \"2026-11-30 06:00\" or 2026-11-30T06:00:00Z", o.until)
		}
		h.Until = at
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	is, err := c.HoldMachines(ctx, h)
	if err != nil || o.json {
		return orJSON(s, is, err)
	}
	s.say("%s", is.Words)
	return nil
}

func newHoldLift(e *env) *cobra.Command {
	var o holdOptions
	c := &cobra.Command{
		Use: "lift", Short: "Let machines go on", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			s := e.session(c)
			if strings.TrimSpace(o.reason) == "" {
				return usage(s.cmd, "say why: --reason TEXT")
			}
			api, err := s.client()
			if err != nil {
				return err
			}
			is, err := api.LiftHold(c.Context(), o.reason)
			if err != nil || o.json {
				return orJSON(s, is, err)
			}
			s.say("%s", is.Words)
			return nil
		},
	}
	c.Flags().StringVar(&o.reason, "reason", "", "why; it goes on record")
	required(c, "reason")
	jsonFlag(c, &o.json)
	return c
}

func newHoldShow(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show", Short: "Say whether machines are held, and who held them before", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			s := e.session(c)
			api, err := s.client()
			if err != nil {
				return err
			}
			is, err := api.Hold(c.Context())
			if err != nil || asJSON {
				return orJSON(s, is, err)
			}
			s.say("%s", is.Words)
			var rows [][]string
			for _, h := range is.Items {
				what := "held"
				if h.Lifted {
					what = "lifted"
				}
				rows = append(rows, []string{s.when(h.At), what, string(h.By), s.when(h.Until), h.Reason})
			}
			if len(rows) > 0 {
				s.table([]string{"AT", "WHAT", "BY", "UNTIL", "WHY"}, rows)
			}
			return nil
		},
	}
	jsonFlag(c, &asJSON)
	return c
}
