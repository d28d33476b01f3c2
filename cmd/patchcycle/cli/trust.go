package cli

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

func newTrust(e *env) *cobra.Command {
	c := group("trust", "Say whose signatures machines obey", newTrustShow(e), newTrustKey(e), newTrustDraft(e), newTrustSign(e), newTrustPublish(e),
		newTrustRotate(e), newTrustPreApprove(e), newTrustDelegate(e), newTrustPapers(e))
	c.Long = `Say whose signatures machines obey. The trust root names the keys of the root's
holders, of approvers and of the server; machines pin it when they enrol and take a
newer one only if its holders have signed it. The procedure is in docs/trust.md.`
	return c
}

func newTrustShow(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show [FILE]", Short: "Show the trust root in force, or one in a file", Args: between(0, 1),
		RunE: func(c *cobra.Command, args []string) error { return showTrust(c.Context(), e.session(c), args, asJSON) },
	}
	jsonFlag(c, &asJSON)
	return c
}

func showTrust(ctx context.Context, s *session, args []string, asJSON bool) error {
	text, behind, err := s.rootText(ctx, args)
	if err != nil {
		return err
	}
	r, err := trust.ReadRoot(text)
	if err != nil {
		return Fail(ExitFailed, "", "%v", of(args, err))
	}
	if asJSON {
		return orJSON(s, r, nil)
	}
	s.printRoot(r)
	if behind != "" {
		s.note("%s", behind)
	}
	return nil
}

// rootText is a file's, or that of the trust root in force.
func (s *session) rootText(ctx context.Context, args []string) (text []byte, behind string, err error) {
	if len(args) > 0 {
		text, err = s.read(args[0])
		return []byte(strings.TrimSpace(string(text))), "", err
	}
	c, err := s.client()
	if err != nil {
		return nil, "", err
	}
	is, err := c.TrustRoot(ctx)
	return []byte(is.Envelope), is.Behind, err
}

// of names the file that an error is about, where there is one.
func of(files []string, err error) error {
	if len(files) == 0 {
		return err
	}
	return fmt.Errorf("%s: %w", files[0], err)
}

// printRoot prints all of a root: its holders sign what they see here, and compare the
// keys with what each of them noted.
func (s *session) printRoot(r trust.Root) {
	breakGlass := "there is none"
	if r.Quorum.BreakGlass > 0 {
		breakGlass = fmt.Sprint(r.Quorum.BreakGlass)
	}
	s.fields("Fleet", r.Fleet, "Version", fmt.Sprint(r.Version), "Epoch", fmt.Sprint(r.Epoch), "Mode", string(r.Mode), "Fingerprint", string(r.Fingerprint()),
		"Root keys", fmt.Sprintf("%d, of which %d sign", len(r.RootKeys), max(1, r.Quorum.Root)),
		"Quorum", fmt.Sprintf("monthly %d, emergency %d, break-glass: %s", r.Quorum.Monthly, r.Quorum.Emergency, breakGlass))
	var rows [][]string
	for _, of := range []struct {
		what string
		keys []trust.PublicKey
	}{{"root", r.RootKeys}, {"dispatcher", r.DispatcherKeys}, {"lease", r.LeaseKeys}} {
		for _, k := range of.keys {
			rows = append(rows, []string{of.what, base64.StdEncoding.EncodeToString(k)})
		}
	}
	s.say("")
	s.table([]string{"KEY OF", "PUBLIC HALF"}, rows)
	rows = nil
	for _, a := range r.Approvers {
		rows = append(rows, []string{string(a.Account), a.Key.Fingerprint(), strings.Join(a.Roles, ", "), strings.Join(a.Scopes, ", ")})
	}
	if len(rows) > 0 {
		s.say("")
		s.table([]string{"APPROVER", "KEY", "ROLES", "SCOPES"}, rows)
	}
}

func newTrustKey(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "key FILE", Short: "Make a root key, away from the server", Args: exactly(1),
		Long: `Make a root key, and print its public half for "patchcycle trust draft". Do this on a
computer that is not connected, and keep the file on a medium that you lock away.
Needs no server.`,
		Example: "patchcycle trust key /media/stick/ana.root.key",
		RunE: func(c *cobra.Command, args []string) error {
			s := e.session(c)
			if _, err := os.Stat(args[0]); !errors.Is(err, fs.ErrNotExist) {
				return Fail(ExitFailed, "Name a new file.", "%s is there already", args[0])
			}
			key, err := trust.LoadOrCreateKey(args[0])
			if err != nil {
				return err
			}
			s.say("%s", base64.StdEncoding.EncodeToString(key.Public()))
			return nil
		},
	}
}

func newTrustSign(e *env) *cobra.Command {
	var key, out string
	c := &cobra.Command{
		Use: "sign FILE", Short: "Sign a draft of a trust root with a root key", Args: exactly(1),
		Long: `Sign a draft of a trust root with a root key, and show what was signed. Needs no
server: carry the draft to the computer that has the key, and back.`,
		Example: "patchcycle trust sign next.json --key /media/stick/ana.root.key",
		RunE: func(c *cobra.Command, args []string) error {
			s := e.session(c)
			if key == "" {
				return usage(c, "say what to sign with: --key FILE")
			}
			text, _, err := s.rootText(c.Context(), args)
			if err != nil {
				return err
			}
			holder, err := trust.LoadKey(key)
			if err != nil {
				return Fail(ExitFailed, "", "%v", err)
			}
			signed, err := trust.AddSignature(text, holder)
			if err != nil {
				return Fail(ExitFailed, "", "%v", of(args, err))
			}
			r, err := trust.ReadRoot(signed)
			if err != nil {
				return err
			}
			s.printRoot(r)
			if out == "" {
				out = args[0]
			}
			return s.keepFile(out, signed)
		},
	}
	c.Flags().StringVar(&key, "key", "", "the root key's file")
	c.Flags().StringVar(&out, "out", "", "where to write it (default: over the draft)")
	required(c, "key")
	return c
}

func (s *session) keepFile(name string, text []byte) error {
	if name == "-" {
		_, err := s.out.Write(append(text, '\n'))
		return err
	}
	if behind, err := filepath.EvalSymlinks(name); err == nil {
		name = behind
	}
	switch is, err := os.Stat(name); {
	case err != nil: // there is none yet
	case !is.Mode().IsRegular():
		return Fail(ExitFailed, "Name a file, or - for standard output.", "%s is no file", name)
	case is.Size() > 0:
		// A mistyped name is a key, or a policy.
		before, err := s.read(name)
		if err != nil {
			return err
		}
		if _, err := trust.ReadRoot(bytes.TrimSpace(before)); err != nil {
			return Fail(ExitFailed, "Name a new file.", "%s is there already, and is no trust root", name)
		}
	}
	// Whole or not at all: it has the signatures of people who have gone home.
	err := durable.Replace(name, 0o600, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return Fail(ExitFailed, "", "%v", err)
	}
	s.note("Written to %s.", name)
	return nil
}

func newTrustPublish(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "publish FILE", Short: "Put a signed trust root in force", Args: exactly(1),
		Long: `Put a trust root in force that its holders have signed. Machines take it by the same
rules as the server. One that approvers have left voids what they signed and has not
started.`,
		RunE: func(c *cobra.Command, args []string) error {
			s := e.session(c)
			text, _, err := s.rootText(c.Context(), args)
			if err != nil {
				return err
			}
			api, err := s.client()
			if err != nil {
				return err
			}
			if _, err := trust.ReadRoot(text); err != nil {
				return Fail(ExitFailed, "", "%v", of(args, err))
			}
			is, err := api.PutTrustRoot(c.Context(), text)
			if err != nil {
				return err
			}
			r, err := trust.ReadRoot([]byte(is.Envelope))
			if err != nil {
				return err
			}
			s.printRoot(r)
			return nil
		},
	}
}

func newTrustRotate(e *env) *cobra.Command {
	c := &cobra.Command{
		Use: "rotate dispatcher|lease", Short: "Make a key to take the place of one of the server's", Args: exactly(1),
		ValidArgs: []string{"dispatcher", "lease"},
		Long: `Make a key that can take the place of the one by which the server signs orders or
start permits. It signs nothing before a trust root names it: put its public half into
a draft (patchcycle trust draft --dispatcher-key KEY).`,
		RunE: func(c *cobra.Command, args []string) error {
			s := e.session(c)
			api, err := s.client()
			if err != nil {
				return err
			}
			key, err := api.NextKey(c.Context(), args[0])
			if err != nil {
				return err
			}
			s.say("%s", base64.StdEncoding.EncodeToString(key.Key))
			return nil
		},
	}
	return c
}

type preApproveOptions struct {
	days            int
	keys            []string
	key             string
	text, signature string
	draft           bool
}

func newTrustPreApprove(e *env) *cobra.Command {
	o := preApproveOptions{days: 90}
	c := &cobra.Command{
		Use: "pre-approve CYCLE", Short: "Sign that the cycle's test machines may be upgraded", Args: exactly(1), ValidArgsFunction: e.completeCycles,
		Long: `Sign that the machines of a cycle's test ring may be upgraded in their windows before
anybody has seen a plan, for up to 90 days: only to newer versions, only from
repositories that the named keys sign, with nothing removed. This is what lets a test
ring go first by itself; an owned server could choose among such upgrades on these
machines, and no more. --draft prints the text to be signed elsewhere; hand it in with
its signature: --text FILE --signature FILE.sig`,
		Example: "patchcycle trust pre-approve cycle/servers/2026-11.1 --repository-key B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8 --key ~/.ssh/id_ed25519",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args[0]) },
	}
	countFlag(c, &o.days, "days", 90, "for how long")
	c.Flags().StringSliceVar(&o.keys, "repository-key", nil, "fingerprints of the keys that sign the repositories (gpg --show-keys FILE)")
	c.Flags().StringVar(&o.key, "key", "", "sign with this OpenSSH key")
	c.Flags().BoolVar(&o.draft, "draft", false, "print what would be signed, and sign nothing")
	c.Flags().StringVar(&o.text, "text", "", "the file of a text that --draft printed, and that was signed elsewhere")
	c.Flags().StringVar(&o.signature, "signature", "", "the file of its signature")
	required(c, "repository-key")
	return c
}

func (o preApproveOptions) run(ctx context.Context, s *session, cycle string) error {
	switch {
	case len(o.keys) == 0:
		return usage(s.cmd, "say whose packages: --repository-key FINGERPRINT")
	case (o.text == "") != (o.signature == ""):
		return usage(s.cmd, "--text and --signature go together")
	case o.key != "" && o.signature != "":
		return usage(s.cmd, "%v", errTwoWays)
	case o.key == "" && o.signature == "" && !o.draft:
		return usage(s.cmd, "say what to sign with: --key FILE")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	for i, k := range o.keys {
		o.keys[i] = strings.ToUpper(strings.ReplaceAll(k, " ", ""))
	}
	is, err := c.DraftPreApproval(ctx, wire.NewPreApproval{Cycle: patching.CycleID(cycle), Days: o.days, Keys: o.keys})
	if err != nil {
		return err
	}
	if o.draft {
		_, err := io.WriteString(s.out, is.Text)
		return err
	}
	var files []string
	if o.text != "" { // the machines are the server's to say, and come to the root that the text has
		text, err := s.read(o.text)
		if err != nil {
			return err
		}
		is.Text, files = string(text), []string{o.text}
	}
	p, err := trust.ReadPreApproval([]byte(is.Text))
	if err != nil {
		return Fail(ExitFailed, "", "%v", of(files, err))
	}
	if err := o.check(p, is.Machines, s.now); err != nil {
		return Fail(ExitFailed, "Do not sign it; tell whoever runs the server.", "%v", err)
	}
	s.note("%d machines of policy %s until %s, upgrades signed by %s:", p.Machines, p.Policy, s.when(p.NotAfter), strings.Join(p.Keys, ", "))
	for _, m := range is.Machines {
		s.note("  %s, %s", m.Device, m.Rule)
	}
	sig, err := s.signatureFor(ctx, string(trust.PreApprovalPaper), is.Text, o.key, o.signature)
	if err != nil {
		return err
	}
	return s.handIn(ctx, wire.NewPaper{Kind: patching.PaperPreApproval, Document: is.Text, Machines: is.Machines, Signature: sig})
}

// check says why the server wants something else signed than was asked for. With
// repositories of its own choice it could have anything installed.
func (o preApproveOptions) check(p trust.PreApproval, machines []trust.PreApproved, now time.Time) error {
	ring, err := trust.NewPreApproved(trust.Signed{}, machines)
	if err != nil || ring.Root() != p.Root || len(machines) != p.Machines {
		return errors.New("the machines do not come to the root that is to be signed")
	}
	if keys := slices.Sorted(slices.Values(o.keys)); !slices.Equal(keys, p.Keys) {
		return fmt.Errorf("the text to sign names the repository keys %s, you named %s", strings.Join(p.Keys, ", "), strings.Join(keys, ", "))
	}
	// A day more, for clocks that differ.
	if latest := now.AddDate(0, 0, o.days+1); p.NotAfter.After(latest) {
		return fmt.Errorf("the text to sign is valid until %s, you gave it %d days", p.NotAfter.Format(time.RFC3339), o.days)
	}
	return nil
}

func (s *session) handIn(ctx context.Context, p wire.NewPaper) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.SignPaper(ctx, p)
	if err != nil {
		return err
	}
	for _, one := range all.Items {
		if one.Document == p.Document {
			s.say("%s", one.Words)
		}
	}
	return nil
}

type delegateOptions struct {
	from, to, toKey, reason, key string
	scopes                       []string
	until                        string
}

func newTrustDelegate(e *env) *cobra.Command {
	o := delegateOptions{scopes: []string{"*"}}
	c := &cobra.Command{
		Use: "delegate", Short: "Sign that somebody else signs in your name for a while", Args: exactly(0),
		Long: `Sign that somebody else signs in your name, from now until a date, 45 days at most. You
and they count once together.`,
		Example: "patchcycle trust delegate --from ana --to ben --to-key ben.pub --until 2026-12-24 --reason holiday --key ~/.ssh/id_ed25519",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	f := c.Flags()
	f.StringVar(&o.from, "from", "", "your account")
	f.StringVar(&o.to, "to", "", "who signs for you")
	f.StringVar(&o.toKey, "to-key", "", "the file of their OpenSSH public key")
	f.StringSliceVar(&o.scopes, "scope", o.scopes, "for which policies: policy:NAME, or * for all of yours")
	f.StringVar(&o.until, "until", "", "the last day, such as 2026-12-24")
	f.StringVar(&o.reason, "reason", "", "why; it goes on record")
	f.StringVar(&o.key, "key", "", "sign with this OpenSSH key of yours")
	required(c, "from", "to", "to-key", "until", "reason", "key")
	return c
}

func (o delegateOptions) run(ctx context.Context, s *session) error {
	for _, f := range []struct{ name, value string }{{"from", o.from}, {"to", o.to}, {"to-key", o.toKey}, {"until", o.until}, {"reason", o.reason}, {"key", o.key}} {
		if f.value == "" {
			return usage(s.cmd, "give --%s", f.name)
		}
	}
	if scope := noScope(o.scopes); scope != "" {
		return usage(s.cmd, "--scope %s: want policy:NAME or *", scope)
	}
	line, err := s.read(o.toKey)
	if err != nil {
		return err
	}
	key, err := trust.ParsePersonKey(string(line))
	if err != nil {
		return Fail(ExitUsage, "", "%s: %v", o.toKey, err)
	}
	until, err := time.Parse(time.DateOnly, o.until)
	if err != nil {
		return usage(s.cmd, "--until %s: want a day such as 2026-12-24", o.until)
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	is, err := c.TrustRoot(ctx)
	if err != nil {
		return err
	}
	root, err := trust.ReadRoot([]byte(is.Envelope))
	if err != nil {
		return Fail(ExitFailed, "", "%v", err)
	}
	d := trust.Delegation{
		V: 1, Fleet: root.Fleet, From: patching.AccountName(o.from), To: patching.AccountName(o.to), Key: key, Scopes: o.scopes,
		NotBefore: s.now.UTC().Truncate(time.Second), NotAfter: until.AddDate(0, 0, 1), Reason: o.reason,
	}
	if err := d.Validate(); err != nil {
		return Fail(ExitUsage, "", "%v", err)
	}
	sig, err := s.signatureFor(ctx, string(trust.DelegationPaper), string(d.Text()), o.key, "")
	if err != nil {
		return err
	}
	return s.handIn(ctx, wire.NewPaper{Kind: patching.PaperDelegation, Document: string(d.Text()), Signature: sig})
}

func newTrustPapers(e *env) *cobra.Command {
	var kind string
	var asJSON bool
	c := &cobra.Command{
		Use: "papers [SUBJECT]", Short: "List what people have signed", Args: between(0, 1),
		Long: `List what people have signed: grants of plans, pre-approvals of test rings, delegations.
SUBJECT is a cycle, a policy, or who delegates.`,
		RunE: func(c *cobra.Command, args []string) error {
			s := e.session(c)
			api, err := s.client()
			if err != nil {
				return err
			}
			all, err := api.Papers(c.Context(), patching.PaperKind(kind), strings.Join(args, ""))
			if err != nil || asJSON {
				return orJSON(s, all, err)
			}
			var rows [][]string
			for _, p := range all.Items {
				var who []string
				for _, sig := range p.Signatures {
					who = append(who, string(sig.Account))
				}
				rows = append(rows, []string{s.when(p.At), p.Subject, strings.Join(who, ", "), p.Words})
			}
			s.list(rows, "Nobody has signed any.", "SINCE", "SUBJECT", "SIGNED BY", "IN WORDS")
			return nil
		},
	}
	kind = string(patching.PaperGrants)
	choiceFlag(c, &kind, "kind", "of which kind", patching.PaperGrants, patching.PaperPreApproval, patching.PaperDelegation)
	jsonFlag(c, &asJSON)
	return c
}
