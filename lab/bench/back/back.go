// Package back judges how a fleet came back after the server was away: whether each
// machine's receipts are on record, once, and say what happened on it.
package back

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/patchcycle/patchcycle/patching"
)

// Stage says how many receipts of a stage are on record, and of how many orders.
type Stage struct {
	Name     patching.Stage   `json:"stage"`
	Outcome  patching.Outcome `json:"outcome,omitempty"`
	Receipts int              `json:"receipts"`
	Orders   int              `json:"orders"`
}

// stages are what an order to restart goes through: a receipt each.
var stages = []patching.Stage{patching.StageAccepted, patching.StageFetched, patching.StageStarted, patching.StageRebooting, patching.StageFinished}

// Receipts is how many receipts so many machines send that restart.
func Receipts(machines int) int { return len(stages) * machines }

// Wrong says in words what is lost or twice; empty: nothing. Each machine had one order
// to restart. Strangers are devices that the server does not let in any more, said are the
// boots that the last receipts name, are those that the machines are in.
func Wrong(machines int, on []Stage, strangers int, said, are Boots) string {
	seen := map[patching.Stage]bool{}
	for _, s := range on {
		if seen[s.Name] {
			return fmt.Sprintf("%q has more than one outcome, also %q", s.Name, s.Outcome)
		}
		seen[s.Name] = true
		if s.Receipts != machines || s.Orders != machines {
			return fmt.Sprintf("%d receipts %q of %d orders, want one of each of %d machines", s.Receipts, s.Name, s.Orders, machines)
		}
	}
	for _, name := range stages {
		if !seen[name] {
			return fmt.Sprintf("no receipt %q", name)
		}
	}
	switch {
	case strangers > 0:
		return fmt.Sprintf("%d machines are not let in any more", strangers)
	case len(are) != machines:
		return fmt.Sprintf("%d machines are in boots of their own, want %d", len(are), machines)
	case !maps.Equal(said, are):
		return fmt.Sprintf("the last receipts name %d boots, of which the machines are in %d", len(said), len(said)-said.Without(are))
	}
	return ""
}

// Boots are ids of boots: each start of a machine has its own.
type Boots map[string]bool

// Without counts those that are not among others.
func (b Boots) Without(others Boots) (n int) {
	for id := range b {
		if !others[id] {
			n++
		}
	}
	return n
}

// ReadBoots returns in which boots the machines of a simulated fleet are, as their own
// files say.
func ReadBoots(dir string) (Boots, error) {
	files, err := filepath.Glob(filepath.Join(dir, "machines", "*", "boot.json"))
	if err != nil {
		return nil, err
	}
	are := make(Boots, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var boot struct {
			ID string `json:"id"`
		}
		if err := json.Unmarshal(text, &boot); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		are[boot.ID] = true
	}
	return are, nil
}

// Progress is how many machines were there so many seconds after the server's start.
// Heard are those of which an inventory came that was made since: it is not among what a
// relay keeps for them. Finished are those whose last receipt is on record.
type Progress struct {
	Seconds  float64 `json:"seconds"`
	Heard    int     `json:"heard"`
	Finished int     `json:"finished"`
}

// Curve is how the machines came back.
type Curve []Progress

// Reached is when a share of the machines was there; negative: it never was.
func (c Curve) Reached(share float64, machines int, of func(Progress) int) float64 {
	for _, p := range c {
		if float64(of(p)) >= share*float64(machines) {
			return p.Seconds
		}
	}
	return -1
}
