package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// policyName is the demo's policy.
const policyName patching.PolicyName = "demo"

// people are those who act in the demo. Author and approver differ: nobody
// approves what they started.
type people struct {
	admin, author, approver *client.Client
	tokens                  map[patching.AccountName]string
}

const (
	author   patching.AccountName = "ana"
	approver patching.AccountName = "ben"
	operator patching.AccountName = "olga"
	auditor  patching.AccountName = "aud"
)

// meet makes the accounts and the policy, once a folder.
func (d *demo) meet(ctx context.Context) error {
	token, err := os.ReadFile(d.server.Config.AdminToken())
	if err != nil {
		return fmt.Errorf("the administrator's token: %w", err)
	}
	if d.people.admin, err = d.client(strings.TrimSpace(string(token))); err != nil {
		return err
	}
	if d.people.tokens, err = d.accounts(ctx); err != nil {
		return err
	}
	if d.people.author, err = d.client(d.people.tokens[author]); err != nil {
		return err
	}
	if d.people.approver, err = d.client(d.people.tokens[approver]); err != nil {
		return err
	}
	text, err := policy.Example("demo")
	if err != nil {
		return err
	}
	_, err = d.people.author.ApplyPolicy(ctx, policyName, "demo.yaml", text, false)
	return err
}

func (d *demo) client(token string) (*client.Client, error) {
	return client.New(client.Options{Server: "unix://" + d.server.Config.Socket(), Token: token})
}

func (d *demo) tokensFile() string { return filepath.Join(d.Dir, "people.json") }

// accounts makes the people that are missing. A token is shown once, so each is
// written down before the next account is made.
func (d *demo) accounts(ctx context.Context) (map[patching.AccountName]string, error) {
	tokens := map[patching.AccountName]string{}
	text, err := os.ReadFile(d.tokensFile())
	if err == nil {
		err = json.Unmarshal(text, &tokens)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the demo's people: %w", err)
	}
	for _, p := range []struct {
		name  patching.AccountName
		roles []patching.Role
	}{
		{author, []patching.Role{patching.RoleAuthor}},
		{approver, []patching.Role{patching.RoleApprover}},
		{operator, []patching.Role{patching.RoleOperator}},
		{auditor, []patching.Role{patching.RoleAuditor}},
	} {
		if tokens[p.name] != "" {
			continue
		}
		made, err := d.people.admin.AddAccount(ctx, wire.NewAccount{Name: p.name, Roles: p.roles})
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", p.name, err)
		}
		tokens[p.name] = made.Token
		if err := writeJSON(d.tokensFile(), tokens); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// writeJSON replaces a file that only its owner can read.
func writeJSON(file string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	next := file + ".new"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(next, file)
}
