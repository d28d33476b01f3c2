package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newStatus(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Say how the relay stands", Args: edgecli.NoArgs,
		Long: `Say how the relay stands, from what it wrote into its folder within the last seconds.
The exit code is 1 if it does not run.`,
		RunE: func(c *cobra.Command, _ []string) error { return e.status(c) },
	}
}

func (e *env) status(c *cobra.Command) error {
	s, err := relay.ReadStatus(e.dir)
	if err != nil {
		return err
	}
	var b strings.Builder
	if s.Down.IsZero() {
		fmt.Fprintf(&b, "%s: the line to the server works\n", s.Name)
	} else {
		fmt.Fprintf(&b, "%s: the line to the server has failed since %s: %s\n", s.Name, local(s.Down), strings.Join(strings.Fields(s.Why), " "))
	}
	if s.Hold.In(e.Now()) {
		fmt.Fprintf(&b, "Nothing starts: held by %s: %s\n", s.Hold.By, s.Hold.Reason)
	}
	fmt.Fprintf(&b, "%s here", phrase.Count(s.Machines, "machine polls", "machines poll"))
	if len(s.Relays) > 0 {
		fmt.Fprintf(&b, ", some through %s", strings.Join(s.Relays, ", "))
	}
	if s.Visited > 0 {
		fmt.Fprintf(&b, "\n%s over SSH", phrase.Count(s.Visited, "machine is visited", "machines are visited"))
	}
	for _, t := range s.Unreached {
		fmt.Fprintf(&b, "\nNot since %s: %s", local(t.Since), t.Why)
	}
	fmt.Fprintf(&b, "\n%s for the line: %s of %s\n", phrase.Count(s.Spooled, "receipt waits", "receipts wait"), phrase.Size(s.SpooledBytes), phrase.Size(s.SpoolMost))
	if s.Missed > 0 {
		fmt.Fprintf(&b, "There was no room for %s: their machines have them\n", phrase.Count(int(s.Missed), "receipt", "receipts"))
	}
	fmt.Fprintf(&b, "Packages: %s of %s, of which running cycles may need %s\n", phrase.Size(s.Kept), phrase.Size(s.CacheMost), phrase.Size(s.Needed))
	fmt.Fprintf(&b, "Since the start %s came from the server, and %s went to machines", phrase.Size(s.Received), phrase.Size(s.Served))
	if err := e.print(c, s, b.String()); err != nil {
		return err
	}
	if s.Stale(e.Now()) {
		return fmt.Errorf("the relay does not run: it last wrote its status at %s", local(s.At))
	}
	return nil
}

func local(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }
