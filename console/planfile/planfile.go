// Package planfile reads all of a plan, as it is kept far from the server, and computes
// again what approvers sign.
package planfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// File is all of a plan, read and computed again: nothing in it is believed.
type File struct {
	Text string
	Hash patching.Digest
	// Rings are what grants of them would say, in the file's order.
	Rings []trust.RingGrant
	// Bundles are those that machines' bundles are the digests of.
	Bundles map[patching.Digest]patching.Bundle
}

// Read reads what "patchcycle cycle plan file" writes, and computes the plan's
// hash and the Merkle root of each ring.
func Read(text []byte) (File, error) {
	f := File{Bundles: map[patching.Digest]patching.Bundle{}}
	leaves := map[patching.RingName][]wire.PlanMachine{}
	var order []patching.RingName
	wanted := map[patching.Digest]bool{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for n := 1; lines.Scan(); n++ {
		var line wire.PlanFile
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return f, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case line.Plan != "" && f.Text == "":
			f.Text, f.Hash = line.Plan, patching.DigestOf([]byte(line.Plan))
		case line.Plan != "":
			return f, fmt.Errorf("line %d: a second plan", n)
		case line.Machine != nil:
			m := *line.Machine
			if leaves[m.Ring] == nil {
				order = append(order, m.Ring)
			}
			leaves[m.Ring] = append(leaves[m.Ring], m)
			wanted[m.Bundle] = true
			if m.Rollback != "" {
				wanted[m.Rollback] = true
			}
		default:
			b, err := patching.ParseBundle([]byte(line.Bundle))
			if err != nil {
				return f, fmt.Errorf("line %d: bundle: %w", n, err)
			}
			d := patching.DigestOf([]byte(line.Bundle))
			f.Bundles[d] = b
			delete(wanted, d)
		}
	}
	switch {
	case lines.Err() != nil:
		return f, lines.Err()
	case f.Text == "":
		return f, fmt.Errorf("it holds no plan: make it with \"patchcycle cycle plan file\"")
	case len(wanted) > 0:
		return f, fmt.Errorf("it lacks %d bundles that its machines get: it was cut off", len(wanted))
	}
	return f, f.grow(order, leaves)
}

// grow computes the rings' roots, and compares them with those that the plan's text
// names.
func (f *File) grow(order []patching.RingName, leaves map[patching.RingName][]wire.PlanMachine) error {
	for _, name := range order {
		machines := leaves[name]
		slices.SortFunc(machines, func(a, b wire.PlanMachine) int { return strings.Compare(string(a.Device), string(b.Device)) })
		texts := make([][]byte, len(machines))
		for i, m := range machines {
			texts[i] = patching.PlanItem{Device: m.Device, WindowRule: m.Rule, Bundle: m.Bundle, Rollback: m.Rollback}.Leaf(m.DeviceKey)
		}
		root, err := trust.RingRoot(texts)
		if err != nil {
			return err
		}
		if line := fmt.Sprintf("\nring\t%s\t%d\t%s\n", name, len(machines), root); !strings.Contains(f.Text, line) {
			return fmt.Errorf("ring %s: its %d machines come to the root %s, which the plan's text does not name. Do not approve it; tell whoever runs the server", name, len(machines), root)
		}
		f.Rings = append(f.Rings, trust.RingGrant{Ring: name, Root: root, Machines: len(machines)})
	}
	return nil
}

// Check says why grants are not what this plan comes to; nil: they are. All of a text
// that is to be signed follows from the plan, but for fleet and epoch, which are the
// trust root's: what is not compared here, whoever owns the server chooses.
func (f File) Check(g trust.Grants, breakGlass string) error {
	const tell = "Do not sign it; tell whoever runs the server"
	if g.Plan != f.Hash {
		return fmt.Errorf("the text to sign is for plan %s, and the plan comes to %s. %s", g.Plan.Short(), f.Hash.Short(), tell)
	}
	for _, r := range g.Rings {
		if !slices.Contains(f.Rings, r) {
			return fmt.Errorf("the text to sign has ring %s with %d machines and root %s, which is not what its machines come to. %s", r.Ring, r.Machines, r.Root.Short(), tell)
		}
	}
	head := f.head()
	policy, _, _ := strings.Cut(head["policy"], "\t")
	for _, field := range []struct{ name, signed, plan string }{
		{"cycle", string(g.Cycle), head["cycle"]},
		{"kind", string(g.Kind), head["kind"]},
		{"policy", string(g.Policy), policy},
		{"author", string(g.Author), head["author"]},
		{"made", stamp(g.Made), head["made"]},
		{"close by", stamp(g.NotAfter), head["close by"]},
		{"go back until", stamp(g.RevertUntil), stamp(g.NotAfter.Add(trust.RevertCover))},
		// It has a quorum of its own, and the author may sign: who was not asked for that
		// does not sign it.
		{"break-glass", g.BreakGlass, breakGlass},
	} {
		if field.signed != field.plan {
			return fmt.Errorf("the text to sign says %s %q, and not %q. %s", field.name, field.signed, field.plan, tell)
		}
	}
	return nil
}

// stamp is a time as the plan's text has it, to the second.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// head is what the plan's text says before its first ring, by the word in front of it.
func (f File) head() map[string]string {
	head := map[string]string{}
	before, _, _ := strings.Cut(f.Text, "\nring\t")
	for line := range strings.SplitSeq(before, "\n") {
		name, value, _ := strings.Cut(line, "\t")
		if _, again := head[name]; again {
			value = "twice" // no plan says it, and nothing is to be signed for one that does
		}
		head[name] = value
	}
	return head
}
