package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// find returns the folder's newest cycle, if it has one.
func (d *demo) find(ctx context.Context) (id patching.CycleID, closed bool, err error) {
	all, err := d.people.Author.Cycles(ctx, client.CycleQuery{Policy: trial.PolicyName, Limit: 1})
	if err != nil || len(all.Items) == 0 {
		return "", false, err
	}
	c := all.Items[0]
	return c.ID, c.Phase.Terminal(), nil
}

// start starts the cycle that follows on the folder's last one. A demo that was
// killed here names its act as the killed one did, so there is one cycle.
func (d *demo) start(ctx context.Context, last patching.CycleID) (patching.CycleID, error) {
	started, err := d.people.Author.StartCycle(ctx, trial.PolicyName, wire.StartCycle{}, "demo after "+string(last))
	if err != nil {
		return "", err
	}
	d.show.say("%s was started by %s.", started.Cycle, trial.Author)
	return started.Cycle, nil
}

// follow shows how the cycle goes, until it has closed.
func (d *demo) follow(ctx context.Context, id patching.CycleID) error {
	var asked patching.Digest
	mark := ""
	for {
		c, err := d.people.Author.WatchCycle(ctx, id, mark, 10*time.Second)
		if err != nil {
			return err
		}
		mark = c.Mark
		d.show.cycle(c)
		switch {
		case c.Phase.Terminal():
			return nil
		case c.Phase == patching.PhaseApproval && c.Plan != asked:
			asked = c.Plan
			if err := d.ask(ctx, c); err != nil {
				return err
			}
		}
	}
}

// ask gets the plan approved: by the approver at once, or by whoever does it in
// one of three ways.
func (d *demo) ask(ctx context.Context, c wire.CycleDetail) error {
	if !d.AutoApprove {
		return d.ways(ctx, c)
	}
	// A demo that was killed here repeats the act under its name: it counts once.
	// The engine can be away for as long as what the kill interrupted takes to be
	// noticed.
	act, key := wire.Act{Plan: c.Plan, Reason: "demo: approved without hands"}, "demo approves "+string(c.Plan)
	answer, err := d.people.Approver.Do(ctx, c.ID, "approve", act, key)
	for problem := (*wire.Problem)(nil); errors.As(err, &problem) && problem.Code == wire.CodeEngineAway && ctx.Err() == nil; {
		answer, err = d.people.Approver.Do(ctx, c.ID, "approve", act, key)
	}
	if err != nil {
		return fmt.Errorf("approve: %w", err)
	}
	d.show.say("%s", answer.Words)
	return nil
}

// self is how a person calls this program again.
func self() string {
	if strings.Contains(os.Args[0], "go-build") {
		return "go run ./cmd/patchcycle"
	}
	return os.Args[0]
}

// ways prints three ways to approve, each ready to be pasted.
func (d *demo) ways(ctx context.Context, c wire.CycleDetail) error {
	token := d.people.Tokens[trial.Approver]
	d.show.say("\nThe plan waits for approval by somebody who is not its author. You are %s, the approver.\nLook at it first:\n", trial.Approver)
	d.show.say("    %s cycle plan %s --data-dir %s\n", self(), c.ID, d.Dir)
	d.show.say("Then choose one of three ways:\n")
	d.show.say("1. With the CLI:\n    PATCHCYCLE_TOKEN=%s %s cycle approve %s --plan %s --data-dir %s\n", token, self(), c.ID, c.Plan, d.Dir)
	d.show.say("2. With a signal, from Temporal's own CLI or its pages:\n    temporal workflow signal --address %s --namespace %s --grpc-meta authorization=\"Bearer %s\" \\\n"+
		"      --workflow-id %s --name approve --input '{\"plan\":%q}'", d.server.Engine.Addr(), d.server.Engine.Namespace(), token, c.ID, c.Plan)
	if d.UI {
		path, err := d.server.Engine.LoginLink(ctx, token)
		if err != nil {
			return err
		}
		d.show.say("    or sign in (once) at http://%s%s", d.server.Address("ui"), path)
	}
	d.show.say("\n3. With the API:\n    curl --unix-socket %s -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \\\n"+
		"      -d '{\"plan\":%q,\"reason\":\"looks good\"}' http://patchcycle%s\n",
		d.server.Config.Socket(), token, c.Plan, wire.Root+"/cycles/"+string(c.ID)+"/approve")
	return nil
}
