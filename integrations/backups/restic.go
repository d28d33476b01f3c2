package backups

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/command"
)

// restic is https://restic.net, 0.14 or newer. Its password is a file's name on
// the command line; what a storage in a cloud wants is in its environment.
type restic struct{}

// resticSnapshot is an entry of "restic snapshots --json":
//
//	{"time":"2026-11-29T15:11:52.113244838Z","paths":["/etc"],"hostname":"web-1","id":"1ba06512…","short_id":"1ba06512"}
type resticSnapshot struct {
	Time     time.Time `json:"time"`
	Hostname string    `json:"hostname"`
	ID       string    `json:"id"`
}

func (restic) List(ctx context.Context, r Repository) ([]Snapshot, error) {
	out, err := command.RunWith(ctx, command.Options{Limit: listWithin, Environment: r.Environment, Interrupt: true}, "restic", r.restic("--no-lock", "--json", "snapshots")...)
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	return parseRestic(out)
}

func parseRestic(text []byte) ([]Snapshot, error) {
	var all []resticSnapshot
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("restic snapshots: %w", err)
	}
	out := make([]Snapshot, 0, len(all))
	for _, s := range all {
		if s.ID == "" || s.Hostname == "" || s.Time.IsZero() {
			return nil, errors.New("restic snapshots: one has no id, hostname or time")
		}
		out = append(out, Snapshot{ID: s.ID, Host: s.Hostname, At: s.Time})
	}
	return out, nil
}

// Check reads a random sample of the data: the whole of a large repository is more
// than a night. Without data, damage in them is not seen.
func (restic) Check(ctx context.Context, r Repository) error {
	args := []string{"check", "--read-data-subset=" + r.Sample}
	if r.ReadOnly {
		args = append(args, "--no-lock")
	}
	_, err := command.RunWith(ctx, command.Options{Limit: checkWithin, Environment: r.Environment, Interrupt: true}, "restic", r.restic(args...)...)
	if err = busy(err, "already locked", "unable to create lock"); errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		r.unlock(ctx)
	}
	return err
}

// unlock removes what a check that was ended left: only locks of programs that do
// not run any more. The next backup would wait for them.
func (r Repository) unlock(ctx context.Context) {
	// Nobody waits for it: a lock that stays shows as trouble with the next check.
	_, _ = command.RunWith(context.WithoutCancel(ctx), command.Options{Limit: time.Minute, Environment: r.Environment}, "restic", r.restic("unlock")...)
}

func (restic) Restore(ctx context.Context, r Repository, s Snapshot, path string) ([]byte, error) {
	return command.RunWith(ctx, command.Options{Limit: restoreWithin, Environment: r.Environment, Interrupt: true}, "restic", r.restic("--no-lock", "dump", s.ID, path)...)
}

func (r Repository) restic(args ...string) []string {
	common := []string{"--repo", r.Where, "--cache-dir", r.Cache}
	if r.PasswordFile != "" {
		common = append(common, "--password-file", r.PasswordFile)
	}
	return append(common, args...)
}

// busy turns what a program says of a lock that another holds, or of time that ran
// out, into [ErrBusy].
func busy(err error, locked ...string) error {
	var failed *command.Error
	if !errors.As(err, &failed) {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w: %w", ErrBusy, err)
	}
	for _, l := range locked {
		if strings.Contains(string(failed.Stderr), l) {
			return fmt.Errorf("%w: %w", ErrBusy, err)
		}
	}
	return err
}
