package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

const accountColumns = "name, roles, scopes, ssh_keys, token, created, revoked"

// newest restricts accounts a to the newest version of each.
const newest = " a.version = (SELECT MAX(b.version) FROM accounts b WHERE b.name = a.name)"

// PutAccount appends a version of the account. Earlier versions stay, so that
// who held which role on a past day can be asked (G6). Revoking is a version
// with Revoked set.
func (s *Store) PutAccount(ctx context.Context, a patching.Account) error {
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		var version int64
		if err := t.row(ctx, []any{&version}, "SELECT COALESCE(MAX(version), 0) FROM accounts WHERE name = ?", string(a.Name)); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO accounts (name, version, roles, scopes, ssh_keys, token, created, revoked, recorded)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			string(a.Name), version+1, jsonText(a.Roles), jsonText(a.Scopes), jsonText(a.SSHKeys), string(a.Token),
			micros(a.Created), micros(a.Revoked), micros(clock()))
		return err
	})
	if err != nil {
		return fmt.Errorf("account %s: %w", a.Name, err)
	}
	return nil
}

// Account returns the newest version of an account, revoked ones too.
func (s *Store) Account(ctx context.Context, name patching.AccountName) (patching.Account, error) {
	a, err := one(ctx, s.reader(), scanAccount,
		"SELECT "+accountColumns+" FROM accounts WHERE name = ? ORDER BY version DESC LIMIT 1", string(name))
	if err != nil {
		return a, fmt.Errorf("account %s: %w", name, err)
	}
	return a, nil
}

// AccountByToken returns the account that the token opens now. A token of an
// earlier version, of a revoked account, or no token at all opens nothing.
func (s *Store) AccountByToken(ctx context.Context, token patching.Digest) (patching.Account, error) {
	if token == "" {
		return patching.Account{}, fmt.Errorf("account by token: %w", ErrNotFound)
	}
	a, err := one(ctx, s.reader(), scanAccount,
		"SELECT "+accountColumns+" FROM accounts a WHERE a.token = ? AND a.revoked = 0 AND"+newest, string(token))
	if err != nil {
		return a, fmt.Errorf("account by token: %w", err)
	}
	return a, nil
}

// Accounts returns all accounts by name as they stood at a time, or as they
// stand now if it is zero. Revoked ones are among them.
func (s *Store) Accounts(ctx context.Context, asOf time.Time) ([]patching.Account, error) {
	if asOf.IsZero() {
		return s.accounts(ctx, newest)
	}
	return s.accounts(ctx, " a.version = (SELECT MAX(b.version) FROM accounts b WHERE b.name = a.name AND b.recorded <= ?)", micros(asOf))
}

func (s *Store) accounts(ctx context.Context, which string, args ...any) ([]patching.Account, error) {
	out, err := all(ctx, s.reader(), scanAccount, "SELECT "+accountColumns+" FROM accounts a WHERE"+which+" ORDER BY a.name", args...)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return out, nil
}

func scanAccount(row scanner) (patching.Account, error) {
	var a patching.Account
	err := row.Scan(&a.Name, document{&a.Roles}, document{&a.Scopes}, document{&a.SSHKeys}, &a.Token,
		instant{&a.Created}, instant{&a.Revoked})
	return a, err
}
