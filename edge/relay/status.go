package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/edge/visit"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/internal/pause"
)

// Status is what a relay says of itself, in its folder.
type Status struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	// Down is since when the line to the server fails, and Why; absent: it works.
	Down time.Time `json:"down_since,omitzero"`
	Why  string    `json:"why,omitempty"`
	// Hold is what machines are told of a hold; absent: nobody holds them.
	Hold *uplink.Hold `json:"hold,omitempty"`
	// Machines are those that poll here, Relays those behind this one.
	Machines int      `json:"machines"`
	Relays   []string `json:"relays,omitempty"`
	// Visited machines have no agent of their own at work; the last visits of those in
	// Unreached failed.
	Visited   int             `json:"visited,omitempty"`
	Unreached []visit.Trouble `json:"unreached,omitempty"`
	// Spooled receipts wait for the line; for Missed messages there was no room, and
	// they are with their machines alone.
	Spooled      int   `json:"spooled"`
	SpooledBytes int64 `json:"spooled_bytes"`
	SpoolMost    int64 `json:"spool_most"`
	Missed       int64 `json:"missed"`
	// Kept bytes of packages are here, of which running cycles may need Needed.
	Kept      int64 `json:"kept_bytes"`
	Needed    int64 `json:"needed_bytes"`
	CacheMost int64 `json:"cache_most"`
	// Received are bytes of packages that came from the server since the start, Served
	// those that went to machines.
	Received int64 `json:"received_bytes"`
	Served   int64 `json:"served_bytes"`
}

const statusFile = "status.json"

// statusEvery is how often the status is written; one that is much older is of a
// relay that does not run.
const statusEvery = 5 * time.Second

// Stale reports whether nobody has written the status for too long.
func (s Status) Stale(now time.Time) bool { return now.Sub(s.At) > 6*statusEvery }

// Ran says that no relay has run in a folder; nil: one has. A hold in another one would
// hold nobody.
func Ran(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, statusFile)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no relay has run in %s: name its folder with --dir", dir)
	}
	return nil
}

// ReadStatus reads what the relay in a folder last said.
func ReadStatus(dir string) (s Status, err error) {
	if err := Ran(dir); err != nil {
		return s, err
	}
	text, err := os.ReadFile(filepath.Join(dir, statusFile))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return s, fmt.Errorf("status of the relay in %s: %w", dir, err)
	}
	return s, nil
}

// Status says how the relay stands.
func (r *Relay) Status() Status {
	s := Status{
		Name: r.opts.Name, At: r.opts.Now().UTC().Truncate(time.Second), SpoolMost: max(0, r.opts.Spool), CacheMost: r.opts.Cache,
		Kept: r.shelf.packages.Total(), Received: r.shelf.received.Load(), Served: r.shelf.served.Load(),
	}
	_, s.Needed = r.shelf.needed()
	s.Down, s.Why = r.line.outage()
	s.Spooled, s.SpooledBytes, s.Missed = r.spool.waiting()
	if r.visitor != nil {
		s.Visited, s.Unreached = r.visitor.Machines(), r.visitor.Troubles()
	}
	r.mu.Lock()
	s.Hold = r.holdInForce()
	lanes := maps.Clone(r.lanes)
	r.mu.Unlock()
	for name, l := range lanes { // without r.mu: who hands out news has a lane's, and asks for that
		l.mu.Lock()
		s.Machines += len(l.seats)
		l.mu.Unlock()
		if name != r.opts.Name {
			s.Relays = append(s.Relays, name)
		}
	}
	slices.Sort(s.Relays)
	return s
}

// tell writes the status down until ctx ends.
func (r *Relay) tell(ctx context.Context) {
	for {
		s := r.Status()
		err := durable.Replace(filepath.Join(r.opts.Dir, statusFile), 0o644, func(w io.Writer) error {
			return json.NewEncoder(w).Encode(s)
		})
		if err != nil {
			r.log.Error("the status could not be written", zap.Error(err))
		}
		if pause.For(ctx, statusEvery) != nil {
			return
		}
	}
}
