package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

type trustDraftOptions struct {
	from                 string
	approvers            []string
	drop                 []string
	quorum               map[string]string
	mode                 string
	epoch                int64
	rootKeys, dropRoot   []string
	dispatcher, leaseKey string
	out                  string
}

func newTrustDraft(e *env) *cobra.Command {
	var o trustDraftOptions
	c := &cobra.Command{
		Use: "draft FILE", Short: "Write the next trust root, for its holders to sign", Args: exactly(1),
		Long: `Write the next version of the trust root into FILE, changed as the flags say, for the
holders of the root keys to sign. Nothing changes before it is signed and published.

An approver is NAME=PUBLIC-KEY-FILE, with :ROLES and :SCOPES if they are others than
approver and *: ana=ana.pub:approver+break-glass:policy:servers. The same name with
another file is another key of the same person, who counts once.`,
		Example: "patchcycle trust draft next.json --approver ana=ana.pub --approver ben=ben.pub --quorum monthly=2,emergency=1 --mode grants",
		RunE:    func(c *cobra.Command, args []string) error { o.out = args[0]; return o.run(c.Context(), e.session(c)) },
	}
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "a trust root to begin with (default: the one in force)")
	f.StringArrayVar(&o.approvers, "approver", nil, "add a key of an approver: NAME=FILE[:ROLES[:SCOPES]]")
	f.StringSliceVar(&o.drop, "drop-approver", nil, "remove an approver, by name or by a key's fingerprint")
	f.StringToStringVar(&o.quorum, "quorum", nil, "how many people it takes: monthly=N, emergency=N, break-glass=N (0: none), root=N")
	choiceFlag(c, &o.mode, "mode", "whose word machines obey that enrol from now on", trust.ModeDispatcher, trust.ModeGrants)
	f.Int64Var(&o.epoch, "epoch", 0, "begin this epoch: what was ordered or signed before is void")
	f.StringArrayVar(&o.rootKeys, "root-key", nil, "add a root key, as \"patchcycle trust key\" printed it")
	f.StringArrayVar(&o.dropRoot, "drop-root-key", nil, "remove a root key")
	f.StringVar(&o.dispatcher, "dispatcher-key", "", "the key that signs orders from now on, as \"patchcycle trust rotate\" printed it")
	f.StringVar(&o.leaseKey, "lease-key", "", "the key that signs start permits from now on")
	return c
}

func (o trustDraftOptions) run(ctx context.Context, s *session) error {
	var from []string
	if o.from != "" {
		from = []string{o.from}
	}
	text, _, err := s.rootText(ctx, from)
	if err != nil {
		return err
	}
	r, err := trust.ReadRoot(text)
	if err != nil {
		return Fail(ExitFailed, "", "the trust root to begin with: %v", of(from, err))
	}
	next, err := o.change(s, r)
	if err != nil {
		return err
	}
	draft := next.Draft()
	if _, err := trust.ReadRoot(draft); err != nil {
		return Fail(ExitUsage, "", "%v", err)
	}
	s.printRoot(next)
	if err := s.keepFile(o.out, draft); err != nil {
		return err
	}
	s.note("%d root keys of the one in force have to sign it, and %d of its own: patchcycle trust sign %s --key FILE", max(1, r.Quorum.Root), max(1, next.Quorum.Root), o.out)
	return nil
}

// change is the next version of a root.
func (o trustDraftOptions) change(s *session, r trust.Root) (trust.Root, error) {
	if s.cmd.Flags().Changed("epoch") && o.epoch <= r.Epoch {
		return r, usage(s.cmd, "--epoch %d: the root is of epoch %d, want a later one", o.epoch, r.Epoch)
	}
	next := r.Bump(max(r.Epoch, o.epoch))
	for _, who := range o.drop {
		before := len(next.Approvers)
		next.Approvers = slices.DeleteFunc(slices.Clone(next.Approvers), func(a trust.Approver) bool { return who == string(a.Account) || who == a.Key.Fingerprint() })
		if len(next.Approvers) == before { // whoever was meant would go on signing
			return next, usage(s.cmd, "--drop-approver %s: the root has no approver of that name or key (see: patchcycle trust show)", who)
		}
	}
	for _, text := range o.approvers {
		a, err := s.approver(text)
		if err != nil {
			return next, err
		}
		next.Approvers = append(next.Approvers, a)
	}
	if o.mode != "" {
		next.Mode = trust.Mode(o.mode)
	}
	if err := o.count(s, &next.Quorum); err != nil {
		return next, err
	}
	if err := o.keys(s, &next); err != nil {
		return next, err
	}
	return next, nil
}

// approver reads NAME=FILE[:ROLES[:SCOPES]].
func (s *session) approver(text string) (trust.Approver, error) {
	name, rest, ok := strings.Cut(text, "=")
	if !ok || !patching.ValidName(name) {
		return trust.Approver{}, usage(s.cmd, "--approver %s: want NAME=FILE, and the name of their account", text)
	}
	file, rest, _ := strings.Cut(rest, ":")
	roles, scopes, _ := strings.Cut(rest, ":")
	line, err := s.read(file)
	if err != nil {
		return trust.Approver{}, err
	}
	key, err := trust.ParsePersonKey(string(line))
	if err != nil {
		return trust.Approver{}, Fail(ExitUsage, "", "%s: %v", file, err)
	}
	a := trust.Approver{Account: patching.AccountName(name), Key: key, Roles: []string{trust.RoleApprover}, Scopes: []string{"*"}}
	if roles != "" {
		a.Roles = strings.Split(roles, "+")
	}
	if scopes != "" {
		a.Scopes = strings.Split(scopes, "+")
	}
	if scope := noScope(a.Scopes); scope != "" {
		return a, usage(s.cmd, "--approver %s: %q is no scope, want policy:NAME or *", text, scope)
	}
	return a, nil
}

// noScope returns the first that no policy is in: who has it could never sign.
func noScope(scopes []string) string {
	for _, scope := range scopes {
		if policy, ok := strings.CutPrefix(scope, "policy:"); scope != "*" && (!ok || !patching.ValidName(policy)) {
			return scope
		}
	}
	return ""
}

func (o trustDraftOptions) count(s *session, q *trust.Quorum) error {
	fields := map[string]*int{"monthly": &q.Monthly, "emergency": &q.Emergency, "break-glass": &q.BreakGlass, "root": &q.Root}
	for name, text := range o.quorum {
		n, err := strconv.Atoi(text)
		if fields[name] == nil || err != nil || n < 0 {
			return usage(s.cmd, "--quorum %s=%s: want monthly, emergency, break-glass or root, and a number", name, text)
		}
		*fields[name] = n
	}
	return nil
}

func (o trustDraftOptions) keys(s *session, next *trust.Root) error {
	one := func(flag, text string) (trust.PublicKey, error) {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err != nil || len(raw) != 32 {
			return nil, usage(s.cmd, "%s %s: want what \"patchcycle trust key\" or \"patchcycle trust rotate\" printed", flag, text)
		}
		return raw, nil
	}
	for _, text := range o.rootKeys {
		k, err := one("--root-key", text)
		if err != nil {
			return err
		}
		next.RootKeys = append(slices.Clip(next.RootKeys), k)
	}
	for _, text := range o.dropRoot {
		k, err := one("--drop-root-key", text)
		if err != nil {
			return err
		}
		before := len(next.RootKeys)
		next.RootKeys = slices.DeleteFunc(slices.Clone(next.RootKeys), func(p trust.PublicKey) bool { return bytes.Equal(p, k) })
		if len(next.RootKeys) == before {
			return usage(s.cmd, "--drop-root-key %s: the root does not have it", text)
		}
	}
	for _, k := range []struct {
		flag, text string
		to         *[]trust.PublicKey
	}{{"--dispatcher-key", o.dispatcher, &next.DispatcherKeys}, {"--lease-key", o.leaseKey, &next.LeaseKeys}} {
		if k.text == "" {
			continue
		}
		key, err := one(k.flag, k.text)
		if err != nil {
			return err
		}
		*k.to = []trust.PublicKey{key}
	}
	return nil
}
