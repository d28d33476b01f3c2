package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/lab/measure"
)

// profiles takes CPU profiles of the server, one after the other, for as long
// as a cycle runs. Profiling costs about a percent.
type profiles struct {
	dir  string
	ctx  context.Context
	end  context.CancelFunc
	done chan struct{}
	err  error
}

// profileSeconds is the length of one.
const profileSeconds = 10

func startProfiles(ctx context.Context, s *server, dir string) *profiles {
	p := &profiles{dir: dir, ctx: ctx, done: make(chan struct{})}
	more, end := context.WithCancel(ctx)
	p.end = end
	go func() {
		defer close(p.done)
		p.err = os.MkdirAll(dir, 0o755)
		for n := 0; p.err == nil && more.Err() == nil; n++ {
			p.err = p.take(s, n)
		}
	}()
	return p
}

// take runs to its end when the cycle has closed meanwhile: a server that rests
// adds next to nothing.
func (p *profiles) take(s *server, n int) error {
	f, err := os.Create(filepath.Join(p.dir, fmt.Sprintf("cpu-%03d.pprof", n)))
	if err != nil {
		return err
	}
	defer f.Close()
	return get(p.ctx, s.measures, fmt.Sprintf("/debug/pprof/profile?seconds=%d", profileSeconds), func(r io.Reader) error {
		_, err := io.Copy(f, r)
		return err
	})
}

func (p *profiles) stop() {
	p.end()
	<-p.done
}

// parts says which part of the server a stack is of: the first whose name
// stands in it.
var parts = []category{
	{"Temporal server", []string{"go.temporal.io/server"}},
	{"uplink: what machines say and fetch", []string{"patchcycle/edge/root"}},
	{"activities", []string{"patchcycle/activities", "patchcycle/report"}},
	{"API", []string{"patchcycle/console/api"}},
	{"Temporal worker (SDK, workflows)", []string{"go.temporal.io/sdk", "patchcycle/workflows"}},
	{"gRPC between worker and Temporal server", []string{"google.golang.org/grpc", "golang.org/x/net/http2"}},
	{"HTTP", []string{"net/http"}},
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.bgsweep", "runtime.bgscavenge"}},
}

// kinds says what a stack does, whoever asked for it.
var kinds = []category{
	{"garbage collection", []string{"runtime.gcBgMarkWorker", "runtime.gcAssistAlloc", "runtime.bgsweep", "runtime.bgscavenge"}},
	{"SQLite", []string{"modernc.org/sqlite"}},
	{"PostgreSQL's client", []string{"jackc/pgx"}},
	{"signatures and digests", []string{"crypto/"}},
	{"JSON", []string{"encoding/json"}},
	{"protobuf and gRPC", []string{"google.golang.org/"}},
	{"scheduler", []string{"runtime.schedule", "runtime.findRunnable", "runtime.mcall"}},
}

type category struct {
	name  string
	marks []string
}

// shares reads all profiles as one and says where the time went. The sums are
// kept as text too, for people.
func (p *profiles) shares(ctx context.Context) (byPart, byKind []share, err error) {
	if p.err != nil {
		return nil, nil, fmt.Errorf("profile the server: %w", p.err)
	}
	files, err := filepath.Glob(filepath.Join(p.dir, "cpu-*.pprof"))
	if err != nil || len(files) == 0 {
		return nil, nil, fmt.Errorf("no profiles in %s: %w", p.dir, err)
	}
	top, err := pprof(ctx, append([]string{"-top", "-cum", "-nodecount=300"}, files...))
	if err != nil {
		return nil, nil, err
	}
	if err := os.WriteFile(filepath.Join(p.dir, "top.txt"), top, 0o644); err != nil {
		return nil, nil, err
	}
	traces, err := pprof(ctx, append([]string{"-traces", "-unit=ms", "-nodefraction=0"}, files...))
	if err != nil {
		return nil, nil, err
	}
	part, kind := map[string]float64{}, map[string]float64{}
	eachStack(traces, func(ms float64, stack string) {
		part[nameOf(parts, stack)] += ms
		kind[nameOf(kinds, stack)] += ms
	})
	return inOrder(part), inOrder(kind), nil
}

func pprof(ctx context.Context, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof: %w\n%s", err, stderr.Bytes())
	}
	return out, nil
}

// eachStack reads what "pprof -traces" prints: after a line of dashes, a value
// with the innermost function, then its callers, one a line.
func eachStack(text []byte, do func(ms float64, stack string)) {
	var ms float64
	var stack strings.Builder
	flush := func() {
		if ms > 0 {
			do(ms, stack.String())
		}
		ms = 0
		stack.Reset()
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "-----------") {
			flush()
			continue
		}
		var v float64
		if n, err := fmt.Sscanf(line, "%fms", &v); err == nil && n == 1 {
			ms = v
		}
		stack.WriteString(line)
		stack.WriteByte('\n')
	}
	flush()
}

func nameOf(of []category, stack string) string {
	for _, c := range of {
		if slices.ContainsFunc(c.marks, func(m string) bool { return strings.Contains(stack, m) }) {
			return c.name
		}
	}
	return "the rest"
}

func inOrder(ms map[string]float64) []share {
	total := 0.0
	for _, v := range ms {
		total += v
	}
	out := make([]share, 0, len(ms))
	for name, v := range maps.All(ms) {
		out = append(out, share{name, 100 * v / max(total, 1), v / 1000})
	}
	slices.SortFunc(out, func(a, b share) int { return int(b.Seconds*1000) - int(a.Seconds*1000) })
	return out
}

// measurePure runs the benchmarks of what decides and verifies, in the form
// that benchstat compares.
func measurePure(ctx context.Context, dir string) error {
	f, err := os.Create(filepath.Join(dir, "pure.txt"))
	if err != nil {
		return err
	}
	defer f.Close()
	for _, run := range [][]string{
		{"-bench", "Build|Match", "./patching/plan", "./patching/policy"},
		{"-bench", "Order|RingRoot", "./trust"},
		{"-bench", "TakeReports|Tally|PutPlan", "./store/sqlite", "./store/postgres"},
	} {
		measure.Say("go test %s", strings.Join(run, " "))
		ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
		cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-run", "^$", "-benchmem", "-count", "3", "-benchtime", "1s"}, run...)...)
		cmd.Stdout, cmd.Stderr = f, os.Stderr
		err := cmd.Run()
		cancel()
		if err != nil {
			return fmt.Errorf("benchmarks %v: %w", run, err)
		}
	}
	return nil
}
