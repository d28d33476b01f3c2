package drill

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Victim is what is killed.
type Victim string

// The victims.
const (
	// Everything is "patchcycle demo" with its fleet: as if the computer's power
	// went.
	Everything Victim = "everything"
	// ServerAlone leaves the fleet at work: machines do not stop with a server.
	ServerAlone Victim = "server alone"
)

// Moment is when it is killed: at an event, or After a while from then.
type Moment struct {
	Kind  Kind           `json:"kind"`
	Event int64          `json:"event,omitempty"`
	Phase patching.Phase `json:"phase,omitempty"`
	After time.Duration  `json:"after_ns,omitempty"`
}

// Kind is what a moment counts from.
type Kind string

// The kinds of moments.
const (
	AtEvent   Kind = "event"     // the n-th line of the machines' witnesses is durable
	InPhase   Kind = "phase"     // the cycle has entered a phase
	Approving Kind = "approving" // an approval is on its way
	Approved  Kind = "approved"  // an approval was acknowledged
	AtStart   Kind = "start"     // the process has just been started, perhaps to recover
)

func (m Moment) String() string {
	switch m.Kind {
	case AtEvent:
		return fmt.Sprintf("at witness event %d", m.Event)
	case InPhase:
		return fmt.Sprintf("%d ms into %s", m.After.Milliseconds(), m.Phase)
	case Approving:
		return fmt.Sprintf("%d ms after an approval was sent", m.After.Milliseconds())
	case Approved:
		return "when an approval was acknowledged"
	case AtStart:
		return fmt.Sprintf("%.1f s after the start", m.After.Seconds())
	default:
		return string(m.Kind)
	}
}

// Run is one cycle with its kills.
type Run struct {
	Number int      `json:"run"`
	Seed   uint64   `json:"seed"`
	Victim Victim   `json:"victim"`
	Kills  []Moment `json:"kills"`
}

// Draw returns run number n (from 1) of a seed. Ten runs in a row have each kind
// of moment for each victim; every second recovery is killed, too.
func Draw(seed uint64, n, machines int) Run {
	chance := rand.New(rand.NewPCG(seed, uint64(n)))
	r := Run{Number: n, Seed: seed, Victim: Everything}
	if n%2 == 0 {
		r.Victim = ServerAlone
	}
	kinds := []Kind{AtEvent, Approved, InPhase, Approving, AtStart}
	turn := (n - 1) / 2
	r.Kills = []Moment{draw(chance, kinds[turn%len(kinds)], machines)}
	if turn%2 == 0 {
		r.Kills = append(r.Kills, draw(chance, AtStart, machines))
	}
	return r
}

// eventsPerMachine is fewer than a machine's witness has at the end.
const eventsPerMachine = 75

func draw(chance *rand.Rand, k Kind, machines int) Moment {
	ms := func(atMost int) time.Duration { return time.Duration(chance.IntN(atMost)) * time.Millisecond }
	m := Moment{Kind: k}
	switch k {
	case AtEvent:
		m.Event = 1 + chance.Int64N(int64(machines)*eventsPerMachine)
	case InPhase:
		phases := []patching.Phase{
			patching.PhaseMonitor, patching.PhasePlan, patching.PhaseTest, patching.PhaseDeploy,
			patching.PhaseVerify, patching.PhaseReport,
		}
		m.Phase = phases[chance.IntN(len(phases))]
		switch m.Phase {
		case patching.PhaseTest, patching.PhaseDeploy: // the long ones
			m.After = ms(12_000)
		case patching.PhaseVerify, patching.PhaseReport: // over in a moment
			m.After = ms(50)
		default:
			m.After = ms(1500)
		}
	case Approving:
		m.After = ms(150)
	case AtStart:
		m.After = ms(8000)
	case Approved: // at once
	}
	return m
}
