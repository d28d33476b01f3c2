package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/disk"
)

type doctorOptions struct{ json bool }

func newDoctor(e *env) *cobra.Command {
	var o doctorOptions
	c := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong with the installation", Args: exactly(0),
		Long: "Look for what is wrong with the installation, here and on the server. Ends with\ncode 1 if something is.",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	jsonFlag(c, &o.json)
	return c
}

func (o doctorOptions) run(ctx context.Context, s *session) error {
	found := wire.Doctor{OK: true, Checks: s.checkHere()}
	server, err := s.askDoctor(ctx)
	if err != nil {
		server = wire.Doctor{Checks: []wire.Check{{Name: "server", Words: err.Error(), WayOut: startIt}}}
		if len(found.Checks) > 0 { // its disk is here, and may be why
			words, wayOut, ok := disk.Look(s.dataDir())
			server.Checks = append(server.Checks, wire.Check{Name: "disk", OK: ok, Words: words, WayOut: wayOut})
		}
	}
	found.Checks = append(found.Checks, server.Checks...)
	for _, c := range found.Checks {
		found.OK = found.OK && c.OK
	}
	if o.json {
		if err := s.json(found); err != nil {
			return err
		}
	} else {
		s.printChecks(found)
	}
	if !found.OK {
		return &Failure{Code: ExitFailed, Words: "something is wrong", Quiet: true}
	}
	return nil
}

func (s *session) askDoctor(ctx context.Context) (wire.Doctor, error) {
	c, err := s.client()
	if err != nil {
		return wire.Doctor{}, err
	}
	runs, err := c.Server(ctx)
	if err != nil {
		return wire.Doctor{}, err
	}
	check := wire.Check{Name: "server", OK: true, Words: fmt.Sprintf("It answers, in version %s; you are %s (%s).", runs.Version, runs.You.Name, words(runs.You.Roles))}
	if runs.Version != s.Build.Version {
		check.OK = false
		check.Words += fmt.Sprintf(" This command is version %s.", s.Build.Version)
		check.WayOut = "Use the same version on both sides."
	}
	d, err := c.Doctor(ctx)
	d.Checks = append([]wire.Check{check}, d.Checks...)
	return d, err
}

// checkHere looks at what only this machine can tell.
func (s *session) checkHere() []wire.Check {
	dir := wire.Check{Name: "data directory", OK: true, Words: s.dataDir()}
	info, err := os.Stat(s.dataDir())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil // the server is elsewhere, or there was none yet
	case err != nil:
		dir.OK, dir.Words = false, err.Error()
	case info.Mode().Perm()&0o077 != 0:
		dir.OK, dir.Words = false, s.dataDir()+" can be entered by others."
		dir.WayOut = "chmod 700 " + s.dataDir()
	}
	return []wire.Check{dir}
}

func (s *session) printChecks(found wire.Doctor) {
	var rows [][]string
	for _, c := range found.Checks {
		mark := "ok"
		if !c.OK {
			mark = "WRONG"
		}
		rows = append(rows, []string{mark, c.Name, c.Words})
	}
	s.table([]string{"", "CHECK", "FOUND"}, rows)
	for _, c := range found.Checks {
		if c.WayOut != "" {
			s.say("%s: %s", c.Name, c.WayOut)
		}
	}
}
