// Package probation keeps the agent's release of before while a new one has not
// shown that it reports in, and puts it back if it does not: a machine whose agent is
// broken can be told nothing any more.
//
// The release of before does all of it. Its package's script begins ([Keeper.Begin])
// before dpkg replaces anything, a timer of systemd's runs the kept program, which
// judges ([Keeper.Judge]), and only the new release can end it ([Keeper.Pass]): by
// running, as installed, and having been answered by its server.
package probation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/patching"
)

// Package is the name of the agent's package.
const Package = "patchcycle-agent"

// OrderVariable is the environment variable by which a transaction tells the
// package's scripts for which order it runs.
const OrderVariable = "PATCHCYCLE_ORDER"

// Limit is how long a new release has to report in by default. It is well below how
// long a machine may keep silent in a cycle, so that a release that was put back is
// told of as such.
const Limit = 10 * time.Minute

// unaware is the last release that knows of no probation.
const unaware = "0.1.0"

// State is where a release stands.
type State string

const (
	// Open says that it has not reported in yet.
	Open State = "on probation"
	// Passed says that it reported in.
	Passed State = "passed"
	// PutBack says that it did not, and the one before is installed again.
	PutBack State = "put back"
	// Void says that the package was not replaced after all, or somebody installed another one.
	Void State = "void"
	// Stuck says that it did not, and that putting back failed too often.
	Stuck State = "stuck"
)

// Record is what is known of the last change of release.
type Record struct {
	// From is the version that is kept, To the one that came in its place.
	From string `json:"from"`
	To   string `json:"to"`
	// Order is the order that brought it; empty: a person did.
	Order patching.OrderID `json:"order,omitempty"`
	State State            `json:"state"`
	Began time.Time        `json:"began"`
	Ended time.Time        `json:"ended,omitzero"`
	// Why says in a sentence why it ended, or what the last attempt to put back met.
	Why string `json:"why,omitempty"`
	// Tries counts attempts to put back.
	Tries int `json:"tries,omitempty"`
}

// Words says it in a sentence.
func (r Record) Words() string {
	switch r.State {
	case Open:
		return fmt.Sprintf("Release %s has not reported in yet; %s is kept.", r.To, r.From)
	case PutBack:
		return fmt.Sprintf("Release %s was put back to %s: %s", r.To, r.From, r.Why)
	case Stuck:
		return fmt.Sprintf("Release %s does not report in and could not be put back to %s: %s", r.To, r.From, r.Why)
	case Passed:
		return fmt.Sprintf("Release %s reported in; %s is kept.", r.To, r.From)
	case Void:
	}
	return fmt.Sprintf("Release %s was not put in the place of %s: %s", r.To, r.From, r.Why)
}

// Runner runs a program of the machine's, as [command.Run] does.
type Runner func(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error)

// Keeper keeps releases of one agent.
type Keeper struct {
	// Home is the agent's folder; what is kept is in "release" below it.
	Home string
	// Root is where the machine's files begin ["/"].
	Root string
	// Run runs programs [command.Run].
	Run Runner
	// Now is the clock [time.Now].
	Now func() time.Time
}

func (k Keeper) withDefaults() Keeper {
	if k.Root == "" {
		k.Root = "/"
	}
	if k.Run == nil {
		k.Run = command.Run
	}
	if k.Now == nil {
		k.Now = time.Now
	}
	return k
}

// The files in the folder.
const (
	recordFile  = "record.json"
	programFile = "patchcycle-agent"
	packageFile = "patchcycle-agent.deb"
	// busyFile is there while the release of before is put back. The package's scripts
	// look for it: what they then replace is on no probation.
	busyFile = "putting-back"
)

func (k Keeper) file(name string) string { return filepath.Join(k.Home, "release", name) }

// Read returns the record of the last change of release; ok is false if there was none.
func (k Keeper) Read() (r Record, ok bool, err error) {
	text, err := os.ReadFile(k.file(recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, false, fmt.Errorf("%s: %w", k.file(recordFile), err)
	}
	return r, true, nil
}

func (k Keeper) write(r Record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(k.file(recordFile), 0o600, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// homes that can stand in a unit as they are.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9/._-]+$`)

// Begin keeps the release that is installed, program being its running executable,
// and has it put back after limit unless its successor, version to, reports in by
// then. It is called before dpkg replaces anything. Where the installed release has not
// reported in either, the one before it stays kept.
func (k Keeper) Begin(ctx context.Context, program, to string, order patching.OrderID, limit time.Duration) error {
	k = k.withDefaults()
	if !plainPath.MatchString(k.Home) {
		return fmt.Errorf("the agent's folder %q cannot stand in a unit of systemd's", k.Home)
	}
	from, status, err := k.installed(ctx)
	if err != nil {
		return err
	}
	// While its own script runs before an upgrade, dpkg calls a package half-configured.
	if status != "installed" && status != "half-configured" || from == to {
		return nil // nothing to go back to, or nothing that changes
	}
	if _, err := k.Run(ctx, time.Minute, "dpkg", "--compare-versions", to, "le", unaware); err == nil {
		return nil // it would never say that it is there, and be replaced again
	}
	// A record that cannot be read is written anew.
	if was, ok, err := k.Read(); err == nil && ok && was.State == Open {
		if was.From == to {
			return k.end(ctx, was, Void, "somebody installed "+to+" again.")
		}
		was.To, was.Order, was.Began, was.Tries, was.Why = to, order, k.Now().UTC(), 0, ""
		if err := k.write(was); err != nil {
			return err
		}
		return k.arm(ctx, limit)
	}
	if err := os.MkdirAll(filepath.Dir(k.file(recordFile)), 0o700); err != nil {
		return err
	}
	if err := k.repack(ctx, k.file(packageFile)); err != nil {
		return fmt.Errorf("keep release %s: %w", from, err)
	}
	// The folder keeps others out; who knocks runs it as a user of its own.
	if err := copyFile(k.file(programFile), program, 0o755); err != nil {
		return fmt.Errorf("keep release %s: %w", from, err)
	}
	if err := k.write(Record{From: from, To: to, Order: order, State: Open, Began: k.Now().UTC()}); err != nil {
		return err
	}
	return k.arm(ctx, limit)
}

// OnProbation reports whether a release has yet to report in.
func (k Keeper) OnProbation() bool {
	r, ok, err := k.Read()
	return err == nil && ok && r.State == Open
}

// Pass ends the probation if this process is of the release that is on it: the
// package is installed in full, and the executable of this process was not replaced.
// It reports whether there is none any more.
func (k Keeper) Pass(ctx context.Context) (bool, error) {
	k = k.withDefaults()
	r, ok, err := k.Read()
	if err != nil || !ok || r.State != Open {
		return err == nil, err
	}
	version, status, err := k.installed(ctx)
	if err != nil || status != "installed" || version != r.To {
		return false, err
	}
	if own, err := os.Readlink("/proc/self/exe"); err != nil || strings.HasSuffix(own, " (deleted)") {
		return false, err
	}
	return true, k.end(ctx, r, Passed, "It reported in.")
}

// end closes the probation: from then on nobody puts anything back.
func (k Keeper) end(ctx context.Context, r Record, s State, why string) error {
	r.State, r.Why, r.Ended = s, why, k.Now().UTC()
	if err := k.write(r); err != nil {
		return err
	}
	return k.disarm(ctx)
}

// installed returns the version and the status of the agent's package.
func (k Keeper) installed(ctx context.Context) (version, status string, err error) {
	out, err := k.Run(ctx, time.Minute, "dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", Package)
	if err != nil {
		return "", "", err
	}
	version, status, _ = strings.Cut(strings.TrimSpace(string(out)), " ")
	return version, status, nil
}

func copyFile(to, from string, mode fs.FileMode) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return durable.Replace(to, mode, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}
