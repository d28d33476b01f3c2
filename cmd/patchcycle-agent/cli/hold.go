package cli

import (
	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
)

func newHold(e *env) *cobra.Command {
	return edgecli.Hold{
		Short: "Let nothing start on this machine, or lift that",
		Long: `Let nothing start on this machine until the hold ends or is lifted. What is under
way is finished. It works without the server and against it: the hold is a file
on this machine (hold, in the folder of --rules).`,
		Example: "patchcycle-agent hold --by ana --reason stocktaking --for 48h\npatchcycle-agent hold --lift",
		Nothing: "Nothing starts: ", Dir: &e.rules, JSON: &e.json, Now: e.Now,
	}.Command()
}
