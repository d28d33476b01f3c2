package api

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
)

func (s *server) addServer(api huma.API) {
	op := about("server", "get-health", http.MethodGet, "", "Say that the server answers")
	op.Path, op.Security, op.Description = "/health", nil, "Needs no token."
	handle(s, api, op, func(context.Context, *struct{}) (wire.Health, error) { return wire.Health{Status: "ok"}, nil })
	handle(s, api, about("server", "get-server", http.MethodGet, "/server", "Say what runs, and who you are"), s.describe)
	op = about("server", "enter-ui", http.MethodPost, "/ui-login", "Get a link into Temporal's web pages")
	op.Description = "It works once, within some minutes, and lets you see and do there what your account may."
	handle(s, api, op, s.enterUI)
	handle(s, api, about("server", "doctor", http.MethodGet, "/doctor", "Look for what is wrong with the installation"), s.doctor)
}

func (s *server) describe(ctx context.Context, _ *struct{}) (wire.Server, error) {
	n, err := s.Store.CountAssets(ctx)
	return wire.Server{Version: s.Version, Time: s.Now().UTC(), Mode: s.mode(), Machines: n, You: accountShape(account(ctx))}, err
}

func (s *server) enterUI(ctx context.Context, _ *struct{}) (wire.LoginLink, error) {
	if s.Login == nil {
		p := notFound("This server shows no pages of Temporal's.")
		p.WayOut = "Start it with --ui, or open those of the cluster that it uses."
		return wire.LoginLink{}, p
	}
	token, _ := ctx.Value(tokenKey{}).(string)
	url, err := s.Login(ctx, token)
	return wire.LoginLink{URL: url}, err
}

// checkIn bounds one check: the doctor answers when something hangs, too.
const checkIn = 5 * time.Second

func (s *server) doctor(ctx context.Context, _ *struct{}) (wire.Doctor, error) {
	checks := append([]func(context.Context) wire.Check{s.checkStore, s.checkPeople, s.checkMachines, s.checkHold, s.checkPaths}, s.Checks...)
	ctx, cancel := context.WithTimeout(ctx, checkIn)
	defer cancel()
	results := make([]chan wire.Check, len(checks))
	for i, check := range checks {
		results[i] = make(chan wire.Check, 1)
		go func() { results[i] <- check(ctx) }()
	}
	out := wire.Doctor{OK: true}
	for _, result := range results {
		var c wire.Check
		select {
		case c = <-result:
		case <-ctx.Done():
			c = wire.Check{Name: "doctor", Words: fmt.Sprintf("A check did not answer within %s.", checkIn), WayOut: "See the server's log."}
		}
		out.Checks = append(out.Checks, c)
		out.OK = out.OK && c.OK
	}
	return out, nil
}

func failed(name string, err error) wire.Check {
	return wire.Check{Name: name, Words: err.Error(), WayOut: "See the server's log."}
}

func (s *server) checkStore(ctx context.Context) wire.Check {
	const name = "record"
	n, err := s.Store.CountAssets(ctx)
	if err != nil {
		return failed(name, err)
	}
	return wire.Check{Name: name, OK: true, Words: fmt.Sprintf("The database answers; it knows %s.", phrase.Count(n, "machine"))}
}

// checkPeople finds what a first cycle would run into: a plan that nobody may approve.
func (s *server) checkPeople(ctx context.Context) wire.Check {
	const name = "people"
	all, err := s.Store.Accounts(ctx, time.Time{})
	if err != nil {
		return failed(name, err)
	}
	approvers := 0
	for _, a := range all {
		if a.Revoked.IsZero() && a.Has(patching.RoleApprover) {
			approvers++
		}
	}
	if approvers == 0 {
		return wire.Check{Name: name, Words: "Nobody may approve a plan.", WayOut: "Add somebody: patchcycle user add NAME --role approver."}
	}
	if s.Trust != nil {
		if words := missingSigners(s.Trust.Root(), all); words != "" {
			return wire.Check{Name: name, Words: words, WayOut: "Give them accounts under their names of the trust root: patchcycle user add NAME --role approver (see: patchcycle trust show)."}
		}
	}
	return wire.Check{Name: name, OK: true, Words: fmt.Sprintf("People who may approve: %d.", approvers)}
}

// missingSigners says in words that too few of those who sign have an account by which
// they may; empty: enough have, or nobody has to sign.
func missingSigners(root trust.Root, all []patching.Account) string {
	if root.Mode != trust.ModeGrants {
		return ""
	}
	signers := map[patching.AccountName]bool{}
	for _, a := range root.Approvers {
		if slices.Contains(a.Roles, trust.RoleApprover) {
			signers[a.Account] = false
		}
	}
	able := 0
	for _, a := range all {
		if _, signs := signers[a.Name]; signs && a.Revoked.IsZero() && a.Has(patching.RoleApprover) {
			able++
		}
	}
	if able >= root.Quorum.Monthly {
		return ""
	}
	return fmt.Sprintf("A plan takes the signatures of %d people, and of the %d approvers of the trust root %d have an account that may approve.", root.Quorum.Monthly, len(signers), able)
}

// checkHold says whether somebody holds all machines: who wonders why nothing starts
// looks here.
func (s *server) checkHold(ctx context.Context) wire.Check {
	const name = "hold"
	is, err := s.hold(ctx, nil)
	if err != nil {
		return failed(name, err)
	}
	out := wire.Check{Name: name, OK: true, Words: is.Words}
	if is.Held {
		out.WayOut = "To let machines go on: patchcycle hold lift --reason WORDS."
	}
	return out
}

// staleAfter is from when on a machine that says nothing is worth a word.
const staleAfter = 24 * time.Hour

func (s *server) checkMachines(ctx context.Context) wire.Check {
	const name = "machines"
	devices, err := s.Store.Devices(ctx)
	if err != nil {
		return failed(name, err)
	}
	waiting, enrolled := 0, map[patching.DeviceID]time.Time{}
	for _, d := range devices {
		enrolled[d.ID] = d.Enrolled
		if d.State == patching.DevicePending || d.State == patching.DeviceQuarantined {
			waiting++
		}
	}
	assets, err := s.Store.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return failed(name, err)
	}
	silent, clocks := 0, 0
	for _, a := range assets {
		if a.ClockOff != 0 {
			clocks++
		}
		heard := a.Seen
		if heard.IsZero() {
			heard = enrolled[a.Device]
		}
		if a.Device != "" && s.Now().Sub(heard) > staleAfter {
			silent++
		}
	}
	out := wire.Check{Name: name, OK: true, Words: fmt.Sprintf("Known: %d. Waiting to be accepted, or set aside as clones: %d. Silent for a day: %d. With a clock that is off: %d.", len(assets), waiting, silent, clocks)}
	switch {
	case len(assets) == 0: // no fault: that is how every server begins
		out.Words, out.WayOut = "None is known yet.", "Let machines enrol: patchcycle enrol token --site NAME."
	case waiting > 0:
		out.OK, out.WayOut = false, "Look at them: patchcycle enrol list --state pending,quarantined."
	case clocks > 0:
		out.OK, out.WayOut = false, "Set their clocks right, or nothing that has a window starts there: patchcycle asset list names them."
	case silent > 0:
		out.OK, out.WayOut = false, "Look at when they were last seen: patchcycle asset list."
	}
	return out
}

// quietAfter is from when on a part of the path counts as not listening.
const quietAfter = time.Minute

func (s *server) checkPaths(ctx context.Context) wire.Check {
	const name = "paths"
	parts, err := s.Store.Parts(ctx)
	if err != nil {
		return failed(name, err)
	}
	var quiet []string
	for _, part := range slices.Sorted(maps.Keys(parts)) {
		if s.Now().Sub(parts[part]) > quietAfter {
			quiet = append(quiet, part)
		}
	}
	if len(quiet) > 0 {
		return wire.Check{
			Name: name, Words: "Not listening for more than a minute: " + strings.Join(quiet, ", ") + ".",
			WayOut: "See whether they run; silence of the machines behind them counts against nobody meanwhile.",
		}
	}
	return wire.Check{Name: name, OK: true, Words: fmt.Sprintf("Parts that listen to machines: %d.", len(parts))}
}

// mode is how approvals count.
func (s *server) mode() string {
	if s.Trust == nil {
		return string(trust.ModeDispatcher)
	}
	return string(s.Trust.Root().Mode)
}
