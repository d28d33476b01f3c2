package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newUser(e *env) *cobra.Command {
	return group("user", "Say who may do what", newUserAdd(e), newUserList(e), newUserRevoke(e))
}

type userAddOptions struct {
	roles, scopes, keys []string
	json                bool
}

func newUserAdd(e *env) *cobra.Command {
	var o userAddOptions
	c := &cobra.Command{
		Use: "add NAME", Short: "Add an account and print its token", Args: exactly(1),
		Long: `Add an account and print its token, which is not kept: hand it over by a safe way.
To change somebody's roles or token, revoke the account and add it again: both
stay on record.

Roles:
  admin          accounts, policies, the engine; cannot approve
  author         policies and cycles
  approver       approves plans that others are the authors of
  operator       starts, pauses, stops; machines and tasks
  site-admin     machines and tasks of a site
  security-lead  decides urgency, accepts risks, calls emergencies
  auditor        reads everything, changes nothing`,
		Example: "patchcycle user add ben --role approver --scope policy:servers --ssh-key ben.pub",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args[0]) },
	}
	f := c.Flags()
	f.StringSliceVar(&o.roles, "role", nil, "what the person may do: "+words(patching.Roles()))
	f.StringSliceVar(&o.scopes, "scope", []string{"*"}, "where: *, policy:NAME, site:NAME")
	f.StringArrayVar(&o.keys, "ssh-key", nil, "file with a public key of OpenSSH, kept for signatures")
	required(c, "role")
	jsonFlag(c, &o.json)
	return c
}

func (o userAddOptions) run(ctx context.Context, s *session, name string) error {
	n := wire.NewAccount{Name: patching.AccountName(name), Scopes: o.scopes}
	for _, r := range o.roles {
		if !patching.Role(r).Valid() {
			return usage(s.cmd, "%q is no role; there are %s", r, words(patching.Roles()))
		}
		n.Roles = append(n.Roles, patching.Role(r))
	}
	if len(n.Roles) == 0 {
		return usage(s.cmd, "say what the person may do: --role, one of %s", words(patching.Roles()))
	}
	for _, file := range o.keys {
		text, err := s.read(file)
		if err != nil {
			return err
		}
		n.SSHKeys = append(n.SSHKeys, strings.TrimSpace(string(text)))
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	added, err := c.AddAccount(ctx, n)
	if err != nil || o.json {
		return orJSON(s, added, err)
	}
	limits := ""
	if !slices.Contains(added.Account.Scopes, "*") {
		limits = ", limited to " + words(added.Account.Scopes)
	}
	s.note("%s is %s%s. The token is not shown again; it goes into PATCHCYCLE_TOKEN.", added.Account.Name, words(added.Account.Roles), limits)
	s.say("%s", added.Token)
	return nil
}

type userListOptions struct {
	asOf string
	json bool
}

func newUserList(e *env) *cobra.Command {
	var o userListOptions
	c := &cobra.Command{
		Use: "list", Short: "List who holds, or held, which role", Args: exactly(0),
		Example: "patchcycle user list --as-of 2026-03-31",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().StringVar(&o.asOf, "as-of", "", "as it was then: 2026-03-31 (the end of that day), \"2026-03-31 15:04\", or RFC 3339")
	jsonFlag(c, &o.json)
	return c
}

func (o userListOptions) run(ctx context.Context, s *session) error {
	at, err := moment(o.asOf, s.zone)
	if err != nil {
		return usage(s.cmd, "--as-of %q: write 2026-03-31, \"2026-03-31 15:04\", or RFC 3339", o.asOf)
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.Accounts(ctx, at)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, a := range all.Items {
		rows = append(rows, []string{string(a.Name), words(a.Roles), words(a.Scopes), phrase.Count(len(a.SSHKeys), "key"), s.when(a.Created), s.when(a.Revoked)})
	}
	s.list(rows, "There was nobody.", "NAME", "ROLES", "LIMITED TO", "KEYS", "ADDED", "REVOKED")
	return nil
}

// moment reads what people type; a day alone is meant to its end.
func moment(text string, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, zone); err == nil {
		return t.AddDate(0, 0, 1).Add(-time.Second), nil
	}
	if t, err := time.ParseInLocation("2006-01-02 15:04", text, zone); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, text)
}

type userRevokeOptions struct {
	reason string
	json   bool
}

func newUserRevoke(e *env) *cobra.Command {
	var o userRevokeOptions
	c := &cobra.Command{
		Use: "revoke NAME", Short: "Take an account and its token out of use", Args: exactly(1),
		Example: "patchcycle user revoke ben --reason \"left the team\"",
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.AccountName(args[0]))
		},
	}
	c.Flags().StringVar(&o.reason, "reason", "", "why; it goes on record")
	required(c, "reason")
	jsonFlag(c, &o.json)
	return c
}

func (o userRevokeOptions) run(ctx context.Context, s *session, name patching.AccountName) error {
	if o.reason == "" {
		return usage(s.cmd, "say why: --reason TEXT")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := c.RevokeAccount(ctx, name, o.reason)
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.say("%s is revoked since %s. What they did stays on record.", a.Name, s.when(a.Revoked))
	return nil
}
