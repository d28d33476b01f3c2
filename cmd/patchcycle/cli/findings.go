package cli

import (
	"context"

	"github.com/spf13/cobra"
)

type assetFindingsOptions struct{ json bool }

func newAssetFindings(e *env) *cobra.Command {
	var o assetFindingsOptions
	c := &cobra.Command{
		Use: "findings MACHINE", Short: "Show which advisories are about a machine, and until when it has to be patched", Args: exactly(1),
		Long: `Show which advisories are about a machine, and until when it has to be patched, by
what it said last and what the server's feeds say. It is judged by the decision tables
of the policies in force that select the machine. What is not known is left empty.`,
		Example: "patchcycle asset findings web-1.example --json",
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), args[0])
		},
	}
	jsonFlag(c, &o.json)
	return c
}

func (o assetFindingsOptions) run(ctx context.Context, s *session, name string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	id, err := s.machine(c, name)
	if err != nil {
		return err
	}
	found, err := c.Findings(ctx, id)
	if err != nil || o.json {
		return orJSON(s, found, err)
	}
	s.printSheet(found.Sheet)
	if len(found.BlindSpots) > 0 && found.Owner != "" {
		s.note("Its owner: %s.", found.Owner)
	}
	if len(found.Feeds) == 0 {
		s.note("The server has no feeds: nothing that it misses is known to be urgent. See \"patchcycle feed --help\".")
	}
	for _, f := range found.Feeds {
		if f.Stale {
			s.note("The feed %s is stale.", f.Name)
		}
	}
	return nil
}
