package main

import (
	"context"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/usage"
)

// restarts is how often the server is started again; half of the times it was
// killed before.
const restarts = 4

// measureStart measures starts on new and on known data, and what the server
// needs when nobody needs it.
func (e *engineResult) measureStart(ctx context.Context, o options, db *database, dir string) error {
	at, err := db.fresh(ctx)
	if err != nil {
		return err
	}
	s, err := startServer(ctx, o, dir, at)
	if err != nil {
		return err
	}
	e.StartNew = s.took.Seconds()
	for i := range restarts {
		if i%2 == 0 {
			s.stop()
		} else {
			s.kill()
		}
		if s, err = startServer(ctx, o, dir, at); err != nil {
			return err
		}
		e.Restarts = append(e.Restarts, s.took.Seconds())
	}
	slices.Sort(e.Restarts)
	defer s.stop()
	// What a start leaves behind in work and garbage is not the rest.
	if err := pause.For(ctx, 10*time.Second); err != nil {
		return err
	}
	e.Rest, err = atRest(ctx, s, db, o.rest)
	return err
}

// atRest looks at a server to which nobody speaks but waiting machines.
func atRest(ctx context.Context, s *server, db *database, d time.Duration) (rest, error) {
	began, cpu, dbCPU := time.Now(), usage.CPU(s.pid()), db.seconds()
	if err := pause.For(ctx, d); err != nil {
		return rest{}, err
	}
	took := time.Since(began).Seconds()
	now, _ := usage.Memory(s.pid())
	return rest{
		MemoryMB: now, CPUPercent: 100 * (usage.CPU(s.pid()) - cpu) / took, DatabaseCPUPercent: 100 * (db.seconds() - dbCPU) / took,
	}, nil
}
