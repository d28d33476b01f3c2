package trial

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
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// Sites are those of the policy.
func Sites() []truth.Site {
	return []truth.Site{
		{Name: "amsterdam", Zone: "Europe/Amsterdam"},
		{Name: "newyork", Zone: "America/New_York"},
		{Name: "tokyo", Zone: "Asia/Tokyo"},
		{Name: "kathmandu", Zone: "Asia/Kathmandu"},
	}
}

// Profile is what is wrong with the fleet: one patch that never installs, and a
// few dead machines. The product has to find it out.
func Profile(machines int, seed uint64) truth.Profile {
	return truth.Profile{
		Machines: machines, Seed: seed, Sites: Sites(),
		Bad:  []truth.Bad{{Package: "nginx", How: truth.PostinstFails, Rate: 1}},
		Dead: min(3, machines/20), Flaky: machines / 50,
	}
}

// FleetDir is where the fleet of a trial lives.
func FleetDir(dir string) string { return filepath.Join(dir, "fleet") }

// FleetExists says whether an earlier run made the fleet.
func FleetExists(dir string) bool { return sim.Exists(FleetDir(dir)) }

// KeptProfile returns the profile of the fleet that an earlier run left; not ok:
// there is none.
func KeptProfile(dir string) (p truth.Profile, ok bool, err error) {
	if !FleetExists(dir) {
		return p, false, nil
	}
	text, err := os.ReadFile(profileFile(dir))
	if err != nil {
		return p, false, fmt.Errorf("the fleet's profile: %w", err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, false, fmt.Errorf("the fleet's profile %s: %w", profileFile(dir), err)
	}
	return p, true, nil
}

func profileFile(dir string) string { return filepath.Join(dir, "profile.json") }

func enrolFile(dir string) string { return filepath.Join(dir, "enrol.json") }

// EnrolTokens makes a token for each site and one for machines without a site,
// once a folder, each for all machines and one more.
func EnrolTokens(ctx context.Context, admin *client.Client, dir string, machines int) (map[patching.SiteName]string, error) {
	tokens := map[patching.SiteName]string{}
	text, err := os.ReadFile(enrolFile(dir))
	if err == nil {
		return tokens, json.Unmarshal(text, &tokens)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	wanted := []patching.SiteName{patching.Roaming}
	for _, s := range Sites() {
		wanted = append(wanted, s.Name)
	}
	for _, name := range wanted {
		made, err := admin.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: name, Uses: machines + 1, Hours: 24, AutoAccept: true})
		if err != nil {
			return nil, fmt.Errorf("enrolment token of %s: %w", name, err)
		}
		tokens[name] = made.Token
	}
	return tokens, writeJSON(enrolFile(dir), tokens)
}

// FleetOptions say how a fleet is run.
type FleetOptions struct {
	// Program has the fleet as its subcommand "sim"; Env is its environment, nil
	// for this process's.
	Program string
	Env     []string
	// Dir is the trial's folder; [EnrolTokens] has written there.
	Dir string
	// Server is where the machines find it.
	Server string
	// Profile is taken for a fleet that is not there yet.
	Profile truth.Profile
	// Args are more flags of the fleet.
	Args []string
	// Told hears of the event that the flag -tell-at names.
	Told func(event int64)
}

// Fleet is a simulated fleet in a process of its own.
type Fleet struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
	err   error // why it ended; set before done is closed
}

// StartFleet starts a fleet, or takes up the one that an earlier run left, and
// returns when its machines are enrolled. The fleet does not outlive this
// process. Its log is fleet.log in the trial's folder.
func StartFleet(ctx context.Context, o FleetOptions) (*Fleet, error) {
	args, err := o.args()
	if err != nil {
		return nil, err
	}
	f := &Fleet{cmd: exec.Command(o.Program, args...), done: make(chan struct{})}
	f.cmd.Env = o.Env
	log, err := os.OpenFile(filepath.Join(o.Dir, "fleet.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the fleet's log: %w", err)
	}
	defer log.Close() // the process has its own
	f.cmd.Stderr = log
	if f.stdin, err = f.cmd.StdinPipe(); err != nil { // closed with us
		return nil, err
	}
	out, err := f.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := f.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the fleet: %w", err)
	}
	ready := make(chan struct{})
	go f.attend(out, ready, o.Told)
	select {
	case <-ready:
		return f, nil
	case <-f.done:
		return nil, fmt.Errorf("the fleet did not start (its log is fleet.log in the data directory): %w", f.err)
	case <-ctx.Done():
		f.Stop()
		return nil, context.Cause(ctx)
	}
}

func (o FleetOptions) args() ([]string, error) {
	args := []string{"sim", "-dir", FleetDir(o.Dir), "-server", o.Server, "-tokens", enrolFile(o.Dir), "-speed", "20"}
	if FleetExists(o.Dir) {
		return append(append(args, "-resume"), o.Args...), nil
	}
	file := profileFile(o.Dir)
	if err := writeJSON(file, o.Profile); err != nil {
		return nil, err
	}
	return append(append(args, "-profile", file), o.Args...), nil
}

// attend hears what the fleet says, and waits for its end.
func (f *Fleet) attend(out io.Reader, ready chan<- struct{}, told func(int64)) {
	defer close(f.done)
	up := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var said struct {
			sim.Ready
			sim.Reached
		}
		if json.Unmarshal(lines.Bytes(), &said) != nil {
			continue
		}
		if said.Ready.Ready && !up {
			up = true
			close(ready)
		}
		if said.Event > 0 && told != nil {
			told(said.Event)
		}
	}
	if f.err = f.cmd.Wait(); f.err == nil {
		f.err = errors.New("it stopped")
	}
}

// Done is closed when the fleet has ended; Err says why.
func (f *Fleet) Done() <-chan struct{} { return f.done }

// Err returns why the fleet ended. It is never nil once Done is closed.
func (f *Fleet) Err() error { return f.err }

// Stop ends the fleet and waits.
func (f *Fleet) Stop() {
	_ = f.stdin.Close()
	select {
	case <-f.done:
	case <-time.After(10 * time.Second):
		_ = f.cmd.Process.Kill()
		<-f.done
	}
}

// Inventoried counts the machines that have said what is installed on them.
func Inventoried(ctx context.Context, c *client.Client) (int, error) {
	n := 0
	for q := (client.AssetQuery{Limit: 1000}); ; {
		page, err := c.Assets(ctx, q)
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
