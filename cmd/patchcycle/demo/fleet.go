package demo

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/patchcycle/patchcycle/edge/machine"
	"github.com/patchcycle/patchcycle/edge/observer"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// fleet is the simulated fleet's process and this machine's own agent.
type fleet struct {
	simulated *trial.Fleet
	own       chan struct{} // closed when the agent has ended
	end       context.CancelFunc
}

// startFleet starts the fleet in a process of its own, this program again, and
// the agent that reads this machine. Both take up what an earlier run left.
func (d *demo) startFleet(ctx context.Context, cancel context.CancelCauseFunc) (*fleet, error) {
	if trial.FleetExists(d.Dir) {
		d.show.say("Waking %d simulated machines at %d sites …", d.Machines, len(trial.Sites()))
	} else {
		d.show.say("Making %d simulated machines at %d sites in %[2]d zones …", d.Machines, len(trial.Sites()))
	}
	tokens, err := trial.EnrolTokens(ctx, d.people.Admin, d.Dir, d.Machines)
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	f := &fleet{own: make(chan struct{})}
	f.simulated, err = trial.StartFleet(ctx, trial.FleetOptions{
		Program: program, Dir: d.Dir, Server: "http://" + d.server.Address("uplink"),
		Profile: trial.Profile(d.Machines, d.Seed), Args: d.FleetArgs,
	})
	if err != nil {
		return nil, err
	}
	own, end := context.WithCancel(ctx)
	f.end = end
	go func() {
		defer close(f.own)
		if err := d.observe(own, tokens[patching.Roaming]); err != nil && own.Err() == nil {
			cancel(fmt.Errorf("this machine's agent: %w", err))
		}
	}()
	go func() {
		<-f.simulated.Done()
		cancel(fmt.Errorf("the fleet ended before the cycle did: %w", f.simulated.Err()))
	}()
	return f, nil
}

func (f *fleet) stop() {
	f.end()
	<-f.own
	f.simulated.Stop()
}

// observe runs the real agent on this machine, by host rules that let it be
// read and nothing else, unless the machine is included.
func (d *demo) observe(ctx context.Context, token string) error {
	link, err := uplink.NewClient(uplink.ClientOptions{URL: "http://" + d.server.Address("uplink")})
	if err != nil {
		return err
	}
	defer link.Close()
	o := observer.Options{Link: link, Dir: filepath.Join(d.Dir, "this-machine"), Token: token, CarriesPatchcycle: true, Log: d.Log.Named("this machine")}
	if d.IncludeThisMachine {
		o.Patched, err = machine.New(machine.Options{
			Dir: filepath.Join(o.Dir, "transactions"), Fresh: 6 * time.Hour, CarriesPatchcycle: true, Log: o.Log,
		})
		if err != nil {
			return err
		}
	}
	return observer.Run(ctx, o)
}

// awaitInventories waits until every machine has said what is installed on it.
func (d *demo) awaitInventories(ctx context.Context) error {
	want := d.Machines + 1
	for {
		n, err := trial.Inventoried(ctx, d.people.Author)
		if err != nil {
			return err
		}
		d.show.line("%d of %d machines have sent their inventory", n, want)
		if n >= want {
			d.show.say("All %d machines have sent their inventory, this one included.", n)
			return nil
		}
		if err := pause.For(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}
