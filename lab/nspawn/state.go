//go:build linux

package nspawn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// State is a lab's note of itself. It is on disk before anything is made, and it
// names everything by the lab's name: what a killed process left can be found.
type State struct {
	Name string `json:"name"`
	// Keeper is the process that holds the lab, with the moment of its start
	// as the kernel counts it, because numbers of processes come back.
	Keeper int    `json:"keeper"`
	Began  string `json:"began"`
	Base   string `json:"base"`
	// Ready says that every machine that was asked for has started.
	Ready bool     `json:"ready"`
	Hosts []string `json:"hosts"`
}

var names = regexp.MustCompile(`^[a-z][a-z0-9-]{0,23}$`)

func labDir(name string) string { return filepath.Join(Cache(), "labs", name) }

func labGroup(name string) group { return group("patchcycle-lab-" + name) }

func (s State) save() error { return writeJSON(filepath.Join(labDir(s.Name), "state.json"), s) }

// Load reads the note of a lab; [fs.ErrNotExist] if there is no such lab.
func Load(name string) (State, error) {
	if !names.MatchString(name) {
		return State{}, fmt.Errorf("%q is no name of a lab: write small letters, digits and dashes", name)
	}
	text, err := os.ReadFile(filepath.Join(labDir(name), "state.json"))
	if err != nil {
		return State{}, err
	}
	var s State
	if err := json.Unmarshal(text, &s); err != nil {
		return State{}, fmt.Errorf("state of lab %s: %w", name, err)
	}
	return s, nil
}

// Labs lists what stands, or was left, by name.
func Labs() ([]State, error) {
	entries, err := os.ReadDir(filepath.Join(Cache(), "labs"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []State
	for _, e := range entries {
		s, err := Load(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			s = State{Name: e.Name()} // killed before its first note
		} else if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// Alive says whether the lab's own process still runs.
func (s State) Alive() bool { return s.Keeper > 0 && s.Began != "" && startOf(s.Keeper) == s.Began }

// startOf is the 22nd field of proc_pid_stat(5); the second, in brackets, may
// hold blanks.
func startOf(pid int) string {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	_, rest, _ := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), " ")
	if f := strings.Fields(rest); len(f) > 19 {
		return f[19]
	}
	return ""
}

// TakeDown removes a lab by its name: it asks its process to end, ends it if it
// does not, and removes what is left. It is what to call for a lab whose process
// was killed. A lab that does not exist is no error.
func TakeDown(ctx context.Context, name string) error {
	s, err := Load(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.Alive() && s.Keeper != os.Getpid() {
		if err := unix.Kill(s.Keeper, unix.SIGTERM); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("end lab %s: %w", name, err)
		}
		err := await(ctx, time.Minute, "the lab to end by itself", func() (bool, error) { return !s.Alive(), nil })
		if err != nil && ctx.Err() != nil {
			return err
		}
		if s.Alive() {
			_ = unix.Kill(s.Keeper, unix.SIGKILL)
		}
	}
	return removeAlone(ctx, name)
}

// removeAlone is removeLab while nobody else sweeps: half a lab looks like one
// whose process is gone.
func removeAlone(ctx context.Context, name string) error {
	if !exists(Cache()) {
		return nil
	}
	unlock, err := lock(ctx, filepath.Join(Cache(), "labs.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	return removeLab(ctx, name)
}

// removeLab kills, unmounts and deletes what carries the lab's name, in this
// order: what is in use cannot be unmounted.
func removeLab(ctx context.Context, name string) error {
	if !names.MatchString(name) {
		return fmt.Errorf("%q is no name of a lab", name)
	}
	if err := labGroup(name).remove(ctx); err != nil {
		return err
	}
	if err := removeTraces(name); err != nil {
		return err
	}
	// Killed machines take a moment to let go of their file systems.
	err := await(ctx, 20*time.Second, "the lab's folder to go", func() (bool, error) {
		err := removeTree(labDir(name))
		return err == nil, err
	})
	if err != nil {
		return err
	}
	return restoreLimit(ctx)
}

// machine is a machine's name for nspawn, which keeps folders by it that all
// labs share.
func machine(lab, host string) string { return "pclab-" + lab + "-" + host }

// removeTraces removes what nspawn leaves in /run when it is killed: a folder by
// the machine's name, and a lock by the device and number of its root.
func removeTraces(lab string) error {
	hosts, err := os.ReadDir(filepath.Join(labDir(lab), "hosts"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	const dir = "/run/systemd/nspawn"
	for _, h := range hosts {
		if err := os.RemoveAll(filepath.Join(dir, "propagate", machine(lab, h.Name()))); err != nil {
			return err
		}
		var at unix.Stat_t
		if err := unix.Stat(filepath.Join(labDir(lab), "hosts", h.Name(), "root"), &at); err == nil {
			os.Remove(filepath.Join(dir, "locks", fmt.Sprintf("inode-%d:%d", at.Dev, at.Ino)))
		}
	}
	return nil
}
