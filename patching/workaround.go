package patching

import (
	"maps"
	"slices"
	"time"
)

// WorkAroundState is how far a work-around has come.
type WorkAroundState string

// The states of a work-around, in the order of its life.
const (
	WorkAroundProposed WorkAroundState = "proposed"
	// WorkAroundInPlace: it was applied, and seen to work, on the machines named.
	WorkAroundInPlace WorkAroundState = "in place"
	// WorkAroundLeaving: the patch is in, or it is not wanted any more: it has to go.
	WorkAroundLeaving WorkAroundState = "to be removed"
	WorkAroundRemoved WorkAroundState = "removed"
)

var workAroundStates = []WorkAroundState{WorkAroundProposed, WorkAroundInPlace, WorkAroundLeaving, WorkAroundRemoved}

// WorkAroundStates lists them in order.
func WorkAroundStates() []WorkAroundState { return slices.Clone(workAroundStates) }

// Terminal reports whether the state is final.
func (s WorkAroundState) Terminal() bool { return s == WorkAroundRemoved }

// WorkAround is what makes up for a patch that is not there, or cannot be had yet: from
// its proposal until it is gone again.
type WorkAround struct {
	ID DecisionID
	Subject
	// What is to be done, in words.
	What string
	// Owner is the person or the role that answers for it.
	Owner string
	// Steps are its life, the oldest first; the first one is its proposal.
	Steps []WorkAroundStep
}

// WorkAroundStep is a step in a work-around's life: a fact that stays.
type WorkAroundStep struct {
	WorkAround DecisionID
	State      WorkAroundState
	At         time.Time
	By         AccountName
	Role       Role
	// Assets are the machines on which it was put in place, or from which it was
	// removed; of a removal none are all that are left.
	Assets []AssetID
	// Note says how it was verified that it works, or that it is gone; why, for others.
	Note string
}

// MaxStepAssets is how many machines a step may name; for more take several.
const MaxStepAssets = 1000

// Check says why the work-around cannot be proposed, as a [*Misfit]; nil: it can.
func (w WorkAround) Check() error {
	if w.Advisory == "" && w.CVE == "" && w.Package == "" {
		return misfit("advisory", "say what it makes up for: an advisory, a CVE or a package")
	}
	if err := w.Subject.check(); err != nil {
		return err
	}
	if err := checkSentence("what", w.What, MaxReason, "say what is to be done"); err != nil {
		return err
	}
	if err := checkOwner(w.Owner); err != nil {
		return err
	}
	return checkReason(w.Proposed().Note)
}

// State is how far it has come.
func (w WorkAround) State() WorkAroundState {
	if len(w.Steps) == 0 {
		return WorkAroundProposed
	}
	last := w.Steps[len(w.Steps)-1].State
	if last == WorkAroundRemoved && len(w.InPlace(w.Steps[len(w.Steps)-1].At)) > 0 {
		return WorkAroundLeaving // from some machines, not from all
	}
	return last
}

// Proposed is its first step; zero if it has none.
func (w WorkAround) Proposed() WorkAroundStep {
	if len(w.Steps) == 0 {
		return WorkAroundStep{}
	}
	return w.Steps[0]
}

// InPlace are the machines, sorted, on which it is in place at a time.
func (w WorkAround) InPlace(now time.Time) []AssetID {
	is := map[AssetID]bool{}
	for _, s := range w.Steps {
		switch {
		case s.At.After(now):
		case s.State == WorkAroundInPlace:
			for _, a := range s.Assets {
				is[a] = true
			}
		case s.State == WorkAroundRemoved && len(s.Assets) == 0:
			clear(is)
		case s.State == WorkAroundRemoved:
			for _, a := range s.Assets {
				delete(is, a)
			}
		}
	}
	return slices.Sorted(maps.Keys(is))
}

// Stands reports whether it makes up for the patch on a machine at a time. One that is to
// be removed still does, until it is gone.
func (w WorkAround) Stands(on AssetID, now time.Time) bool {
	_, found := slices.BinarySearch(w.InPlace(now), on)
	return found
}

// Fits says why a step cannot follow on those that are there, as a [*Misfit]; nil: it can.
//
//	proposed ─► in place ─► to be removed ─► removed
//	    │        │    ▲ └────────────────────────▲
//	    └────────┼────┼──────────────────────────┘ given up
//	             └────┘ on more machines
func (w WorkAround) Fits(s WorkAroundStep) error {
	is := w.State()
	if is.Terminal() {
		return misfit("state", "%s is removed, and stays so: propose a new one", w.ID)
	}
	if len(s.Assets) > MaxStepAssets {
		return misfit("assets", "%d machines are more than %d: take several steps", len(s.Assets), MaxStepAssets)
	}
	if err := checkSentence("note", s.Note, MaxReason, "say how that is known, or why: it goes on record"); err != nil {
		return err
	}
	switch s.State {
	case WorkAroundInPlace:
		if len(s.Assets) == 0 {
			return misfit("assets", "name the machines on which it was seen to work: it counts on no others")
		}
	case WorkAroundLeaving:
		if is != WorkAroundInPlace {
			return misfit("state", "%s is %s: only what is in place has to be removed", w.ID, is)
		}
		if len(s.Assets) > 0 {
			return misfit("assets", "it is to be removed from all machines: name none")
		}
	case WorkAroundRemoved:
		return w.leaves(s)
	case WorkAroundProposed:
		return misfit("state", "%s was proposed already: say what happened since: in place, to be removed, removed", w.ID)
	default:
		return misfit("state", "%q is no state of a work-around: want in place, to be removed or removed", s.State)
	}
	return nil
}

func (w WorkAround) leaves(s WorkAroundStep) error {
	is := w.InPlace(s.At)
	for _, a := range s.Assets {
		if _, found := slices.BinarySearch(is, a); !found {
			return misfit("assets", "%s is not in place on %s: name machines on which it is", w.ID, a)
		}
	}
	return nil
}

// Fix is how the patch stands that a work-around makes up for, on a machine.
type Fix string

// How a patch stands. What is not known is empty.
const (
	FixNone    Fix = "none"    // its publisher has none yet
	FixMissing Fix = "missing" // there is one, and the machine has not got it
	FixIn      Fix = "in"      // a fresh inventory shows it
)

// Errand is what a work-around still asks for on a machine.
type Errand string

// The errands.
const (
	ErrandWait   Errand = "wait"   // for a fix: there is none yet
	ErrandPatch  Errand = "patch"  // the work-around is not the end of it
	ErrandRemove Errand = "remove" // it has outlived its patch: a task for a person
	ErrandLook   Errand = "look"   // nobody knows how the patch stands there
)

// Errands say what is left to do on each machine on which it is in place. A machine that
// is not among the fixes is one of which nothing is known.
func (w WorkAround) Errands(fixes map[AssetID]Fix, now time.Time) map[AssetID]Errand {
	left := map[AssetID]Errand{}
	for _, a := range w.InPlace(now) {
		switch fixes[a] {
		case FixNone:
			left[a] = ErrandWait
		case FixMissing:
			left[a] = ErrandPatch
		case FixIn:
			left[a] = ErrandRemove
		default:
			left[a] = ErrandLook
		}
	}
	return left
}

// Placed is when it was put in place on a machine the last time; zero: never.
func (w WorkAround) Placed(on AssetID) (at time.Time) {
	for _, s := range w.Steps {
		if s.State == WorkAroundInPlace && slices.Contains(s.Assets, on) {
			at = s.At
		}
	}
	return at
}

// Removal is the task to remove a work-around from a machine that has its patch: one each
// time that it was put in place there.
func (w WorkAround) Removal(from AssetID, in CycleID, now, due time.Time) Task {
	return Task{
		ID:    TaskID("t-" + DigestOf([]byte("work-around\n"+string(w.ID)+"\n"+string(from)+"\n"+w.Placed(from).UTC().Format(time.RFC3339Nano))).Short()),
		Cycle: in, Asset: from, Cause: ReasonWorkAround, Owner: w.Owner, Opened: now, Due: due, State: TaskOpen,
		Tried: "Work-around " + string(w.ID) + " for " + w.Words() + ": " + w.What,
		Steps: "1. Undo on the machine what the work-around did: " + w.What + "\n" +
			"2. See that the machine works without it.\n" +
			"3. Say so: patchcycle workaround done " + string(w.ID) + " --machine " + string(from) + " --note \"how it was checked\"",
	}
}
