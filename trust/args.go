package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode"
)

// Args are the typed arguments of a verb.
type Args interface {
	validate() error
}

// Arguments by verb. None of them carries a command, a URL or a path.
type (
	// NoArgs are those of every verb that takes none.
	NoArgs struct{}
	// RepairArgs say what to repair.
	RepairArgs struct {
		Do RepairKind `json:"do"`
	}
	// SnapshotArgs take or restore a snapshot of a name.
	SnapshotArgs struct {
		Do   SnapshotKind `json:"do"`
		Name string       `json:"name"`
	}
	// NamedArgs name a service, probe or evidence set that the host lists.
	NamedArgs struct {
		Name string `json:"name"`
	}
	// NotifyArgs are shown to the people at the machine as plain text.
	NotifyArgs struct {
		Text string `json:"text"`
	}
	// AgentArgs hold the agent, or update it from the host's own repository.
	AgentArgs struct {
		Do     AgentKind `json:"do"`
		By     string    `json:"by"`
		Reason string    `json:"reason"`
		Until  time.Time `json:"until"`
	}
)

// RepairKind is a way to repair.
type RepairKind string

// SnapshotKind is what is done with a snapshot.
type SnapshotKind string

// AgentKind is what is done with the agent.
type AgentKind string

// The values of typed arguments.
const (
	RepairConfigure RepairKind = "configure" // finish what was interrupted

	SnapshotTake    SnapshotKind = "take"
	SnapshotRestore SnapshotKind = "restore"

	AgentHold   AgentKind = "hold"
	AgentUpdate AgentKind = "update"
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._@-]{0,127}$`)

func (NoArgs) validate() error { return nil }

func (a RepairArgs) validate() error {
	if a.Do != RepairConfigure {
		return fmt.Errorf("%.32q is not a way to repair", a.Do)
	}
	return nil
}

func (a SnapshotArgs) validate() error {
	if a.Do != SnapshotTake && a.Do != SnapshotRestore {
		return fmt.Errorf("%.32q cannot be done with a snapshot", a.Do)
	}
	return NamedArgs{a.Name}.validate()
}

// validate keeps out what a program could take for an option or a path.
func (a NamedArgs) validate() error {
	if !hostName.MatchString(a.Name) {
		return fmt.Errorf("name %.40q: want a letter or digit, then letters, digits and :._@-", a.Name)
	}
	return nil
}

func (a NotifyArgs) validate() error {
	if a.Text == "" || len(a.Text) > 1000 {
		return errors.New("a notice has 1 to 1000 bytes")
	}
	for _, r := range a.Text {
		if r != '\n' && !unicode.IsPrint(r) { // controls, and marks that turn the direction of writing
			return errors.New("a notice has printable characters only")
		}
	}
	return nil
}

func (a AgentArgs) validate() error {
	if a.Do != AgentHold && a.Do != AgentUpdate {
		return fmt.Errorf("%.32q cannot be done with an agent", a.Do)
	}
	if a.By == "" || a.Reason == "" || len(a.By) > maxID || len(a.Reason) > maxRule {
		return errors.New("who and why must be said")
	}
	return nil
}

// ParseArgs reads a verb's arguments strictly.
func ParseArgs(v Verb, raw []byte) (Args, error) {
	switch v {
	case Repair:
		return parseArgs[RepairArgs](raw)
	case Snapshot:
		return parseArgs[SnapshotArgs](raw)
	case Service, Probe, Evidence:
		return parseArgs[NamedArgs](raw)
	case Notify:
		return parseArgs[NotifyArgs](raw)
	case Agent:
		return parseArgs[AgentArgs](raw)
	default:
		return parseArgs[NoArgs](raw)
	}
}

func parseArgs[A Args](raw json.RawMessage) (Args, error) {
	var a A
	if err := Decode(raw, &a); err != nil {
		return nil, err
	}
	return a, a.validate()
}

// NeedsGrant reports whether approvers have to have signed, where the trust
// root asks for grants. Holding an agent takes away, which never needs it.
func (o Order) NeedsGrant() bool {
	spec, _ := o.Verb.Spec()
	if args, err := ParseArgs(o.Verb, o.Args); err == nil {
		if a, ok := args.(AgentArgs); ok && a.Do == AgentHold {
			return false
		}
	}
	return spec.NeedsGrant
}
