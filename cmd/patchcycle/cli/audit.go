package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
)

func newAudit(e *env) *cobra.Command {
	return group("audit", "Read the record of who decided what", newAuditList(e), newAuditVerify(e))
}

type auditListOptions struct {
	after int64
	limit int
	json  bool
}

func newAuditList(e *env) *cobra.Command {
	var o auditListOptions
	c := &cobra.Command{
		Use: "list", Short: "List who decided what, the oldest first", Args: exactly(0),
		Long: `List who decided what, the oldest first, in words. --json prints the entries as
they stand in the record, with the hashes of their chain.`,
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().Int64Var(&o.after, "after", 0, "entries after this number")
	countFlag(c, &o.limit, "limit", 0, "at most so many (default: all)")
	jsonFlag(c, &o.json)
	return c
}

func (o auditListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all := wire.AuditPage{Items: []wire.AuditEntry{}, Next: o.after}
	for more := true; more; more = all.Next != 0 {
		n := left(o.limit, len(all.Items))
		if n == 0 {
			break
		}
		page, err := c.Audit(ctx, all.Next, n)
		if err != nil {
			return err
		}
		all.Items, all.Next = append(all.Items, page.Items...), page.Next
	}
	if o.json {
		return s.json(all)
	}
	var rows [][]string
	for _, e := range all.Items {
		rows = append(rows, []string{fmt.Sprint(e.Seq), s.when(e.At), e.Actor, e.Verb, e.Subject, details(e.Verb, e.Body)})
	}
	s.list(rows, "Nothing is on record.", "NO", "WHEN", "WHO", "WHAT", "ABOUT", "DETAILS")
	return nil
}

type auditVerifyOptions struct{ json bool }

func newAuditVerify(e *env) *cobra.Command {
	var o auditVerifyOptions
	c := &cobra.Command{
		Use: "verify", Short: "Compute the record's chain anew", Args: exactly(0),
		Long: "Compute the record's chain anew. Ends with code 1 if other hands were at it.",
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	jsonFlag(c, &o.json)
	return c
}

func (o auditVerifyOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	check, err := c.VerifyAudit(ctx)
	if err != nil {
		return err
	}
	if o.json {
		err = s.json(check)
	} else {
		s.say("%s", check.Words)
	}
	if err == nil && !check.OK {
		return &Failure{Code: ExitFailed, Words: check.Words, Quiet: true}
	}
	return err
}
