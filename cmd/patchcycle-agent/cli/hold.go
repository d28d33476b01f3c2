package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/edge/agent"
)

type holdOptions struct {
	*env
	by, reason string
	length     time.Duration
	lift       bool
}

func newHold(e *env) *cobra.Command {
	o := holdOptions{env: e}
	c := &cobra.Command{
		Use: "hold", Short: "Let nothing start on this machine, or lift that", Args: noArgs,
		Long: `Let nothing start on this machine until the hold ends or is lifted. What is under
way is finished. It works without the server and against it: the hold is a file
on this machine (hold, in the folder of --rules).`,
		Example: "patchcycle-agent hold --by ana --reason stocktaking --for 48h\npatchcycle-agent hold --lift",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c) },
	}
	f := c.Flags()
	f.StringVar(&o.by, "by", "", "who holds")
	f.StringVar(&o.reason, "reason", "", "why")
	f.DurationVar(&o.length, "for", 0, "for how long; without: until it is lifted")
	f.BoolVar(&o.lift, "lift", false, "lift the hold")
	return c
}

func (o holdOptions) run(c *cobra.Command) error {
	files := agent.RuleFiles(o.rules)
	if o.lift {
		if err := files.LiftHold(); err != nil {
			return err
		}
		return o.print(c, struct{}{}, "Lifted.")
	}
	o.by, o.reason = line(o.by), line(o.reason)
	if o.by == "" || o.reason == "" || o.length < 0 {
		return usage("say who and why: --by NAME --reason WORDS")
	}
	h := agent.Hold{By: o.by, Reason: o.reason}
	if o.length > 0 {
		h.Until = o.Now().Add(o.length)
	}
	if err := files.SetHold(h); err != nil {
		return err
	}
	return o.print(c, h, "Nothing starts: "+holdWords(h))
}

func holdWords(h agent.Hold) string {
	words := fmt.Sprintf("held by %s: %s", line(h.By), line(h.Reason)) // others write the file too
	if h.Until.IsZero() {
		return words + ", until it is lifted"
	}
	return words + ", until " + local(h.Until)
}
