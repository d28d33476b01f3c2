package edgecli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/edge/holdfile"
	"github.com/patchcycle/patchcycle/edge/uplink"
)

// Hold is the command that lets nothing start by a file, without the server and against it.
type Hold struct {
	Short, Long, Example string
	// Nothing is how its answer begins: "Nothing starts: ".
	Nothing string
	// Dir is the folder of the file, JSON how to print, both known when it runs.
	Dir  *string
	JSON *bool
	Now  func() time.Time
	// Heeded says why nobody looks for the file in that folder; nil: somebody may.
	Heeded func(dir string) error

	by, reason string
	length     time.Duration
	lift       bool
}

// Command returns the command.
func (h Hold) Command() *cobra.Command {
	c := &cobra.Command{
		Use: "hold", Short: h.Short, Long: h.Long, Example: h.Example, Args: NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return h.run(c) },
	}
	f := c.Flags()
	f.StringVar(&h.by, "by", "", "who holds")
	f.StringVar(&h.reason, "reason", "", "why")
	f.DurationVar(&h.length, "for", 0, "for how long; without: until it is lifted")
	f.BoolVar(&h.lift, "lift", false, "lift the hold")
	return c
}

func (h *Hold) run(c *cobra.Command) error {
	if h.Heeded != nil {
		if err := h.Heeded(*h.Dir); err != nil {
			return err
		}
	}
	if h.lift {
		held, err := holdfile.Lift(*h.Dir)
		if err != nil {
			return err
		}
		if !held {
			return Print(c, *h.JSON, struct{}{}, "Nobody held it here: there was nothing to lift.")
		}
		return Print(c, *h.JSON, struct{}{}, "Lifted.")
	}
	// Others read the file, and show it.
	held := uplink.Hold{By: Line(h.by), Reason: Line(h.reason)}
	switch {
	case held.By == "" || held.Reason == "":
		return Usage("say who and why: --by NAME --reason WORDS")
	case h.length < 0:
		return Usage("--for %s: it would be over: give a time such as 48h", h.length)
	}
	if h.length > 0 {
		held.Until = h.Now().Add(h.length)
	}
	if err := holdfile.Write(*h.Dir, held); err != nil {
		return err
	}
	return Print(c, *h.JSON, held, h.Nothing+HoldWords(held))
}

// HoldWords says who holds, why and until when.
func HoldWords(h uplink.Hold) string {
	words := fmt.Sprintf("held by %s: %s", Line(h.By), Line(h.Reason)) // others write the file too
	if h.Until.IsZero() {
		return words + ", until it is lifted"
	}
	return words + ", until " + Local(h.Until)
}
