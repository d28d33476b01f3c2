package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/courier"
	"github.com/patchcycle/patchcycle/edge/probation"
	"github.com/patchcycle/patchcycle/trust"
)

func newStatus(e *env) *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "Say who this machine is and what is in hand", Args: edgecli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return e.status(c) },
	}
	c.Flags().StringVar(&e.courierSocket, "courier", courier.Socket, "the socket of the courier, where this agent has one")
	return c
}

func (e *env) status(c *cobra.Command) error {
	s, err := agent.Home(e.home).Status(e.host())
	if err != nil {
		return err
	}
	rules, rulesErr := e.host().Rules()
	two := e.parts(c.Context())
	out := struct {
		agent.Status
		Parts   bothParts    `json:"parts"`
		Allowed []trust.Verb `json:"allowed,omitempty"` // absent: all
		Hold    *agent.Hold  `json:"hold,omitempty"`
		Note    string       `json:"note,omitempty"`
		Rules   string       `json:"rules_error,omitempty"`
		// Release is there while a release of the agent is on probation, or was put back.
		Release *probation.Record `json:"release,omitempty"`
	}{Status: s, Parts: two, Allowed: rules.Allowed, Hold: rules.Hold, Note: rules.Note}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s, at %s\nTrust root %d, mode %s, fingerprint %s\n", s.Device, s.Fleet, s.Server, s.Root, s.Mode, s.Fingerprint)
	b.WriteString(two.words())
	release, changed, err := e.keeper().Read()
	if err != nil {
		return err
	}
	if changed && release.State != probation.Passed && release.State != probation.Void {
		out.Release = &release
		fmt.Fprintf(&b, "%s\n", edgecli.Line(release.Words()))
	}
	if s.ClockOff != "" {
		fmt.Fprintf(&b, "Nothing that has a window starts: this machine's clock is off (%s); set it right.\n", s.ClockOff)
	}
	switch {
	case rulesErr != nil:
		out.Rules = rulesErr.Error()
		fmt.Fprintf(&b, "Nothing starts: the machine's rules cannot be read: %s\n", edgecli.Line(rulesErr.Error()))
	case rules.Hold.In(e.Now()):
		fmt.Fprintf(&b, "Nothing starts: %s\n", edgecli.HoldWords(*rules.Hold))
	case s.Said.In(e.Now()):
		fmt.Fprintf(&b, "Nothing starts, says the server or the relay: %s\n", edgecli.HoldWords(*s.Said))
	}
	if rules.Allowed != nil {
		fmt.Fprintf(&b, "Allowed here: %s\n", join(rules.Allowed))
	}
	if rules.Note != "" {
		fmt.Fprintf(&b, "Why no more: %s\n", rules.Note)
	}
	if len(s.Orders) == 0 {
		b.WriteString("No instruction in hand.\n")
	}
	for _, o := range s.Orders {
		fmt.Fprintf(&b, "%s: %s, %s", o.ID, o.Verb, o.Stage)
		if !o.Start.IsZero() {
			fmt.Fprintf(&b, ", window %s to %s", edgecli.Local(o.Start), edgecli.Local(o.End))
		}
		b.WriteByte('\n')
	}
	if s.Unsent > 0 {
		fmt.Fprintf(&b, "%d receipts wait for the server.\n", s.Unsent)
	}
	if !s.Inventoried.IsZero() {
		fmt.Fprintf(&b, "Last inventory: %s\n", edgecli.Local(s.Inventoried))
	}
	return e.print(c, out, strings.TrimSuffix(b.String(), "\n"))
}

func newVerify(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "verify [FILE]", Short: "Say whether this machine would believe an instruction",
		Long: `Say whether this machine would believe an instruction: the envelope in FILE, or on
standard input, is checked as one that arrives is, except for its number.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return edgecli.Usage("%q is too much: %s", args[1], c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return e.verify(c, args) },
	}
}

func (e *env) verify(c *cobra.Command, args []string) error {
	in := c.InOrStdin()
	if len(args) > 0 {
		f, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	text, err := read(c.Context(), in, trust.MaxEnvelope+1)
	if err != nil {
		return interrupted(c.Context(), err)
	}
	o, err := agent.Home(e.home).Judge(e.host(), text, e.Now())
	var refused *trust.Refusal
	if errors.As(err, &refused) {
		return fmt.Errorf("not believed: %w", err)
	}
	if err != nil {
		return err
	}
	words := fmt.Sprintf("Genuine: %s %s of %s, number %d, valid until %s", o.Verb, o.ID, o.Cycle, o.Seq, edgecli.Local(o.NotAfter))
	if o.Window != nil {
		words += fmt.Sprintf("\nWindow: %s, %s to %s", o.Window.Rule, edgecli.Local(o.Window.Start), edgecli.Local(o.Window.End))
	}
	return e.print(c, o, words)
}
