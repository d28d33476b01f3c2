package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/measure"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// people act through the API, as people do.
type people struct {
	admin, author, approver *client.Client
	auditor                 string // a token
}

func meet(ctx context.Context, s *server) (*people, error) {
	token, err := os.ReadFile(filepath.Join(s.dir, "admin.token"))
	if err != nil {
		return nil, err
	}
	as := func(token string) (*client.Client, error) {
		return client.New(client.Options{Server: "unix://" + filepath.Join(s.dir, "patchcycle.sock"), Token: token})
	}
	var p people
	if p.admin, err = as(strings.TrimSpace(string(token))); err != nil {
		return nil, err
	}
	tokens := map[patching.Role]string{}
	for _, role := range []patching.Role{patching.RoleAuthor, patching.RoleApprover, patching.RoleAuditor} {
		made, err := p.admin.AddAccount(ctx, wire.NewAccount{Name: patching.AccountName(role), Roles: []patching.Role{role}})
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", role, err)
		}
		tokens[role] = made.Token
	}
	p.auditor = tokens[patching.RoleAuditor]
	if p.author, err = as(tokens[patching.RoleAuthor]); err != nil {
		return nil, err
	}
	p.approver, err = as(tokens[patching.RoleApprover])
	return &p, err
}

// prepare applies the policy, and invites a fleet.
func (p *people) prepare(ctx context.Context, profile truth.Profile, dir string) (profileFile, tokensFile string, err error) {
	text, err := renderPolicy(profile.Sites)
	if err != nil {
		return "", "", err
	}
	if _, err := p.author.ApplyPolicy(ctx, policyName, "bench.yaml", text, false); err != nil {
		return "", "", fmt.Errorf("apply the policy: %w", err)
	}
	return p.invite(ctx, profile, dir)
}

// invite makes the enrolment tokens of a fleet and writes what it is started with.
func (p *people) invite(ctx context.Context, profile truth.Profile, dir string) (profileFile, tokensFile string, err error) {
	tokens := map[patching.SiteName]string{}
	for _, s := range profile.Sites {
		made, err := p.admin.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: s.Name, Uses: profile.Machines, Hours: 24, AutoAccept: true})
		if err != nil {
			return "", "", fmt.Errorf("enrolment token of %s: %w", s.Name, err)
		}
		tokens[s.Name] = made.Token
	}
	profileFile, tokensFile = filepath.Join(dir, "profile.json"), filepath.Join(dir, "tokens.json")
	if err := measure.Keep(profileFile, profile); err != nil {
		return "", "", err
	}
	return profileFile, tokensFile, measure.Keep(tokensFile, tokens)
}
