package cli

import (
	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/relay"
)

func newHold(e *env) *cobra.Command {
	return edgecli.Hold{
		Short: "Let nothing start on the site's machines, or lift that",
		Long: `Let nothing start on the machines that poll here until the hold ends or is lifted. What
is under way is finished. It works without the server and against it: the hold is a file
in the relay's folder. Machines that take another way do not hear of it.`,
		Example: "patchcycle-relay hold --by ana --reason stocktaking --for 48h\npatchcycle-relay hold --lift",
		Nothing: "Nothing starts behind this relay: ", Dir: &e.dir, JSON: &e.json, Now: e.Now, Heeded: relay.Ran,
	}.Command()
}
