package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Policy is a policy document as it was applied.
type Policy struct {
	Name    patching.PolicyName  `json:"name"`
	Version patching.Digest      `json:"version" doc:"Address of the document."`
	Applied time.Time            `json:"applied"`
	By      patching.AccountName `json:"by"`
	Source  string               `json:"source,omitempty" doc:"The document itself, where one policy was asked for."`
}

// Policies is a list of them.
type Policies struct {
	Items []Policy `json:"items"`
}

// PolicyProblem is one thing that is wrong with a policy, where, and the way out.
type PolicyProblem struct {
	Severity policy.Severity `json:"severity" enum:"error,warning"`
	File     string          `json:"file"`
	Line     int             `json:"line" doc:"From 1; 0 is the whole file."`
	Column   int             `json:"column" doc:"From 1, in characters."`
	Path     string          `json:"path" doc:"Such as rings[1].gate.answered."`
	Value    string          `json:"value,omitempty"`
	What     string          `json:"what"`
	Way      string          `json:"way"`
	Source   string          `json:"source,omitempty" doc:"The line itself."`
	Width    int             `json:"width,omitempty" doc:"How many characters are meant."`
}

// PolicyProblems translates what package policy found.
func PolicyProblems(all []policy.Problem) []PolicyProblem {
	out := make([]PolicyProblem, 0, len(all))
	for _, p := range all {
		out = append(out, PolicyProblem(p))
	}
	return out
}

// Lint is what was found in a policy document. Warnings do not stop it.
type Lint struct {
	OK       bool                `json:"ok" doc:"Whether the document could be applied."`
	Policy   patching.PolicyName `json:"policy,omitempty" doc:"The name in the document."`
	Problems []PolicyProblem     `json:"problems"`
}

// Applied is the answer to applying a policy.
type Applied struct {
	Policy   Policy          `json:"policy"`
	Changed  bool            `json:"changed" doc:"False: this very document was in force already."`
	Warnings []PolicyProblem `json:"warnings,omitempty"`
	Words    string          `json:"words"`
}

// Calendar says when a policy's monthly cycle starts.
type Calendar struct {
	Policy patching.PolicyName `json:"policy"`
	Words  string              `json:"words" doc:"The rule, for people."`
	Zone   string              `json:"zone"`
	Next   []time.Time         `json:"next" doc:"The coming starts."`
	Notes  []string            `json:"notes,omitempty" doc:"Months in which the clocks jump over the time."`
}

// Schedule is a policy's place in the engine's calendar.
type Schedule struct {
	Policy patching.PolicyName `json:"policy"`
	Paused bool                `json:"paused"`
	Note   string              `json:"note,omitempty"`
	Next   []time.Time         `json:"next,omitempty"`
	Last   []time.Time         `json:"last,omitempty"`
}

// Schedules is a list of them.
type Schedules struct {
	Items []Schedule `json:"items"`
}

// SetSchedule asks for a policy's schedule, by the calendar of the policy in force.
type SetSchedule struct {
	Shadow bool `json:"shadow,omitempty" doc:"The cycles that it starts install nothing."`
}

// Because gives the reason of something.
type Because struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1000"`
}
