package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Phase is what the package manager did to a package.
type Phase string

// The phases, in the order in which an installation goes through them. dpkg
// knows the same: half-installed, unpacked (half-configured), installed.
const (
	Started    Phase = "started"    // the old files are being replaced
	Unpacked   Phase = "unpacked"   // all files are there, the postinst has not run
	Misfired   Phase = "failed"     // the postinst ended with an error
	Configured Phase = "configured" // installed
	Removed    Phase = "removed"
)

// Event is a line of the witness.
type Event struct {
	At      time.Time
	Cycle   patching.CycleID
	Order   patching.OrderID
	Package string
	Arch    string
	Version string
	Phase   Phase
}

// witnessTime has a fixed width, to the microsecond.
const witnessTime = "2006-01-02T15:04:05.000000Z"

func (e Event) line() []byte {
	return fmt.Appendf(nil, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
		e.At.UTC().Format(witnessTime), e.Cycle, e.Order, e.Package, e.Arch, e.Version, e.Phase)
}

func parseEvent(line string) (Event, error) {
	f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	if len(f) != 7 {
		return Event{}, fmt.Errorf("witness line %q: %d fields, want 7", line, len(f))
	}
	at, err := time.Parse(witnessTime, f[0])
	if err != nil {
		return Event{}, fmt.Errorf("witness line %q: %w", line, err)
	}
	return Event{
		At: at, Cycle: patching.CycleID(f[1]), Order: patching.OrderID(f[2]),
		Package: f[3], Arch: f[4], Version: f[5], Phase: Phase(f[6]),
	}, nil
}

// witness is one machine's log of what its package manager did. It is the
// machine's truth: what is installed is what the image had and the witness
// says since, so a kill at any instant leaves a state that really was.
//
// The file is opened for each event: a fleet has more machines than a process
// may have files.
type witness struct {
	path string
	pen  *pen
}

// witnessName is the log's name in a machine's folder.
const witnessName = "witness.log"

// openWitness reads the log. A last line that a kill cut off never happened: it
// is removed.
func openWitness(dir string, p *pen) (*witness, []Event, error) {
	path := filepath.Join(dir, witnessName)
	events, whole, err := readWitness(path)
	if err != nil {
		return nil, nil, err
	}
	if err := os.Truncate(path, whole); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, fmt.Errorf("open witness: %w", err)
	}
	return &witness{path: path, pen: p}, events, nil
}

// readWitness returns the whole lines of a log, which need not exist, and
// their length in bytes.
func readWitness(path string) ([]Event, int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read witness: %w", err)
	}
	defer f.Close()
	var events []Event
	var whole int64
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return events, whole, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read witness: %w", err)
		}
		e, err := parseEvent(line)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", path, err)
		}
		events = append(events, e)
		whole += int64(len(line))
	}
}

// append makes an event durable before it returns.
func (w *witness) append(e Event) error {
	if err := w.pen.write(w.path, e.line()); err != nil {
		return fmt.Errorf("write witness: %w", err)
	}
	return nil
}

// pen writes the witnesses of a fleet.
type pen struct {
	// slots bounds how many files are synced at once: each occupies a thread
	// of the operating system, and a fleet has more machines than threads.
	slots chan struct{}
	sync  bool
	// written counts events; at each one then is told, after the event is durable.
	written atomic.Int64
	then    func(n int64)
}

// newPen syncs that many files at once; zero leaves durability to the operating
// system, which survives the death of the process but not of the computer.
func newPen(atOnce int, then func(n int64)) *pen {
	return &pen{slots: make(chan struct{}, max(1, atOnce)), sync: atOnce > 0, then: then}
}

func (p *pen) write(path string, line []byte) error {
	p.slots <- struct{}{}
	defer func() { <-p.slots }()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	// One write: a kill leaves no half of a line.
	_, err = f.Write(line)
	if err == nil && p.sync {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if n := p.written.Add(1); p.then != nil {
		p.then(n)
	}
	return nil
}

// Repeat is a version that was unpacked again after it had been configured.
type Repeat struct {
	Machine string // folder of the machine
	First   Event  // when it was configured
	Again   Event  // when it was unpacked again
}

func (r Repeat) String() string {
	return fmt.Sprintf("machine %s unpacked %s %s again by order %s at %s; order %s had configured it at %s",
		r.Machine, r.Again.Package, r.Again.Version, r.Again.Order, r.Again.At.Format(time.RFC3339),
		r.First.Order, r.First.At.Format(time.RFC3339))
}

// Repeats reads the witnesses of all machines under a fleet's folder and
// returns every installation that was done twice: the same version unpacked
// again after it was configured, with no other version and no removal between.
// Finishing what a kill interrupted is none.
func Repeats(dir string) (int, []Repeat, error) {
	logs, err := filepath.Glob(filepath.Join(dir, "machines", "*", witnessName))
	if err != nil {
		return 0, nil, err
	}
	sort.Strings(logs)
	var all []Repeat
	for _, log := range logs {
		events, _, err := readWitness(log)
		if err != nil {
			return 0, nil, err
		}
		for _, r := range repeats(events) {
			r.Machine = filepath.Base(filepath.Dir(log))
			all = append(all, r)
		}
	}
	return len(all), all, nil
}

func repeats(events []Event) []Repeat {
	configured := map[[2]string]Event{}
	var found []Repeat
	for _, e := range events {
		key := [2]string{e.Package, e.Arch}
		done, ok := configured[key]
		switch e.Phase {
		case Unpacked:
			if ok && done.Version == e.Version {
				found = append(found, Repeat{First: done, Again: e})
			}
			delete(configured, key)
		case Configured:
			configured[key] = e
		case Removed:
			delete(configured, key)
		default: // begun, or failed: nothing came of it yet
		}
	}
	return found
}

// Witnessed returns what the witnesses under a fleet's folder say, by the index
// of the machine.
func Witnessed(dir string) (map[int][]Event, error) {
	logs, err := filepath.Glob(filepath.Join(dir, "machines", "*", witnessName))
	if err != nil {
		return nil, err
	}
	said := make(map[int][]Event, len(logs))
	for _, log := range logs {
		index, err := strconv.Atoi(filepath.Base(filepath.Dir(log)))
		if err != nil {
			return nil, fmt.Errorf("%s: its folder is no machine's: %w", log, err)
		}
		if said[index], _, err = readWitness(log); err != nil {
			return nil, err
		}
	}
	return said, nil
}

// Events counts the lines of all witnesses under a fleet's folder by phase.
func Events(dir string) (map[Phase]int, error) {
	return count(dir, func(e Event) Phase { return e.Phase })
}

// Orders counts the lines of all witnesses under a fleet's folder by the order
// that the machine carried out.
func Orders(dir string) (map[patching.OrderID]int, error) {
	return count(dir, func(e Event) patching.OrderID { return e.Order })
}

func count[K comparable](dir string, of func(Event) K) (map[K]int, error) {
	said, err := Witnessed(dir)
	n := map[K]int{}
	for _, events := range said {
		for _, e := range events {
			n[of(e)]++
		}
	}
	return n, err
}

// HalfDone returns the packages that the witnesses under a fleet's folder leave
// begun and not configured, by the index of the machine.
func HalfDone(dir string) (map[int][]string, error) {
	said, err := Witnessed(dir)
	half := map[int][]string{}
	for index, events := range said {
		if left := halfDone(events); len(left) > 0 {
			half[index] = left
		}
	}
	return half, err
}

func halfDone(events []Event) (names []string) {
	last := map[[2]string]Event{}
	for _, e := range events {
		last[[2]string{e.Package, e.Arch}] = e
	}
	for _, e := range last {
		if e.Phase != Configured && e.Phase != Removed {
			names = append(names, fmt.Sprintf("%s %s %s", e.Package, e.Version, e.Phase))
		}
	}
	sort.Strings(names)
	return names
}
