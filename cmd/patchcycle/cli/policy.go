package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

func newPolicy(e *env) *cobra.Command {
	return group("policy", "Check policies, put them in force, look at them",
		newPolicyLint(e), newPolicyApply(e), newPolicyShow(e), newPolicyList(e))
}

type policyLintOptions struct {
	fleet bool
	json  bool
}

func newPolicyLint(e *env) *cobra.Command {
	var o policyLintOptions
	c := &cobra.Command{
		Use: "lint FILE", Short: "Say what is wrong with a policy", Args: exactly(1),
		Long: `Say what is wrong with a policy: where, and the way out. Changes nothing, and needs
no server unless --fleet asks one for its machines. FILE may be - for standard
input. Ends with code 1 if the policy cannot be applied.`,
		Example: "patchcycle policy lint servers.yaml\npatchcycle policy lint --fleet servers.yaml",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args[0]) },
	}
	c.Flags().BoolVar(&o.fleet, "fleet", false, "also try it on the machines that the server knows")
	jsonFlag(c, &o.json)
	return c
}

func (o policyLintOptions) run(ctx context.Context, s *session, file string) error {
	text, err := s.read(file)
	if err != nil {
		return err
	}
	var lint wire.Lint
	if o.fleet {
		c, err := s.client()
		if err != nil {
			return err
		}
		if lint, err = c.LintPolicy(ctx, file, text); err != nil {
			return err
		}
	} else if _, lint, err = s.lint(file, text); err != nil {
		return err
	}
	if o.json {
		if err := s.json(lint); err != nil {
			return err
		}
	} else {
		s.printProblems(lint)
	}
	if !lint.OK {
		return &Failure{Code: ExitFailed, Words: file + " cannot be applied", Quiet: true}
	}
	return nil
}

// lint says what is wrong as far as text and date tell.
func (s *session) lint(file string, text []byte) (*policy.Policy, wire.Lint, error) {
	p, err := policy.Parse(file, text)
	var bad *policy.Problems
	switch {
	case errors.As(err, &bad):
		return nil, wire.Lint{Problems: wire.PolicyProblems(bad.Problems())}, nil
	case err != nil:
		return nil, wire.Lint{}, err
	}
	found := append(p.Warnings(), policy.CheckDates(p, s.Now())...)
	return p, wire.Lint{OK: true, Policy: p.Name, Problems: wire.PolicyProblems(found)}, nil
}

func (s *session) printProblems(lint wire.Lint) {
	all := make([]policy.Problem, 0, len(lint.Problems))
	for _, p := range lint.Problems {
		all = append(all, policy.Problem(p))
		fmt.Fprint(s.out, problemText(policy.Problem(p)))
	}
	if len(all) > 0 {
		s.say("%s", policy.Count(all))
	}
	if lint.OK {
		s.say("Policy %s can be applied.", lint.Policy)
	}
}

type policyApplyOptions struct {
	ahead bool
	json  bool
}

func newPolicyApply(e *env) *cobra.Command {
	var o policyApplyOptions
	c := &cobra.Command{
		Use: "apply FILE", Short: "Put a policy in force", Args: exactly(1),
		Long: `Put a policy in force. With an error in it, the one in force stays. Cycles that
run go on under the version that they began with.`,
		Example: "patchcycle policy apply servers.yaml",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args[0]) },
	}
	c.Flags().BoolVar(&o.ahead, "ahead", false, "the machines that it is about come later: that some are missing is no error")
	jsonFlag(c, &o.json)
	return c
}

func (o policyApplyOptions) run(ctx context.Context, s *session, file string) error {
	text, err := s.read(file)
	if err != nil {
		return err
	}
	p, lint, err := s.lint(file, text)
	if err != nil {
		return err
	}
	if !lint.OK {
		s.out = s.errs
		s.printProblems(lint)
		return Fail(ExitFailed, "Mend the file and apply it again.", "nothing changed: the policy has errors")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	applied, err := c.ApplyPolicy(ctx, p.Name, file, text, o.ahead)
	if err != nil {
		return err
	}
	if o.json {
		return s.json(applied)
	}
	for _, w := range applied.Warnings {
		fmt.Fprint(s.errs, problemText(policy.Problem(w)))
	}
	s.say("%s", applied.Words)
	return nil
}

type policyShowOptions struct {
	version string
	json    bool
}

func newPolicyShow(e *env) *cobra.Command {
	var o policyShowOptions
	c := &cobra.Command{
		Use: "show NAME", Short: "Print the policy in force, as it was applied", Args: exactly(1), ValidArgsFunction: e.completePolicies,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.PolicyName(args[0]))
		},
	}
	c.Flags().StringVar(&o.version, "version", "", "a past version, by its address or the first twelve digits of it")
	jsonFlag(c, &o.json)
	return c
}

func (o policyShowOptions) run(ctx context.Context, s *session, name patching.PolicyName) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	p, err := c.Policy(ctx, name, o.version)
	if err != nil {
		return err
	}
	if o.json {
		return s.json(p)
	}
	s.note("Policy %s, version %s, applied by %s on %s.", p.Name, p.Version.Short(), p.By, s.when(p.Applied))
	return s.document(p.Source)
}

type policyListOptions struct{ json bool }

func newPolicyList(e *env) *cobra.Command {
	var o policyListOptions
	c := &cobra.Command{
		Use: "list", Short: "List the policies in force", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	jsonFlag(c, &o.json)
	return c
}

func (o policyListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.Policies(ctx)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, p := range all.Items {
		rows = append(rows, []string{string(p.Name), p.Version.Short(), s.when(p.Applied), string(p.By)})
	}
	s.list(rows, "No policy is in force: apply one with \"patchcycle policy apply FILE\".", "POLICY", "VERSION", "APPLIED", "BY")
	return nil
}

// orJSON prints v unless there is an error.
func orJSON(s *session, v any, err error) error {
	if err != nil {
		return err
	}
	return s.json(v)
}

// list prints rows, or says that there are none; none tells what that means where
// nothing was left out by the command's flags.
func (s *session) list(rows [][]string, none string, headers ...string) {
	by := narrowed(s.cmd)
	switch {
	case len(rows) == 0 && by != "":
		s.note("Nothing matches %s. See all: %s", by, strings.Join(append([]string{s.cmd.CommandPath()}, s.cmd.Flags().Args()...), " "))
		return
	case len(rows) == 0:
		s.note("%s", none)
		return
	}
	s.table(headers, rows)
}
