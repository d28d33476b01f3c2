package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/edge/observer"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// The demo's sites, as its policy has them.
var sites = []truth.Site{
	{Name: "amsterdam", Zone: "Europe/Amsterdam"}, {Name: "newyork", Zone: "America/New_York"},
	{Name: "tokyo", Zone: "Asia/Tokyo"}, {Name: "kathmandu", Zone: "Asia/Kathmandu"},
}

// profile is what is wrong with the fleet: one patch that never installs, and a
// few dead machines. The product has to find it out.
func (d *demo) profile() truth.Profile {
	return truth.Profile{
		Machines: d.Machines, Seed: d.Seed, Sites: sites,
		Bad:  []truth.Bad{{Package: "nginx", How: truth.PostinstFails, Rate: 1}},
		Dead: min(3, d.Machines/20), Flaky: d.Machines / 50,
	}
}

// fleet is the simulated fleet's process and this machine's own agent.
type fleet struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	own   chan struct{}
	end   context.CancelFunc
}

// startFleet starts the fleet in a process of its own, this program again, and
// the agent that reads this machine. Both take up what an earlier run left.
func (d *demo) startFleet(ctx context.Context, cancel context.CancelCauseFunc) (*fleet, error) {
	resumed := sim.Exists(d.fleetDir())
	if resumed {
		d.show.say("Waking %d simulated machines at %d sites …", d.Machines, len(sites))
	} else {
		d.show.say("Making %d simulated machines at %d sites in %d zones …", d.Machines, len(sites), len(sites))
	}
	tokens, err := d.enrolTokens(ctx)
	if err != nil {
		return nil, err
	}
	f := &fleet{done: make(chan struct{}), own: make(chan struct{})}
	if err := f.start(ctx, d, resumed, cancel); err != nil {
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
	return f, nil
}

func (f *fleet) start(ctx context.Context, d *demo, resumed bool, cancel context.CancelCauseFunc) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	args := []string{"sim", "-dir", d.fleetDir(), "-server", "http://" + d.server.Address("uplink"),
		"-tokens", d.enrolFile(), "-speed", "20"}
	if resumed {
		args = append(args, "-resume")
	} else {
		file := filepath.Join(d.Dir, "profile.json")
		if err := writeJSON(file, d.profile()); err != nil {
			return err
		}
		args = append(args, "-profile", file)
	}
	f.cmd = exec.Command(self, append(args, d.FleetArgs...)...)
	log, err := os.OpenFile(filepath.Join(d.Dir, "fleet.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("the fleet's log: %w", err)
	}
	defer log.Close() // the process has its own
	f.cmd.Stderr = log
	if f.stdin, err = f.cmd.StdinPipe(); err != nil { // closed with us: the fleet does not outlive the demo
		return err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := f.cmd.Start(); err != nil {
		return fmt.Errorf("start the fleet: %w", err)
	}
	ready := make(chan error, 1)
	go f.attend(out, ready, cancel)
	select {
	case err := <-ready:
		return err
	case <-ctx.Done():
		f.stop()
		return context.Cause(ctx)
	}
}

// attend waits for the fleet's first line and then for its end.
func (f *fleet) attend(out io.Reader, ready chan<- error, cancel context.CancelCauseFunc) {
	defer close(f.done)
	lines := bufio.NewScanner(out)
	var first sim.Ready
	for !first.Ready && lines.Scan() {
		_ = json.Unmarshal(lines.Bytes(), &first)
	}
	if first.Ready {
		ready <- nil
	}
	_, _ = io.Copy(io.Discard, out)
	err := f.cmd.Wait()
	if err == nil {
		err = errors.New("it stopped")
	}
	if !first.Ready {
		ready <- fmt.Errorf("the fleet did not start (its log is fleet.log in the data directory): %w", err)
	}
	cancel(fmt.Errorf("the fleet ended before the cycle did: %w", err))
}

func (f *fleet) stop() {
	_ = f.stdin.Close()
	if f.end != nil {
		f.end()
		<-f.own
	}
	select {
	case <-f.done:
	case <-time.After(10 * time.Second):
		_ = f.cmd.Process.Kill()
		<-f.done
	}
}

// observe runs the real agent on this machine, by host rules that let it be
// read and nothing else.
func (d *demo) observe(ctx context.Context, token string) error {
	link, err := uplink.NewClient(uplink.ClientOptions{URL: "http://" + d.server.Address("uplink")})
	if err != nil {
		return err
	}
	defer link.Close()
	return observer.Run(ctx, observer.Options{Link: link, Dir: filepath.Join(d.Dir, "this-machine"), Token: token, CarriesPatchcycle: true, Log: d.Log.Named("this machine")})
}

func (d *demo) enrolFile() string { return filepath.Join(d.Dir, "enrol.json") }

// enrolTokens makes a token for each site, once a folder.
func (d *demo) enrolTokens(ctx context.Context) (map[patching.SiteName]string, error) {
	tokens := map[patching.SiteName]string{}
	text, err := os.ReadFile(d.enrolFile())
	if err == nil {
		return tokens, json.Unmarshal(text, &tokens)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	wanted := []patching.SiteName{patching.Roaming}
	for _, s := range sites {
		wanted = append(wanted, s.Name)
	}
	for _, name := range wanted {
		made, err := d.people.admin.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: name, Uses: d.Machines + 1, Hours: 24, AutoAccept: true})
		if err != nil {
			return nil, fmt.Errorf("enrolment token of %s: %w", name, err)
		}
		tokens[name] = made.Token
	}
	return tokens, writeJSON(d.enrolFile(), tokens)
}

// awaitInventories waits until every machine has said what is installed on it.
func (d *demo) awaitInventories(ctx context.Context) error {
	want := d.Machines + 1
	for {
		n, err := d.inventoried(ctx)
		if err != nil {
			return err
		}
		d.show.line("%d of %d machines have sent their inventory", n, want)
		if n >= want {
			d.show.say("All %d machines have sent their inventory, this one included.", n)
			return nil
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}

func (d *demo) inventoried(ctx context.Context) (int, error) {
	n := 0
	for q := (client.AssetQuery{Limit: 1000}); ; {
		page, err := d.people.author.Assets(ctx, q)
		if err != nil {
			return 0, err
		}
		for _, a := range page.Items {
			if !a.Inventoried.IsZero() {
				n++
			}
		}
		if page.Next == "" {
			return n, nil
		}
		q.After = page.Next
	}
}

// pause sleeps, unless the demo ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
