package cli

import (
	"cmp"
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
)

// complete asks the server what may come next; a shell that cannot ask proposes
// nothing.
func (e *env) complete(c *cobra.Command, args []string, ask func(context.Context, *client.Client) ([]cobra.Completion, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	const nothing = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, nothing
	}
	s := e.session(c)
	s.errs = io.Discard
	asking, err := s.client()
	if err != nil {
		return nil, nothing
	}
	ctx, cancel := context.WithTimeout(c.Context(), completeIn)
	defer cancel()
	found, err := ask(ctx, asking)
	if err != nil {
		return nil, nothing
	}
	return found, nothing
}

func (e *env) completeCycles(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return e.complete(c, args, func(ctx context.Context, asking *client.Client) (out []cobra.Completion, err error) {
		all, err := asking.Cycles(ctx, client.CycleQuery{Limit: 20})
		for _, one := range all.Items {
			out = append(out, cobra.CompletionWithDesc(string(one.ID), clean(one.Words)))
		}
		return out, err
	})
}

func (e *env) completePolicies(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return e.complete(c, args, func(ctx context.Context, asking *client.Client) (out []cobra.Completion, err error) {
		all, err := asking.Policies(ctx)
		for _, one := range all.Items {
			out = append(out, string(one.Name))
		}
		return out, err
	})
}

func (e *env) completeTasks(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return e.complete(c, args, func(ctx context.Context, asking *client.Client) (out []cobra.Completion, err error) {
		all, err := asking.Tasks(ctx, client.TaskQuery{Open: true})
		for _, one := range all.Items {
			out = append(out, cobra.CompletionWithDesc(string(one.ID), clean(cmp.Or(one.Hostname, string(one.Asset))+": "+one.Words)))
		}
		return out, err
	})
}

func (e *env) completeReviews(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return e.complete(c, args, func(ctx context.Context, asking *client.Client) (out []cobra.Completion, err error) {
		all, err := asking.Reviews(ctx, false)
		for _, one := range all.Items {
			out = append(out, cobra.CompletionWithDesc(string(one.ID), clean(one.Words+": "+subjectWords(one.Subject))))
		}
		return out, err
	})
}

func (e *env) completeExceptions(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return e.complete(c, args, func(ctx context.Context, asking *client.Client) (out []cobra.Completion, err error) {
		all, err := asking.Exceptions(ctx, false)
		for _, one := range all.Items {
			out = append(out, cobra.CompletionWithDesc(string(one.ID), clean(one.Owner+": "+subjectWords(one.Subject))))
		}
		return out, err
	})
}

func (e *env) completeWorkArounds(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return e.complete(c, args, func(ctx context.Context, asking *client.Client) (out []cobra.Completion, err error) {
		all, err := asking.WorkArounds(ctx, false)
		for _, one := range all.Items {
			out = append(out, cobra.CompletionWithDesc(string(one.ID), clean(string(one.State)+": "+one.What)))
		}
		return out, err
	})
}

func (e *env) completeAdvisories(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return e.complete(c, args, func(ctx context.Context, asking *client.Client) (out []cobra.Completion, err error) {
		all, err := asking.Advisories(ctx, false)
		for _, one := range all.Items {
			out = append(out, cobra.CompletionWithDesc(string(one.ID), clean(one.Title)))
		}
		return out, err
	})
}

func (e *env) completeFeeds(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return e.complete(c, args, func(ctx context.Context, asking *client.Client) (out []cobra.Completion, err error) {
		all, err := asking.Feeds(ctx)
		for _, one := range all.Items {
			out = append(out, string(one.Name))
		}
		return out, err
	})
}
