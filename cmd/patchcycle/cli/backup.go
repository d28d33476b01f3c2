package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
)

func newBackup(e *env) *cobra.Command {
	return group("backup", "See which backups of machines are known to be good", newBackupList(e), newBackupCheck(e))
}

type backupListOptions struct{ json, lacking bool }

func newBackupList(e *env) *cobra.Command {
	var o backupListOptions
	c := &cobra.Command{
		Use: "list", Short: "List the places with backups, and what they hold of each machine", Args: exactly(0),
		Example: "patchcycle backup list --lacking",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	jsonFlag(c, &o.json)
	c.Flags().BoolVar(&o.lacking, "lacking", false, "those machines only that are not upgraded for want of a verified backup")
	return c
}

func (o backupListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.Backups(ctx)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	if all.Trouble != "" {
		s.note("%s", all.Trouble)
	}
	if o.lacking {
		var rows [][]string
		for _, l := range all.Lacking {
			rows = append(rows, []string{l.Hostname, string(l.Site), string(l.Policy), l.Owner, l.Why})
		}
		s.list(rows, "Every machine has the verified backup that its policy wants.", "MACHINE", "SITE", "POLICY", "OWNER", "WHY")
		return nil
	}
	var rows [][]string
	for _, p := range all.Places {
		rows = append(rows, []string{p.Name, p.Tool, placeWords(p), s.ago(p.Asked), s.ago(p.Verified), p.Trouble})
	}
	s.list(rows, "No places with backups are watched: list them in backups.yaml in the data directory (docs/backups.md).",
		"PLACE", "TOOL", "STATE", "ASKED", "VERIFIED", "TROUBLE")
	if len(all.Machines) == 0 {
		return nil
	}
	rows = nil
	for _, m := range all.Machines {
		machine := string(m.Asset)
		if machine == "" {
			machine = "not known"
		}
		rows = append(rows, []string{m.Host, machine, string(m.Site), m.Place, s.ago(m.Last), s.ago(m.Verified), cmp.Or(string(m.Proof), "not verified")})
	}
	s.say("")
	s.table([]string{"HOST", "MACHINE", "SITE", "PLACE", "NEWEST", "GOOD ONE", "PROOF"}, rows)
	return nil
}

func placeWords(p wire.BackupPlace) string {
	switch {
	case p.Running:
		return "running"
	case p.Trouble != "":
		return "in trouble"
	case p.Asked.IsZero():
		return "not asked yet"
	default:
		return "good"
	}
}

type backupCheckOptions struct{ json bool }

func newBackupCheck(e *env) *cobra.Command {
	var o backupCheckOptions
	c := &cobra.Command{
		Use: "check PLACE", Short: "Ask a place with backups now, and verify what it holds", Args: exactly(1),
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args[0]) },
	}
	jsonFlag(c, &o.json)
	return c
}

func (o backupCheckOptions) run(ctx context.Context, s *session, place string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	p, err := c.CheckBackups(ctx, place)
	if err != nil || o.json {
		return orJSON(s, p, err)
	}
	switch {
	case p.Running:
		s.say("It is being read, which takes its time. See what comes of it: patchcycle backup list")
	case p.Trouble != "":
		s.say("%s: %s", p.Name, clean(p.Trouble))
	default:
		s.say("%s was asked and verified: all is well.", p.Name)
	}
	return nil
}
