package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// at reports whether the package is where the patch leads, be it half done. No
// removal leads anywhere while the machine runs from the package: it stays.
func (s Standing) at(p patching.Patch) bool { return s.Version == p.To || s.stays(p) }

// stays reports whether a patch would remove what the machine runs from.
func (s Standing) stays(p patching.Patch) bool { return p.Action == patching.Remove && s.Running }

// done reports whether the patch has nothing left to do.
func (s Standing) done(p patching.Patch) bool { return s.at(p) && !s.Broken }

// left returns the patches that are not in place, and the numbers of those
// that are. A broken package is not in place.
func (a *Agent) left(ctx context.Context, patches []patching.Patch) (left []patching.Patch, already []int, err error) {
	standings, err := a.cfg.Machine.Look(ctx, patches)
	if err != nil {
		return nil, nil, err
	}
	for i, p := range patches {
		if standings[i].done(p) {
			already = append(already, i)
		} else {
			left = append(left, p)
		}
	}
	return left, already, nil
}

// changes says what the order has changed by now. What it left half done it has
// changed too.
func (a *Agent) changes(ctx context.Context, w *work, b patching.Bundle) []uplink.Change {
	all := b.Patches()
	standings, err := a.cfg.Machine.Look(ctx, all)
	if err != nil {
		a.log.Warn("could not look at what was changed", zap.Stringer("order", w.Order), zap.Error(err))
		return nil
	}
	var out []uplink.Change
	for i, p := range all {
		if standings[i].at(p) && !standings[i].stays(p) && !slices.Contains(w.Already, i) {
			out = append(out, uplink.Change{Name: p.Name, Arch: p.Arch, From: p.From, To: p.To})
		}
	}
	return out
}

// pending returns the patches that remain to be carried out, and the name of a
// package that is broken at the version that is wanted, if any is: that one has
// to be repaired. One that is broken at another version is merely left to do,
// for installing the wanted version cures it.
func pending(step []patching.Patch, standings []Standing) (left []patching.Patch, broken string) {
	for i, p := range step {
		switch s := standings[i]; {
		case s.done(p):
		case !s.at(p):
			left = append(left, p)
		case broken == "":
			broken = p.Name
		}
	}
	return left, broken
}

// firstBroken returns the name of a package that is broken, at whatever
// version; empty: none is.
func firstBroken(step []patching.Patch, standings []Standing) string {
	for i, p := range step {
		if standings[i].Broken {
			return p.Name
		}
	}
	return ""
}

// outside returns the changes that the patches do not cover. A broken package
// may be installed again in its version: that is none.
func outside(changes []patching.Change, patches []patching.Patch) []patching.Change {
	covered := make(map[patching.Change]bool, len(patches))
	for _, p := range patches {
		covered[patching.Change{Name: p.Name, Arch: p.Arch, From: p.From, To: p.To}] = true
	}
	var out []patching.Change
	for _, c := range changes {
		if c.From != c.To && !covered[c] {
			out = append(out, c)
		}
	}
	return out
}

// describe names changes that nobody approved.
func describe(extra []patching.Change) string {
	var words []string
	for _, c := range extra {
		switch {
		case c.To == "":
			words = append(words, "remove "+c.Name)
		case c.From == "":
			words = append(words, "install "+c.Name+" "+c.To)
		default:
			words = append(words, fmt.Sprintf("%s from %s to %s", c.Name, c.From, c.To))
		}
	}
	return "It would also change: " + list(words)
}

// list joins names, a few of them.
func list(words []string) string {
	const shown = 5
	if len(words) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:shown], ", "), len(words)-shown)
	}
	return strings.Join(words, ", ")
}
