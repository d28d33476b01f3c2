package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newEnrol(e *env) *cobra.Command {
	return group("enrol", "Let machines in, and take keys out of use", newEnrolToken(e), newEnrolList(e), newEnrolAccept(e), newEnrolRevoke(e))
}

type enrolTokenOptions struct {
	site  string
	uses  int
	lasts time.Duration
	auto  bool
	list  bool
	json  bool
}

func newEnrolToken(e *env) *cobra.Command {
	o := enrolTokenOptions{uses: 1}
	c := &cobra.Command{
		Use: "token", Short: "Make a token that lets machines enrol", Args: exactly(0),
		Long: `Make a token that lets machines of a site enrol. It is printed once and not kept.
One use is the default; images and autoscaling take more.`,
		Example: "patchcycle enrol token --site amsterdam\npatchcycle enrol token --site cloud --uses 500 --for 720h --auto-accept",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	f := c.Flags()
	f.StringVar(&o.site, "site", "", "where the machines belong")
	countFlag(c, &o.uses, "uses", 100_000, "how many machines it lets in")
	f.DurationVar(&o.lasts, "for", 24*time.Hour, "for how long, in whole hours")
	f.BoolVar(&o.auto, "auto-accept", false, "the machines need nobody to accept them")
	f.BoolVar(&o.list, "list", false, "list the tokens instead; needs no --site")
	required(c, "site")
	jsonFlag(c, &o.json)
	return c
}

func (o enrolTokenOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if o.list {
		all, err := c.EnrolTokens(ctx)
		if err != nil || o.json {
			return orJSON(s, all, err)
		}
		var rows [][]string
		for _, t := range all.Items {
			rows = append(rows, []string{t.Name, string(t.Site), fmt.Sprint(t.Uses), s.when(t.Expires), yes(t.AutoAccept), string(t.By)})
		}
		s.list(rows, "There are no tokens.", "TOKEN", "SITE", "USES LEFT", "EXPIRES", "ACCEPTS", "BY")
		return nil
	}
	if o.site == "" {
		return usage(s.cmd, "name the site: --site NAME")
	}
	if o.lasts < time.Hour || o.lasts%time.Hour != 0 {
		return usage(s.cmd, "--for %s: write whole hours, such as 2h; 1h is the least", o.lasts)
	}
	t, err := c.MakeEnrolToken(ctx, wire.NewEnrolToken{
		Site: patching.SiteName(o.site), Uses: o.uses, Hours: int(o.lasts.Hours()), AutoAccept: o.auto,
	})
	if err != nil || o.json {
		return orJSON(s, t, err)
	}
	s.note("For %s of site %s, until %s. It is not shown again.", phrase.Count(t.Uses, "machine"), t.Site, s.when(t.Expires))
	s.say("%s", t.Token)
	return nil
}

type enrolListOptions struct {
	states []string
	json   bool
}

func newEnrolList(e *env) *cobra.Command {
	var o enrolListOptions
	c := &cobra.Command{
		Use: "list", Short: "List the enrolled keys", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().StringSliceVar(&o.states, "state", nil, "those in one of these states: pending, accepted, quarantined, revoked")
	jsonFlag(c, &o.json)
	return c
}

func (o enrolListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	var states []patching.DeviceState
	for _, name := range o.states {
		states = append(states, patching.DeviceState(name))
	}
	all, err := c.Devices(ctx, states...)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, d := range all.Items {
		rows = append(rows, []string{string(d.ID), d.Hostname, string(d.Site), string(d.State), d.Key.Short(), s.when(d.Enrolled), phrase.Few(d.SameAs, 3)})
	}
	s.list(rows, "There are none.", "DEVICE", "HOSTNAME", "SITE", "STATE", "KEY", "ENROLLED", "SAME AS")
	return nil
}

type enrolAcceptOptions struct {
	all              bool
	replaces, reason string
	json             bool
}

func newEnrolAccept(e *env) *cobra.Command {
	var o enrolAcceptOptions
	c := &cobra.Command{
		Use: "accept [DEVICE...]", Short: "Accept enrolled keys", Args: cobra.ArbitraryArgs,
		Long: `Accept enrolled keys. Compare the key with what the machine shows first.

With --replaces, one key in the place of another, for a machine that was installed anew:
it stays the machine that it was, with owner, tags and history, and the old key is revoked.
What the old device was told, the new one never does.`,
		Example: "patchcycle enrol accept DEVICE --replaces OLD --reason \"a new disk\"",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "all that are pending")
	c.Flags().StringVar(&o.replaces, "replaces", "", "the device in whose place it comes; it is revoked, for good")
	c.Flags().StringVar(&o.reason, "reason", "", "why it replaces the other; it goes on record")
	jsonFlag(c, &o.json)
	return c
}

func (o enrolAcceptOptions) run(ctx context.Context, s *session, ids []string) error {
	if o.all == (len(ids) > 0) {
		return usage(s.cmd, "name the devices, or say --all")
	}
	if o.replaces != "" && (len(ids) != 1 || o.reason == "") {
		return usage(s.cmd, "--replaces takes one device, and a --reason")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	if o.all {
		pending, err := c.Devices(ctx, patching.DevicePending)
		if err != nil {
			return err
		}
		for _, d := range pending.Items {
			ids = append(ids, string(d.ID))
		}
	}
	out := wire.Devices{Items: []wire.Device{}}
	for _, id := range ids {
		d, err := o.accept(ctx, c, patching.DeviceID(id))
		if err != nil {
			return err
		}
		if !o.json {
			s.say("%s is accepted: machine %s.", d.ID, d.Asset)
		}
		out.Items = append(out.Items, d)
	}
	if o.json {
		return s.json(out)
	}
	if len(ids) == 0 {
		s.note("None is pending.")
	}
	return nil
}

func (o enrolAcceptOptions) accept(ctx context.Context, c *client.Client, id patching.DeviceID) (wire.Device, error) {
	if o.replaces != "" {
		return c.ReplaceDevice(ctx, id, patching.DeviceID(o.replaces), o.reason)
	}
	return c.AcceptDevice(ctx, id)
}

type enrolRevokeOptions struct{ reason string }

func newEnrolRevoke(e *env) *cobra.Command {
	var o enrolRevokeOptions
	c := &cobra.Command{
		Use: "revoke DEVICE", Short: "Take a key out of use, for good", Args: exactly(1),
		Long:    "Take a key out of use, for good: the machine has to enrol anew.",
		Example: "patchcycle enrol revoke DEVICE --reason \"the disk was stolen\"",
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.DeviceID(args[0]))
		},
	}
	c.Flags().StringVar(&o.reason, "reason", "", "why; it goes on record")
	required(c, "reason")
	return c
}

func (o enrolRevokeOptions) run(ctx context.Context, s *session, id patching.DeviceID) error {
	if o.reason == "" {
		return usage(s.cmd, "say why: --reason TEXT")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	d, err := c.RevokeDevice(ctx, id, o.reason)
	if err != nil {
		return err
	}
	s.say("%s is revoked.", d.ID)
	return nil
}
