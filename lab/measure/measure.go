// Package measure is what programs that measure have in common: what is measured is
// built, and what came of it is kept with the words by whom, when and where.
package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/lab/usage"
)

// Head is what stands above figures.
type Head struct {
	Command    string    `json:"command"`
	Commit     string    `json:"commit"`
	Changed    bool      `json:"changed_files,omitempty"` // files that were not committed were part of it
	Began      time.Time `json:"began"`
	Seconds    float64   `json:"seconds"`
	Cores      int       `json:"cores"`
	Processor  string    `json:"processor"`
	System     string    `json:"system"`
	Go         string    `json:"go"`
	LoadBefore float64   `json:"load_before"`
	LoadAfter  float64   `json:"load_after"`
}

// Begin returns the head of a run that begins now; program is its folder.
func Begin(ctx context.Context, program string, args []string) Head {
	return Head{
		Command: strings.TrimSpace("go run " + program + " " + strings.Join(args, " ")), Began: time.Now().UTC(), LoadBefore: usage.Load(),
		Commit: output(ctx, "git", "rev-parse", "HEAD"), Changed: output(ctx, "git", "status", "--porcelain", "--untracked-files=no", "--", "*.go") != "",
		Cores: runtime.NumCPU(), Processor: processor(), System: output(ctx, "uname", "-sr"), Go: runtime.Version(),
	}
}

// End notes how long it took.
func (h *Head) End() { h.Seconds, h.LoadAfter = time.Since(h.Began).Seconds(), usage.Load() }

// String is the head in a line.
func (h *Head) String() string {
	return fmt.Sprintf("`%s`, commit %.10s, %s, %.0f s; %d cores (%s), %s, %s; load %.1f before, %.1f after.",
		h.Command, h.Commit, h.Began.Format("2006-01-02 15:04 MST"), h.Seconds, h.Cores, h.Processor, h.System, h.Go, h.LoadBefore, h.LoadAfter)
}

// output is what a command prints; empty where it cannot be run.
func output(ctx context.Context, name string, args ...string) string {
	text, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// Build compiles a command of the project into a folder.
func Build(ctx context.Context, dir, name string) (program string, err error) {
	Say("Building %s …", name)
	program = filepath.Join(dir, name)
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/"+name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s (run this in the project's folder): %w\n%s", name, err, out)
	}
	return program, nil
}

// Folder makes the folder for results; empty: a new one.
func Folder(name string) (string, error) {
	if name == "" {
		return os.MkdirTemp("", "patchcycle-bench-")
	}
	return name, os.MkdirAll(name, 0o755)
}

// Keep writes a document of results.
func Keep(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}

// Say tells whoever waits; results go to standard output.
func Say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
