package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/probation"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

func (e *env) keeper() probation.Keeper { return probation.Keeper{Home: e.home, Now: e.Now} }

func newRelease(e *env) *cobra.Command {
	c := &cobra.Command{
		Use: "release", Short: "Say which release of the agent was here before, or put it back", Args: edgecli.NoArgs,
		Long: `Say which release of the agent was here before this one, and whether this one has
reported in. One that does not within --probation after its package was installed is
put back to the one before, unless that one does not reach the server either.`,
		Example: "patchcycle-agent release\npatchcycle-agent release back",
		RunE:    func(c *cobra.Command, _ []string) error { return e.release(c) },
	}
	c.AddCommand(newReleaseBack(e), newReleaseKeep(e), newReleaseJudge(e), newKnock(e))
	return c
}

func (e *env) release(c *cobra.Command) error {
	r, ok, err := e.keeper().Read()
	if err != nil {
		return err
	}
	if !ok {
		return e.print(c, struct{}{}, "The agent was not upgraded here yet: no release of before is kept.")
	}
	return e.print(c, r, r.Words())
}

func newReleaseBack(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "back", Short: "Install the release of before again, as root", Args: edgecli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			r, err := e.keeper().Back(c.Context())
			if err != nil {
				return err
			}
			return e.print(c, r, r.Words())
		},
	}
}

// newReleaseKeep is called by the package's script, before dpkg replaces anything.
func newReleaseKeep(e *env) *cobra.Command {
	o := runOptions{env: e}
	c := &cobra.Command{
		Use: "keep VERSION", Hidden: true, Args: cobra.ExactArgs(1),
		Short: "Keep this release until VERSION has reported in",
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := agent.Home(e.home).Server(); errors.Is(err, agent.ErrNotEnrolled) || !agent.Home(e.home).Running() {
				return nil // nobody reports in here, of whatever release
			}
			own, err := os.Executable()
			if err != nil {
				return err
			}
			return e.keeper().Begin(c.Context(), own, args[0], patching.OrderID(e.Env(probation.OrderVariable)), o.probation)
		},
	}
	o.flags(c)
	return c
}

// newReleaseJudge is called by systemd's timer, as the kept program.
func newReleaseJudge(e *env) *cobra.Command {
	o := runOptions{env: e}
	c := &cobra.Command{
		Use: "judge", Hidden: true, Args: edgecli.NoArgs, Short: "Put the release of before back where the new one has not reported in",
		RunE: func(c *cobra.Command, _ []string) error {
			v, err := e.keeper().Judge(c.Context(), o.reaches)
			if err != nil {
				return fmt.Errorf("%s: %w", v, err)
			}
			return e.print(c, map[string]probation.Verdict{"verdict": v}, string(v))
		},
	}
	o.flags(c)
	return c
}

// knockTakes is how long all ways together have to answer.
const knockTakes = 2 * time.Minute

// knocker is where a knock finds the kept program: in the place of the new one, for
// systemd-run wants a program that is there, and systemd a place to bind it to.
const knocker = "/usr/bin/patchcycle-agent"

// reaches asks whether anybody answers at the server's address, in a unit of its own: as
// a user who owns nothing, because root speaks to no network here.
func (o runOptions) reaches(ctx context.Context) (bool, error) {
	server, err := agent.Home(o.home).Server()
	if err != nil {
		return false, err
	}
	own, err := os.Executable()
	if err != nil {
		return false, err
	}
	args := []string{
		"--quiet", "--wait", "--collect", "--pipe", "--property=DynamicUser=yes", "--property=NoNewPrivileges=yes", "--property=ProtectHome=yes",
		"--property=BindReadOnlyPaths=" + own + ":" + knocker, "--", knocker, "release", "knock", "--ca", o.ca, "--server", server,
	}
	for _, r := range o.relays {
		args = append(args, "--relay", r)
	}
	_, err = command.Run(ctx, 3*time.Minute, "systemd-run", args...)
	var failed *command.Error
	if errors.As(err, &failed) && failed.Code == probation.LineDown {
		return false, nil
	}
	return err == nil, err
}

// newKnock asks whether anybody answers, and says so by its exit code.
func newKnock(e *env) *cobra.Command {
	o := runOptions{env: e}
	var server string
	c := &cobra.Command{
		Use: "knock", Hidden: true, Args: edgecli.NoArgs, Short: "Say whether a server answers: exit code 0, or " + strconv.Itoa(probation.LineDown),
		RunE: func(c *cobra.Command, _ []string) error {
			ways, err := o.routes(server)
			if err != nil {
				return err
			}
			defer ways.Close()
			ctx, cancel := context.WithTimeout(c.Context(), knockTakes)
			defer cancel()
			for _, way := range ways.clients {
				resp, err := way.Poll(ctx, uplink.PollRequest{}) // for no device
				var refused *uplink.Error
				if err == nil && !resp.Offline || errors.As(err, &refused) && !refused.Temporary() {
					return nil
				}
			}
			return errLineDown
		},
	}
	o.flags(c)
	c.Flags().StringVar(&server, "server", "", "the server's address")
	return c
}

// errLineDown is that nobody answers.
var errLineDown = errors.New("nobody answers")
