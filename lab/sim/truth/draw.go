package truth

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Machine is what is really so on one machine.
type Machine struct {
	// Index is from 0; a machine keeps its index, and all that follows from
	// it, in a larger fleet of the same seed and sites.
	Index int
	Site  Site
	// Role is a role of the archive fixture, Variant says how far the machine
	// was patched when it enters the stage.
	Role    string
	Variant Variant
	// Facts is what the machine says of itself, without what is installed.
	Facts patching.Asset
	// Trouble is what is wrong with the machine itself.
	Trouble Trouble
	// Breaks maps a package to what its bad version does on this machine.
	Breaks map[string]Bad
}

// Variant is how far a machine was patched before the first cycle.
type Variant int

// The variants. Half-patched machines are of two kinds, so that a role has
// four package sets.
const (
	Behind Variant = iota
	HalfA
	HalfB
	Current
)

// Trouble is what is wrong with a machine.
type Trouble struct {
	Dead        bool
	Flaky       bool
	DiskFull    bool
	ObserveOnly bool
	// Clock is added to the real time.
	Clock time.Duration
	// Drag multiplies every duration; 1 is normal.
	Drag float64
}

// Draw returns the machines of a profile, by index.
func Draw(p Profile) ([]Machine, error) {
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("fleet profile: %w", err)
	}
	machines := make([]Machine, p.Machines)
	for i := range machines {
		machines[i] = drawMachine(p, i)
	}
	p.trouble(machines)
	return machines, nil
}

func drawMachine(p Profile, i int) Machine {
	r := rand.New(rand.NewPCG(p.Seed, uint64(i)))
	m := Machine{Index: i, Site: p.Sites[i%len(p.Sites)], Trouble: Trouble{Drag: 1}, Breaks: map[string]Bad{}}
	kind := drawRole(r)
	m.Role = kind.name
	m.Variant = drawVariant(r)
	m.Facts = drawFacts(r, m, kind)
	for _, b := range p.Bad {
		// Not r: one more bad patch must not change the rest of the fleet.
		if share(p.Seed, i, b.Package) < b.Rate {
			m.Breaks[b.Package] = b
		}
	}
	return m
}

// share is a number from 0 to 1 that depends on all its arguments.
func share(seed uint64, machine int, what string) float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d\x00%d\x00%s", seed, machine, what)
	return rand.New(rand.NewPCG(seed, h.Sum64())).Float64()
}

func drawVariant(r *rand.Rand) Variant {
	switch n := r.IntN(100); {
	case n < 66:
		return Behind
	case n < 78:
		return HalfA
	case n < 90:
		return HalfB
	default:
		return Current
	}
}

// Patched says of a half-patched image whether an update of that source
// package was taken before: all machines of an image have to agree.
func Patched(seed uint64, role string, v Variant, source string) bool {
	switch v {
	case Behind:
		return false
	case Current:
		return true
	default:
		return share(seed, int(v), role+"\x00"+source) < 0.5
	}
}

// trouble gives the profile's counts to machines drawn without repetition.
func (p Profile) trouble(machines []Machine) {
	order := rand.New(rand.NewPCG(p.Seed, 0x74726f75626c65)).Perm(len(machines))
	take := func(n int, give func(*Trouble)) {
		for _, i := range order[:n] {
			give(&machines[i].Trouble)
		}
		order = order[n:]
	}
	take(p.Dead, func(t *Trouble) { t.Dead = true })
	take(p.Flaky, func(t *Trouble) { t.Flaky = true })
	take(p.ClockOff, func(t *Trouble) { t.Clock = -72 * time.Hour })
	take(p.DiskFull, func(t *Trouble) { t.DiskFull = true })
	take(p.Slow, func(t *Trouble) { t.Drag = 20 })
	take(p.ObserveOnly, func(t *Trouble) { t.ObserveOnly = true })
}
