package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

type accountsInput struct {
	AsOf time.Time `query:"as_of" doc:"Who held which role then; none: now."`
}

type addAccountInput struct{ Body wire.NewAccount }

type revokeAccountInput struct {
	Account patching.AccountName `path:"account"`
	Body    wire.Because
}

func (s *server) addAccounts(api huma.API) {
	handle(s, api, about("accounts", "list-accounts", http.MethodGet, "/accounts", "List who holds, or held, which role"), s.listAccounts)
	op := about("accounts", "add-account", http.MethodPost, "/accounts", "Add an account")
	op.Description = "Its token is shown once and not kept. To change roles, revoke the account and add it again: both stay on record."
	op.DefaultStatus = http.StatusCreated
	handle(s, api, op, s.addAccount)
	handle(s, api, about("accounts", "revoke-account", http.MethodPost, "/accounts/{account}/revoke", "Take an account and its token out of use"), s.revokeAccount)
}

func (s *server) listAccounts(ctx context.Context, in *accountsInput) (wire.Accounts, error) {
	out := wire.Accounts{Items: []wire.Account{}}
	all, err := s.Store.Accounts(ctx, in.AsOf)
	for _, a := range all {
		out.Items = append(out.Items, accountShape(a))
	}
	return out, err
}

func (s *server) addAccount(ctx context.Context, in *addAccountInput) (wire.AddedAccount, error) {
	a := patching.Account{Name: in.Body.Name, Roles: in.Body.Roles, Scopes: in.Body.Scopes, SSHKeys: in.Body.SSHKeys, Created: s.Now().UTC()}
	if len(a.Scopes) == 0 {
		a.Scopes = []string{"*"}
	}
	if err := checkAccount(a); err != nil {
		return wire.AddedAccount{}, err
	}
	was, err := s.Store.Account(ctx, a.Name)
	switch {
	case err == nil && was.Revoked.IsZero():
		return wire.AddedAccount{}, conflict(fmt.Sprintf("There is an account %s already.", a.Name), "Revoke it first to give it other roles or a new token: its past stays on record.")
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return wire.AddedAccount{}, err
	}
	token := newToken()
	a.Token = patching.DigestOf([]byte(token))
	words := fmt.Sprintf("%s; limited to %s; %d keys", roleWords(a.Roles), join(a.Scopes), len(a.SSHKeys))
	if err := s.change(ctx, "add account", string(a.Name), words, func() error { return s.Store.PutAccount(ctx, a) }); err != nil {
		return wire.AddedAccount{}, err
	}
	return wire.AddedAccount{Account: accountShape(a), Token: token}, nil
}

// reserved are the names under which the product itself acts on record.
var reserved = []patching.AccountName{"patchcycle", "system"}

func checkAccount(a patching.Account) error {
	if !patching.ValidName(string(a.Name)) || slices.Contains(reserved, a.Name) {
		return invalid("body.name", "%q cannot name an account: take lower-case letters, digits, dots and dashes, and not %s", a.Name, join(reserved))
	}
	if len(a.Roles) == 0 {
		return invalid("body.roles", "an account needs a role: %s", join(patching.Roles()))
	}
	for _, r := range a.Roles {
		if !r.Valid() {
			return invalid("body.roles", "%q is no role; there are %s", r, join(patching.Roles()))
		}
	}
	for _, scope := range a.Scopes {
		kind, name, _ := strings.Cut(scope, ":")
		if scope != "*" && (kind != "policy" && kind != "site" || !patching.ValidName(name)) {
			return invalid("body.scopes", "%q is no scope: write *, policy:<name> or site:<name>", scope)
		}
	}
	for i, key := range a.SSHKeys {
		if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(key)); err != nil || len(rest) > 0 {
			return invalid("body.ssh_keys", "key %d is no public key of OpenSSH: give one line of a .pub file", i+1)
		}
	}
	return nil
}

func (s *server) revokeAccount(ctx context.Context, in *revokeAccountInput) (wire.Account, error) {
	a, err := s.Store.Account(ctx, in.Account)
	if err != nil {
		return wire.Account{}, absent(anAccount, in.Account, err)
	}
	if !a.Revoked.IsZero() {
		return accountShape(a), nil
	}
	if last, err := s.lastAdmin(ctx, a); err != nil {
		return wire.Account{}, err
	} else if last {
		return wire.Account{}, conflict(fmt.Sprintf("%s is the last administrator: nobody could add an account any more.", a.Name), "Add another administrator first.")
	}
	a.Revoked = s.Now().UTC()
	if err := s.change(ctx, "revoke account", string(a.Name), in.Body.Reason, func() error { return s.Store.PutAccount(ctx, a) }); err != nil {
		return wire.Account{}, err
	}
	return accountShape(a), nil
}

func (s *server) lastAdmin(ctx context.Context, a patching.Account) (bool, error) {
	admin := func(a patching.Account) bool {
		return a.Revoked.IsZero() && rules()["add-account"].refuse(a, "") == ""
	}
	if !admin(a) {
		return false, nil
	}
	all, err := s.Store.Accounts(ctx, time.Time{})
	others := slices.ContainsFunc(all, func(b patching.Account) bool { return b.Name != a.Name && admin(b) })
	return !others, err
}

func accountShape(a patching.Account) wire.Account {
	return wire.Account{Name: a.Name, Roles: a.Roles, Scopes: a.Scopes, SSHKeys: a.SSHKeys, Created: a.Created, Revoked: a.Revoked}
}
