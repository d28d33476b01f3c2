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
	"strconv"
	"strings"
)

// A systemd takes about seven inotify instances and says nothing when there are
// none: it never finishes its boot. The kernel's default of 128 is used up by 18
// machines.
const (
	limitFile = "/proc/sys/fs/inotify/max_user_instances"
	enough    = 4096
)

// raised notes what the limit was, for whoever takes the last lab down.
type raised struct {
	Was int `json:"was"`
}

func raisedFile() string { return filepath.Join(Cache(), "inotify.json") }

func readLimit() (int, error) {
	text, err := os.ReadFile(limitFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// raiseLimit is called with a lab's note already on disk.
func raiseLimit(ctx context.Context) error {
	unlock, err := lock(ctx, filepath.Join(Cache(), "limit.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	is, err := readLimit()
	if err != nil || is >= enough {
		return err
	}
	// Noted before it is changed: a kill in between loses nothing.
	if err := writeJSON(raisedFile(), raised{Was: is}); err != nil {
		return err
	}
	if err := os.WriteFile(limitFile, []byte(strconv.Itoa(enough)), 0); err != nil {
		return fmt.Errorf("raise the limit of inotify instances: %w", err)
	}
	return nil
}

// restoreLimit puts the limit back when no lab is left.
func restoreLimit(ctx context.Context) error {
	unlock, err := lock(ctx, filepath.Join(Cache(), "limit.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	labs, err := Labs()
	if err != nil || len(labs) > 0 {
		return err
	}
	text, err := os.ReadFile(raisedFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var r raised
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", raisedFile(), err)
	}
	// Somebody who has set another value since knows better.
	if is, err := readLimit(); err != nil || is != enough {
		return errors.Join(err, os.Remove(raisedFile()))
	}
	if err := os.WriteFile(limitFile, []byte(strconv.Itoa(r.Was)), 0); err != nil {
		return fmt.Errorf("put the limit of inotify instances back: %w", err)
	}
	return os.Remove(raisedFile())
}
