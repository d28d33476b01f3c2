// Package trial sets up what a server is tried with, through its API as people
// would: the people, a policy, the machines' tokens and a simulated fleet in a
// process of its own. Every step takes up what an earlier, killed run left.
package trial

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// PolicyName is the policy of a trial: the demo's.
const PolicyName patching.PolicyName = "demo"

// Those who act in a trial. Author and approver differ: nobody approves what
// they started.
const (
	Author   patching.AccountName = "ana"
	Approver patching.AccountName = "ben"
	Operator patching.AccountName = "olga"
	Auditor  patching.AccountName = "aud"
)

// People can act on the server of a data directory.
type People struct {
	Admin, Author, Approver *client.Client
	Tokens                  map[patching.AccountName]string
}

// Meet makes the accounts that are missing and applies the policy. Silence is how
// long a machine may say nothing; 0: as long as the policy says.
func Meet(ctx context.Context, dir string, silence time.Duration) (*People, error) {
	p, err := Introduce(ctx, dir)
	if err != nil {
		return nil, err
	}
	text, err := policy.Example(string(PolicyName))
	if err != nil {
		return nil, err
	}
	if silence > 0 {
		old := []byte("\nsilence: 10s\n")
		if !bytes.Contains(text, old) {
			return nil, fmt.Errorf("the policy %s no longer says %q", PolicyName, bytes.TrimSpace(old))
		}
		text = bytes.Replace(text, old, fmt.Appendf(nil, "\nsilence: %s\n", silence), 1)
	}
	_, err = p.Author.ApplyPolicy(ctx, PolicyName, "demo.yaml", text, false)
	return p, err
}

// Introduce makes the accounts that are missing.
func Introduce(ctx context.Context, dir string) (*People, error) {
	token, err := os.ReadFile(filepath.Join(dir, "admin.token"))
	if err != nil {
		return nil, fmt.Errorf("the administrator's token: %w", err)
	}
	admin, err := As(dir, strings.TrimSpace(string(token)))
	if err != nil {
		return nil, err
	}
	tokens, err := accounts(ctx, admin, dir)
	if err != nil {
		return nil, err
	}
	p := &People{Admin: admin, Tokens: tokens}
	if p.Author, err = As(dir, tokens[Author]); err != nil {
		return nil, err
	}
	p.Approver, err = As(dir, tokens[Approver])
	return p, err
}

// As asks the server of a data directory with a token.
func As(dir, token string) (*client.Client, error) {
	socket, err := filepath.Abs(filepath.Join(dir, "patchcycle.sock"))
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	return client.New(client.Options{Server: (&url.URL{Scheme: "unix", Path: socket}).String(), Token: token})
}

// Tokens returns what Meet wrote down: nothing before it did.
func Tokens(dir string) (map[patching.AccountName]string, error) {
	tokens := map[patching.AccountName]string{}
	text, err := os.ReadFile(tokensFile(dir))
	if err == nil {
		err = json.Unmarshal(text, &tokens)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the tokens of the people: %w", err)
	}
	return tokens, nil
}

func tokensFile(dir string) string { return filepath.Join(dir, "people.json") }

// accounts makes the people that are missing. A token is shown once, so each is
// written down before the next account is made.
func accounts(ctx context.Context, admin *client.Client, dir string) (map[patching.AccountName]string, error) {
	tokens, err := Tokens(dir)
	if err != nil {
		return nil, err
	}
	for _, p := range []wire.NewAccount{
		{Name: Author, Roles: []patching.Role{patching.RoleAuthor}},
		{Name: Approver, Roles: []patching.Role{patching.RoleApprover}},
		{Name: Operator, Roles: []patching.Role{patching.RoleOperator}},
		{Name: Auditor, Roles: []patching.Role{patching.RoleAuditor}},
	} {
		if tokens[p.Name] != "" {
			continue
		}
		made, err := add(ctx, admin, p)
		if err != nil {
			return nil, fmt.Errorf("account %s: %w", p.Name, err)
		}
		tokens[p.Name] = made.Token
		if err := writeJSON(tokensFile(dir), tokens); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// add makes an account. One that is there already was made just before a kill,
// and nobody has its token: it is replaced.
func add(ctx context.Context, admin *client.Client, a wire.NewAccount) (wire.AddedAccount, error) {
	made, err := admin.AddAccount(ctx, a)
	if problem := (*wire.Problem)(nil); !errors.As(err, &problem) || problem.Code != wire.CodeConflict {
		return made, err
	}
	if _, err := admin.RevokeAccount(ctx, a.Name, "its token was lost"); err != nil {
		return made, err
	}
	return admin.AddAccount(ctx, a)
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
