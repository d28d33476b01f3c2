package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
)

type policyInput struct{ PolicyPath }

type policyPastInput struct {
	PolicyPath
	Version string `path:"version" doc:"The version's address, or the beginning of its digits."`
}

type calendarInput struct {
	PolicyPath
	Count int `query:"count" minimum:"1" maximum:"120" default:"6" doc:"How many starts to show."`
}

type lintInput struct {
	File    string `query:"file" maxLength:"300" doc:"The file's name, for messages."`
	RawBody []byte `contentType:"application/yaml"`
}

type applyInput struct {
	PolicyPath
	File    string `query:"file" maxLength:"300" doc:"The file's name, for messages."`
	Ahead   bool   `query:"ahead" doc:"The machines that it is about come later: that some are missing is a warning."`
	RawBody []byte `contentType:"application/yaml"`
}

func (s *server) addPolicies(api huma.API) {
	handle(s, api, about("policies", "list-policies", http.MethodGet, "/policies", "List the policies in force"), s.listPolicies)
	handle(s, api, about("policies", "get-policy", http.MethodGet, "/policies/{policy}", "Show the policy in force"), s.getPolicy)
	handle(s, api, about("policies", "get-policy-past", http.MethodGet, "/policies/{policy}/versions/{version}", "Show a version of a policy"), s.getPolicyPast)
	handle(s, api, about("policies", "get-calendar", http.MethodGet, "/policies/{policy}/calendar", "Show when the policy's monthly cycle starts"), s.calendar)
	handle(s, api, about("policies", "get-urgency", http.MethodGet, "/policies/{policy}/urgency", "Show what a policy's machines miss, and what cannot wait for its next cycle"), s.urgency)

	op := about("policies", "lint-policy", http.MethodPost, "/policies/lint", "Say what is wrong with a policy, tried on the machines that are known")
	op.Description = "Changes nothing."
	op.MaxBodyBytes = maxPolicy
	handle(s, api, op, s.lint)

	op = about("policies", "apply-policy", http.MethodPut, "/policies/{policy}", "Put a policy in force")
	op.Description = "With an error in it, the one in force stays. Cycles that run go on under the version that they began with."
	op.MaxBodyBytes = maxPolicy
	handle(s, api, op, s.apply)
}

func (s *server) listPolicies(ctx context.Context, _ *struct{}) (wire.Policies, error) {
	out := wire.Policies{Items: []wire.Policy{}}
	all, err := s.Store.Policies(ctx)
	who := account(ctx)
	for _, p := range all {
		if who.Covers(p.Name) || who.HasSites() {
			out.Items = append(out.Items, policyShape(p, false))
		}
	}
	return out, err
}

func (s *server) getPolicy(ctx context.Context, in *policyInput) (wire.Policy, error) {
	p, err := s.Store.Policy(ctx, in.Policy)
	return policyShape(p, true), absent(aPolicy, in.Policy, err)
}

func (s *server) getPolicyPast(ctx context.Context, in *policyPastInput) (wire.Policy, error) {
	all, err := s.Store.PolicyVersions(ctx, in.Policy)
	if err != nil {
		return wire.Policy{}, err
	}
	for _, p := range all {
		if string(p.Digest) == in.Version || len(in.Version) >= 8 && p.Digest.Short() == in.Version {
			return policyShape(p, true), nil
		}
	}
	p := notFound(fmt.Sprintf("Policy %s has no version %s.", in.Policy, in.Version))
	return wire.Policy{}, p
}

// lint says what is wrong, as far as text, time and the known machines tell.
func (s *server) lint(ctx context.Context, in *lintInput) (wire.Lint, error) {
	p, problems, err := s.judge(ctx, in.File, in.RawBody, false)
	if err != nil {
		return wire.Lint{}, err
	}
	out := wire.Lint{OK: !policy.HasErrors(problems), Problems: wire.PolicyProblems(problems)}
	if p != nil {
		out.Policy = p.Name
	}
	return out, nil
}

// judge reads a policy and finds what is wrong with it. p is nil where the text
// alone has errors.
func (s *server) judge(ctx context.Context, file string, text []byte, ahead bool) (p *policy.Policy, problems []policy.Problem, err error) {
	if file == "" {
		file = "policy"
	}
	p, err = policy.Parse(file, text)
	var bad *policy.Problems
	if errors.As(err, &bad) {
		return nil, bad.Problems(), nil
	}
	if err != nil {
		return nil, nil, err
	}
	problems = append(problems, p.Warnings()...)
	problems = append(problems, policy.CheckDates(p, s.Now())...)
	assets, err := s.Store.Assets(ctx, store.AssetFilter{})
	if err != nil || len(assets) == 0 {
		return p, problems, err
	}
	fleet := policy.Check(p, assets)
	for i := range fleet {
		if ahead {
			fleet[i].Severity = policy.Warning
		}
	}
	return p, append(problems, fleet...), nil
}

func (s *server) apply(ctx context.Context, in *applyInput) (wire.Applied, error) {
	p, problems, err := s.judge(ctx, in.File, in.RawBody, in.Ahead)
	if err != nil {
		return wire.Applied{}, err
	}
	if policy.HasErrors(problems) {
		return wire.Applied{}, &wire.Problem{
			Status: http.StatusUnprocessableEntity, Code: wire.CodeBadPolicy,
			Detail: fmt.Sprintf("The policy cannot be applied: %s. What was in force stays.", policy.Count(problems)),
			WayOut: "Mend the file; \"patchcycle policy lint\" looks at it without a server.",
			Policy: wire.PolicyProblems(problems),
		}
	}
	if p.Name != in.Policy {
		return wire.Applied{}, invalid("path.policy", "the document is policy %q, not %q", p.Name, in.Policy)
	}
	digest := patching.DigestOf(in.RawBody)
	was, err := s.Store.Policy(ctx, p.Name)
	switch {
	case err == nil && was.Digest == digest:
		return wire.Applied{Policy: policyShape(was, false), Warnings: wire.PolicyProblems(problems), Words: "It was in force already: nothing changed."}, nil
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return wire.Applied{}, err
	}
	version := store.PolicyVersion{Name: p.Name, Digest: digest, Source: in.RawBody, Applied: s.Now().UTC(), By: account(ctx).Name}
	err = s.change(ctx, "apply policy", string(p.Name), "version "+string(digest), func() error { return s.Store.ApplyPolicy(ctx, version) })
	if err != nil {
		return wire.Applied{}, err
	}
	return wire.Applied{
		Policy: policyShape(version, false), Changed: true, Warnings: wire.PolicyProblems(problems),
		Words: fmt.Sprintf("Policy %s is in force in version %s. Cycles that run go on under the version that they began with.", p.Name, digest.Short()),
	}, nil
}

// inForce reads the policy in force.
func (s *server) inForce(ctx context.Context, name patching.PolicyName) (*policy.Policy, error) {
	v, err := s.Store.Policy(ctx, name)
	if err != nil {
		return nil, absent(aPolicy, name, err)
	}
	p, err := policy.Adopted("policy "+string(name), v.Source)
	if err != nil {
		return nil, conflict(fmt.Sprintf("Policy %s was applied by another version of patchcycle, and this one cannot read it: %s", name, err), "Mend it and apply it again.")
	}
	return p, nil
}

func (s *server) calendar(ctx context.Context, in *calendarInput) (wire.Calendar, error) {
	p, err := s.inForce(ctx, in.Policy)
	if err != nil {
		return wire.Calendar{}, err
	}
	m, err := p.Calendar.Monthly()
	if err != nil {
		return wire.Calendar{}, err
	}
	out := wire.Calendar{Policy: p.Name, Zone: m.Zone, Next: []time.Time{}, Words: calendarWords(p.Calendar)}
	at := s.Now()
	for range in.Count {
		at, err = m.Next(at)
		if err != nil {
			return out, err
		}
		there, err := m.Exists(at.Year(), at.Month())
		if err != nil {
			return out, err
		}
		if !there {
			out.Notes = append(out.Notes, fmt.Sprintf("In %s the clocks of %s jump over %s: no cycle starts by itself.", at.Format("January 2006"), m.Zone, p.Calendar.At))
			continue
		}
		out.Next = append(out.Next, at)
	}
	return out, nil
}

func calendarWords(c policy.Calendar) string {
	nth := map[int]string{1: "first", 2: "second", 3: "third", 4: "fourth"}[c.Nth]
	words := fmt.Sprintf("the %s %s of the month", nth, c.Weekday)
	switch c.Plus {
	case 0:
	case 1:
		words += " and one day"
	default:
		words += fmt.Sprintf(" and %d days", c.Plus)
	}
	return fmt.Sprintf("%s, at %s in %s", words, c.At, c.Zone)
}

func policyShape(p store.PolicyVersion, source bool) wire.Policy {
	out := wire.Policy{Name: p.Name, Version: p.Digest, Applied: p.Applied, By: p.By}
	if source {
		out.Source = string(p.Source)
	}
	return out
}
