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

// borg is https://borgbackup.org, 1.2. It asks another program for its password:
// cat, of the file that has it.
type borg struct{}

// borgList is what "borg list --json" says. Its times have no zone, and are those
// of the zone that it runs in: here UTC.
type borgList struct {
	Archives []struct {
		Name     string `json:"name"`
		Hostname string `json:"hostname"`
		Time     string `json:"time"`
	} `json:"archives"`
}

func (borg) List(ctx context.Context, r Repository) ([]Snapshot, error) {
	out, err := r.borg(ctx, listWithin, "list", "--json", "--format", "{hostname}{id}", r.Where)
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	return parseBorg(out)
}

func parseBorg(text []byte) ([]Snapshot, error) {
	var list borgList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("borg list: %w", err)
	}
	out := make([]Snapshot, 0, len(list.Archives))
	for _, a := range list.Archives {
		at, err := time.ParseInLocation("2006-01-02T15:04:05.999999", a.Time, time.UTC)
		if err != nil {
			return nil, fmt.Errorf("borg list: archive %.80q: %w", a.Name, err)
		}
		if a.Name == "" || a.Hostname == "" {
			return nil, errors.New("borg list: an archive has no name or hostname")
		}
		out = append(out, Snapshot{ID: a.Name, Host: a.Hostname, At: at})
	}
	return out, nil
}

// Check reads all of the repository: borg has no samples of data.
func (borg) Check(ctx context.Context, r Repository) error {
	args := []string{"check", "--verify-data"}
	if r.ReadOnly {
		args = append([]string{"--bypass-lock"}, args...)
	}
	_, err := r.borg(ctx, checkWithin, append(args, r.Where)...)
	return busy(err, "Failed to create/acquire the lock")
}

func (borg) Restore(ctx context.Context, r Repository, s Snapshot, path string) ([]byte, error) {
	return r.borg(ctx, restoreWithin, "extract", "--stdout", r.Where+"::"+s.ID, strings.TrimPrefix(path, "/"))
}

func (r Repository) borg(ctx context.Context, limit time.Duration, args ...string) ([]byte, error) {
	environment := append([]string{"TZ=UTC", "BORG_BASE_DIR=" + r.Cache}, r.Environment...)
	if r.PasswordFile != "" {
		// Borg splits this as a shell would, and starts none.
		environment = append(environment, "BORG_PASSCOMMAND=cat '"+strings.ReplaceAll(r.PasswordFile, "'", `'"'"'`)+"'")
	}
	return command.RunWith(ctx, command.Options{Limit: limit, Environment: environment, Interrupt: true}, "borg", args...)
}
