package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

func newUrgency(e *env) *cobra.Command {
	return group("urgency", "See what is due, and decide how urgent something is", newUrgencyDue(e), newUrgencyReview(e), newUrgencyList(e), newUrgencyEnd(e))
}

type urgencyDueOptions struct{ fail, json bool }

func newUrgencyDue(e *env) *cobra.Command {
	var o urgencyDueOptions
	c := &cobra.Command{
		Use: "due POLICY", Short: "List what a policy's machines miss, and what cannot wait", Args: exactly(1), ValidArgsFunction: e.completePolicies,
		Long: `List what a policy's machines miss, how urgent that is, and what cannot wait for the
policy's next monthly cycle. Where something cannot, an emergency is proposed, with the
command that calls it. While a monthly cycle of the policy runs none is: its plan says
what it does.`,
		Example: "patchcycle urgency due servers\npatchcycle urgency due servers --fail-on-proposal --json",
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.PolicyName(args[0]))
		},
	}
	c.Flags().BoolVar(&o.fail, "fail-on-proposal", false, "exit 1 where an emergency is proposed")
	jsonFlag(c, &o.json)
	return c
}

func (o urgencyDueOptions) run(ctx context.Context, s *session, p patching.PolicyName) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	u, err := c.Urgency(ctx, p)
	if err != nil {
		return err
	}
	if o.json {
		err = orJSON(s, u, nil)
	} else {
		s.printUrgency(p, u)
	}
	if err == nil && o.fail && u.Remediation.Proposes != "" {
		return &Failure{Code: ExitFailed, Words: u.Remediation.Proposes, Quiet: true}
	}
	return err
}

func (s *session) printUrgency(p patching.PolicyName, u wire.Urgency) {
	if u.Running != "" {
		s.say("Cycle %s runs: see its plan for what it does. The one after it begins on %s.", u.Running, s.when(u.Next))
	} else {
		s.say("The next cycle of %s begins on %s.", p, s.when(u.Next))
	}
	r := u.Remediation
	if len(r.Remedies) == 0 {
		s.say("%s", r.Words)
		s.printDecided(&r)
		return
	}
	for _, w := range r.Warnings {
		s.say("Note: %s", w)
	}
	s.printRemediation(p, r)
}

type urgencyReviewOptions struct {
	subjectOptions
	answer, reason, until string
	json                  bool
}

func newUrgencyReview(e *env) *cobra.Command {
	var o urgencyReviewOptions
	c := &cobra.Command{
		Use: "review [ADVISORY]", Short: "Decide how urgent an advisory, a CVE or a package is", Args: between(0, 1),
		Long: `Decide how urgent an advisory, a CVE or a package is. Security leads do; a risk is
accepted by one who is no author of policies. Without anything to decide about it lists
what waits: emergencies that nobody decided about, and decisions to be looked at again.

Answers:
  now          at once; due from now on
  monthly      with the regular cycle; the due date stays as it is
  work-around  a work-around makes up for the patch where one is in place
  accept       nothing is installed for it until the date

The due date that the regimes set stays visible beside each of them. When the review
ends, what they say counts again. Of reviews of the very same subject the newest
counts, of others the most urgent.`,
		Example: "patchcycle urgency review\npatchcycle urgency review DSA-5888-1 --answer now --reason \"exploited at a neighbour's\" --until 2027-01-31\n" +
			"patchcycle urgency review CVE-2026-1000 --answer accept --reason \"not reachable\" --until 2027-01-31 --select '\"lab\" in tags'",
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	choiceFlag(c, &o.answer, "answer", "how it is answered; needed, as are --reason and --until, to decide", patching.AnswerNow, patching.AnswerMonthly, patching.AnswerWorkAround, patching.AnswerAccept)
	c.Flags().StringVar(&o.reason, "reason", "", "why; it goes on record")
	c.Flags().StringVar(&o.until, "until", "", "the last day on which it holds, at most a year from now: 2027-01-31")
	o.flags(c)
	jsonFlag(c, &o.json)
	return c
}

func (o urgencyReviewOptions) run(ctx context.Context, s *session, args []string) error {
	if len(args) == 0 && !slices.ContainsFunc([]string{"answer", "reason", "until", "package", "select", "machine"}, s.cmd.Flags().Changed) {
		return o.list(ctx, s)
	}
	if err := s.needs("answer", "reason", "until"); err != nil {
		return err
	}
	about, err := o.about(s, args)
	if err != nil {
		return err
	}
	until, err := s.dated("until", o.until)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := c.AddReview(ctx, wire.NewReview{Subject: about, Answer: patching.Answer(o.answer), Reason: o.reason, Until: until}, client.NewKey())
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.say("Review %s: %s for %s until %s. %s", a.Review.ID, a.Review.Words, subjectWords(a.Review.Subject), s.until(a.Review.Until), a.Words)
	s.warn(a.Warning)
	return nil
}

// list says what waits to be decided.
func (o urgencyReviewOptions) list(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	w, err := c.Waiting(ctx)
	if err != nil || o.json {
		return orJSON(s, w, err)
	}
	if len(w.Advisories)+len(w.Decisions) == 0 {
		s.note("Nothing waits to be reviewed.")
		return nil
	}
	var rows [][]string
	for _, a := range w.Advisories {
		if len(rows) < mostAdvisories {
			rows = append(rows, []string{string(a.Advisory), laneWord(a.Lane), dueWord(a.Due), answer(a.KEV), fmt.Sprint(a.Machines), string(a.Policy), cveList(a.CVEs)})
		}
	}
	if len(rows) > 0 {
		s.table([]string{"ADVISORY", "LANE", "DUE", "KEV", "MACHINES", "POLICY", "CVE"}, rows)
		if left := len(w.Advisories) + w.Unlisted - len(rows); left > 0 {
			s.say("… and %d less urgent ones; --json has %d.", left, len(w.Advisories))
		}
		s.say("To answer: patchcycle urgency review ADVISORY --answer now|monthly|work-around|accept --reason WHY --until DATE")
	}
	s.printAgenda(w.Decisions)
	return nil
}

type urgencyListOptions struct{ all, json bool }

func newUrgencyList(e *env) *cobra.Command {
	var o urgencyListOptions
	c := &cobra.Command{
		Use: "list", Short: "List what was decided about urgency, what ends soon first", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "those that have ended, too")
	jsonFlag(c, &o.json)
	return c
}

func (o urgencyListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.Reviews(ctx, o.all)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, r := range all.Items {
		rows = append(rows, []string{string(r.ID), r.Words, subjectWords(r.Subject), s.until(r.Until), string(r.By), r.Reason, stateWords(r.Term)})
	}
	s.list(rows, "Nothing was decided: what the regimes say counts.", "REVIEW", "ANSWER", "ABOUT", "UNTIL", "BY", "REASON", "STATE")
	return nil
}

type endOptions struct {
	reason string
	json   bool
}

func newUrgencyEnd(e *env) *cobra.Command {
	var o endOptions
	c := &cobra.Command{
		Use: "end REVIEW", Short: "End a review of urgency before its date", Args: exactly(1), ValidArgsFunction: e.completeReviews,
		Example: "patchcycle urgency end review-1f2e3d4c5b --reason \"the fix was mended\"",
		RunE: func(c *cobra.Command, args []string) error {
			s := e.session(c)
			asking, err := o.ready(s)
			if err != nil {
				return err
			}
			a, err := asking.EndReview(c.Context(), patching.DecisionID(args[0]), o.reason)
			if err != nil || o.json {
				return orJSON(s, a, err)
			}
			s.say("Review %s is ended. %s", a.Review.ID, a.Words)
			return nil
		},
	}
	o.flags(c)
	return c
}

func (o *endOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.reason, "reason", "", "why; it goes on record")
	required(c, "reason")
	jsonFlag(c, &o.json)
}

func (o *endOptions) ready(s *session) (*client.Client, error) {
	if err := s.needs("reason"); err != nil {
		return nil, err
	}
	return s.client()
}
