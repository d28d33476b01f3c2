package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

func newException(e *env) *cobra.Command {
	return group("exception", "Say what is not patched, why and until when", newExceptionAdd(e), newExceptionList(e), newExceptionExpire(e))
}

type exceptionAddOptions struct {
	subjectOptions
	owner, reason, measure, until, reviewBy, renews string
	json                                            bool
}

func newExceptionAdd(e *env) *cobra.Command {
	var o exceptionAddOptions
	c := &cobra.Command{
		Use: "add [ADVISORY]", Short: "Let something go unpatched until a date, or renew that", Args: between(0, 1),
		Long: `Let an advisory, a CVE, a package or machines go unpatched until a date, for an owner
who answers for it. A security lead makes an exception, who is neither its owner nor
an author of policies. It is looked at again in three months, unless --review-by says
when. To renew one is to make another with --renews: both stay on record.`,
		Example: "patchcycle exception add --machine mri-1,mri-2 --owner radiology --reason \"the maker certifies patches\" --measure \"a network of their own\" --until 2027-06-30\n" +
			"patchcycle exception add --renews exception-1f2e3d4c5b --reason \"not certified yet\" --until 2027-12-31",
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	f := c.Flags()
	f.StringVar(&o.owner, "owner", "", "the person or the role that answers for it (required; of a renewal: as before)")
	f.StringVar(&o.reason, "reason", "", "why; it goes on record")
	f.StringVar(&o.measure, "measure", "", "what makes up for the missing patch")
	f.StringVar(&o.until, "until", "", "the last day on which it holds, at most a year from now: 2027-01-31")
	f.StringVar(&o.reviewBy, "review-by", "", "when somebody has to look at it again: 2027-01-31 (default: in three months)")
	f.StringVar(&o.renews, "renews", "", "the exception whose place it takes")
	o.flags(c)
	required(c, "reason", "until")
	jsonFlag(c, &o.json)
	_ = c.RegisterFlagCompletionFunc("renews", func(c *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return e.completeExceptions(c, nil, typed)
	})
	return c
}

func (o exceptionAddOptions) run(ctx context.Context, s *session, args []string) error {
	flags := []string{"reason", "until"}
	if o.renews == "" {
		flags = append(flags, "owner")
	}
	if err := s.needs(flags...); err != nil {
		return err
	}
	about, err := o.about(s, args)
	if err != nil {
		return err
	}
	n := wire.NewException{Subject: about, Owner: o.owner, Reason: o.reason, Measure: o.measure, Renews: patching.DecisionID(o.renews)}
	if n.Until, err = s.dated("until", o.until); err != nil {
		return err
	}
	if n.ReviewBy, err = s.dated("review-by", o.reviewBy); err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := c.AddException(ctx, n, client.NewKey())
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	x := a.Exception
	s.say("Exception %s for %s, owner %s, until %s, to be looked at by %s. %s", x.ID, subjectWords(x.Subject), x.Owner, s.until(x.Until), s.until(x.ReviewBy), a.Words)
	s.warn(a.Warning)
	return nil
}

type exceptionListOptions struct{ all, json bool }

func newExceptionList(e *env) *cobra.Command {
	var o exceptionListOptions
	c := &cobra.Command{
		Use: "list", Short: "List what is not patched, what ends soon first", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "those that have ended, too")
	jsonFlag(c, &o.json)
	return c
}

func (o exceptionListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.Exceptions(ctx, o.all)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, x := range all.Items {
		review := s.until(x.ReviewBy)
		if x.Due {
			review += " (due)"
		}
		rows = append(rows, []string{string(x.ID), subjectWords(x.Subject), x.Owner, s.until(x.Until), review, string(x.By), x.Reason, cmp.Or(x.Measure, "–"), stateWords(x.Term)})
	}
	s.list(rows, "There are no exceptions.", "EXCEPTION", "ABOUT", "OWNER", "UNTIL", "REVIEW BY", "BY", "REASON", "INSTEAD", "STATE")
	return nil
}

func newExceptionExpire(e *env) *cobra.Command {
	var o endOptions
	c := &cobra.Command{
		Use: "expire EXCEPTION", Short: "End an exception before its date", Args: exactly(1), ValidArgsFunction: e.completeExceptions,
		Example: "patchcycle exception expire exception-1f2e3d4c5b --reason \"the maker has certified the patch\"",
		RunE: func(c *cobra.Command, args []string) error {
			s := e.session(c)
			asking, err := o.ready(s)
			if err != nil {
				return err
			}
			a, err := asking.ExpireException(c.Context(), patching.DecisionID(args[0]), o.reason)
			if err != nil || o.json {
				return orJSON(s, a, err)
			}
			s.say("Exception %s is ended. %s", a.Exception.ID, a.Words)
			return nil
		},
	}
	o.flags(c)
	return c
}
