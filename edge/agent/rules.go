package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// RuleFiles reads a machine's rules from a folder that its owner keeps
// (/etc/patchcycle): rules.json with what may be ordered, and the file hold,
// whose mere presence stops the agent from starting anything. Without a
// rules.json nobody has said that the machine may be changed: it only lets
// itself be looked at.
type RuleFiles string

type rulesFile struct {
	Allowed []trust.Verb `json:"allowed"` // absent: all that the agent can do
	Held    []string     `json:"held"`
}

// Rules implements [Host]. Rules that cannot be read, or that others than
// their owner can write, are an error, and nothing starts.
func (f RuleFiles) Rules() (Rules, error) {
	var file rulesFile
	text, err := readOwn(filepath.Join(string(f), "rules.json"))
	if err != nil {
		return Rules{}, err
	}
	if text == nil {
		return Rules{
			Allowed: Looking(), Hold: f.hold(),
			Note: fmt.Sprintf("there is no %s: this machine only lets itself be looked at. Write {} into it to allow all that the agent can do.", filepath.Join(string(f), "rules.json")),
		}, nil
	}
	dec := json.NewDecoder(strings.NewReader(string(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return Rules{}, fmt.Errorf("rules.json: %w", err)
	}
	for _, v := range file.Allowed {
		if _, ok := v.Spec(); !ok {
			return Rules{}, fmt.Errorf("rules.json: %q is not a verb: want some of %v", v, trust.Verbs())
		}
	}
	return Rules{Allowed: file.Allowed, Held: file.Held, Hold: f.hold()}, nil
}

// hold reads the file hold. An empty or unreadable one holds too: whoever
// touched it meant to stop.
func (f RuleFiles) hold() *Hold {
	text, err := os.ReadFile(filepath.Join(string(f), "hold"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	h := Hold{By: "a file on the machine", Reason: "no reason given"}
	if err == nil && len(text) > 0 {
		var said Hold
		if json.Unmarshal(text, &said) == nil && said.By != "" {
			h = said
		} else {
			h.Reason = clip(strings.TrimSpace(string(text)), 200)
		}
	}
	return &h
}

// SetHold writes the file hold.
func (f RuleFiles) SetHold(h Hold) error {
	if h.By == "" || h.Reason == "" {
		return errors.New("hold: say who and why")
	}
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	h.Until = h.Until.UTC().Truncate(time.Second)
	if err := writeFile(filepath.Join(string(f), "hold"), append(trust.Canonical(h), '\n')); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	return nil
}

// LiftHold removes the file hold.
func (f RuleFiles) LiftHold() error {
	err := os.Remove(filepath.Join(string(f), "hold"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// readOwn reads a file that only its owner may write, who is root or whoever we
// run as; nil if there is none.
func readOwn(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s can be written by others than its owner (mode %04o): chmod go-w it", path, info.Mode().Perm())
	}
	if !trustedOwner(info) {
		return nil, fmt.Errorf("%s belongs neither to root nor to the user that the agent runs as: chown root it", path)
	}
	return os.ReadFile(path)
}

// withRules completes an inventory with the verbs that the machine accepts:
// only those that change nothing if its rules cannot be read.
func withRules(a patching.Asset, rules Rules, err error) patching.Asset {
	a.Allowed = []string{}
	for _, v := range trust.Verbs() {
		if rules.allows(v) && (err == nil || slices.Contains(Looking(), v)) {
			a.Allowed = append(a.Allowed, string(v))
		}
	}
	return a
}
