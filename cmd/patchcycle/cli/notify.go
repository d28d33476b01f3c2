package cli

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
)

func newNotify(e *env) *cobra.Command {
	return group("notify", "See who is told what, and try it", newNotifyList(e), newNotifyTest(e))
}

type notifyListOptions struct {
	recipient string
	limit     int
	json      bool
}

func newNotifyList(e *env) *cobra.Command {
	var o notifyListOptions
	c := &cobra.Command{
		Use: "list", Short: "List who is told what, and what was told lately", Args: exactly(0),
		Long: `List who is told what by the server's notify.yaml, and the messages of late, the
newest first: to whom, about how much, and what failed. --json prints the messages
with their texts.`,
		Example: "patchcycle notify list --recipient operations --limit 5",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().StringVar(&o.recipient, "recipient", "", "messages to this one only")
	countFlag(c, &o.limit, "limit", pageOf, "at most so many messages (default: 20)")
	jsonFlag(c, &o.json)
	_ = c.RegisterFlagCompletionFunc("recipient", e.completeRecipients) // the flag is there
	return c
}

func (o notifyListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	is, err := c.Notify(ctx, o.recipient, o.limit)
	if err != nil || o.json {
		return orJSON(s, is, err)
	}
	s.note("%s", is.Words)
	if is.WayOut != "" {
		s.note("%s", is.WayOut)
	}
	var rows [][]string
	for _, r := range is.Recipients {
		if o.recipient == "" || o.recipient == r.Name {
			rows = append(rows, []string{r.Name, r.To, recipientWords(r), r.Every})
		}
	}
	if len(rows) > 0 {
		s.table([]string{"RECIPIENT", "ADDRESS", "TOLD OF", "EVERY"}, rows)
		s.say("")
	}
	rows = nil
	for _, m := range is.Messages {
		rows = append(rows, []string{s.when(m.Made), m.Recipient, m.Lane, m.State, fmt.Sprint(m.Tries), m.Subject, m.Error})
	}
	s.list(rows, "Nothing was told yet.", "MADE", "TO", "LANE", "STATE", "TRIES", "ABOUT", "ERROR")
	return nil
}

// recipientWords says what a recipient is told of: roles, where, whose.
func recipientWords(r wire.Recipient) string {
	out := words(r.Roles)
	if r.Account != "" {
		out = fmt.Sprintf("account %s: %s", r.Account, cmp.Or(out, "nothing"))
	}
	for _, more := range []struct{ of, what string }{
		{"sites", words(r.Sites)}, {"policies", words(r.Policies)}, {"owners", words(r.Owners)}, {"kinds", words(r.Kinds)},
	} {
		if more.what != "" {
			if out != "" {
				out += "; "
			}
			out += more.of + " " + more.what
		}
	}
	return out
}

type notifyTestOptions struct{ json bool }

func newNotifyTest(e *env) *cobra.Command {
	var o notifyTestOptions
	c := &cobra.Command{
		Use: "test RECIPIENT", Short: "Send a test message to a recipient", Args: exactly(1), ValidArgsFunction: e.completeRecipients,
		Long: `Send a test message to a recipient of the server's notify.yaml, now. Ends with code 1
if it could not be sent, and says why.`,
		Example: "patchcycle notify test operations",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args[0]) },
	}
	jsonFlag(c, &o.json)
	return c
}

func (o notifyTestOptions) run(ctx context.Context, s *session, recipient string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	s.note("Sending…")
	a, err := c.TestNotify(ctx, recipient)
	if err != nil {
		return err
	}
	if o.json {
		err = s.json(a)
	} else if a.OK {
		s.say("%s", a.Words)
	}
	if err == nil && !a.OK {
		return &Failure{Code: ExitFailed, Words: a.Words, wayOut: "See the recipients: patchcycle notify list", Quiet: o.json}
	}
	return err
}

func (e *env) completeRecipients(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return e.complete(c, args, func(ctx context.Context, asking *client.Client) (out []cobra.Completion, err error) {
		is, err := asking.Notify(ctx, "", 1)
		for _, r := range is.Recipients {
			out = append(out, cobra.CompletionWithDesc(r.Name, clean(r.To)))
		}
		return out, err
	})
}
