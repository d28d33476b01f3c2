package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/patchcycle/patchcycle/patching"
)

// everything kills "patchcycle demo" with its fleet, and gives the same command
// again until the cycle has ended.
func (s *stage) everything(ctx context.Context) error {
	for i, m := range s.result.Kills {
		p, err := s.demo(m)
		if err != nil {
			return err
		}
		if i > 0 {
			if err := s.restarted(ctx, m, p); err != nil {
				p.kill()
				return err
			}
		}
		err = s.await(ctx, m, p)
		p.kill()
		if err != nil {
			return fmt.Errorf("kill %s: %w\n%s", m, err, tail(filepath.Join(s.dir, "demo.log")))
		}
		s.struck()
	}
	p, err := s.demo(Moment{})
	if err != nil {
		return err
	}
	defer p.kill()
	if err := s.recovered(ctx, p); err != nil {
		return err
	}
	if err := p.ends(ctx); err != nil {
		return fmt.Errorf("the last demo: %w\n%s", err, tail(filepath.Join(s.dir, "demo.log")))
	}
	return s.document(p.out)
}

// restarted notes how long a recovery took that will be killed, if it gets so far.
func (s *stage) restarted(ctx context.Context, m Moment, p *process) error {
	if m.Kind == AtStart {
		return nil // the clock runs
	}
	return s.recovered(ctx, p)
}

func (s *stage) demo(m Moment) (*process, error) {
	args := []string{"demo", "--json", "--data-dir", s.dir, "--machines", strconv.Itoa(s.Machines), "--seed", strconv.FormatUint(s.fleetSeed(), 10)}
	if !s.byHand() {
		args = append(args, "--auto-approve")
	}
	if m.Kind == AtEvent {
		args = append(args, "--fleet-arg", fmt.Sprintf("-kill-all-at=%d", m.Event))
	}
	return s.spawn(s.dir, "demo", args...)
}

// fleetSeed draws another fleet for each run.
func (s *stage) fleetSeed() uint64 { return s.result.Seed + uint64(s.result.Number) }

// document compares what the demo says with what is so.
func (s *stage) document(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var said struct {
		Cycle            patching.CycleID         `json:"cycle"`
		State            string                   `json:"state"`
		Assets           int                      `json:"assets"`
		Outcomes         map[patching.Outcome]int `json:"outcomes"`
		InstallsRepeated int                      `json:"installs_repeated"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return fmt.Errorf("the demo's document: %w\n%s", err, text)
	}
	sum := 0
	for _, n := range said.Outcomes {
		sum += n
	}
	if want := s.Machines + 1; said.State != "closed" || said.Assets != want || sum != want || said.InstallsRepeated != 0 {
		s.problem("the demo's document says: %s", text)
	}
	return nil
}
