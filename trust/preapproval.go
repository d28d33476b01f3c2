package trust

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// PreApproval lets machines be patched before anybody has seen the plan: the test
// ring, by a rule. An owned server can choose among what the vendors have signed,
// on these machines, in these windows; and nothing else.
type PreApproval struct {
	V      int                 `json:"v"` // format: 1
	Fleet  string              `json:"fleet"`
	Epoch  int64               `json:"epoch"`
	Policy patching.PolicyName `json:"policy"`
	// Root is the Merkle root over [PreApprovedLeaf] of the machines, Machines how
	// many there are.
	Root     patching.Digest `json:"root"`
	Machines int             `json:"machines"`
	// Rule is what may be done: [UpgradeRule].
	Rule string `json:"rule"`
	// Keys are the OpenPGP fingerprints of the repositories that count, 40 or 64
	// hexadecimal digits in capitals, sorted. Each index that packages come from has to be signed
	// by one of them, beside all that the machine's own package manager asks.
	Keys      []string  `json:"keys"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// RevertUntil is the deadline of going back to what was there before.
	RevertUntil time.Time `json:"revert_until"`
}

// UpgradeRule is the only rule so far: upgrade what is installed, with what that
// depends on from the same repositories; remove nothing, install no older version.
const UpgradeRule = "upgrade"

// MaxPreApproval is for how long machines may be pre-approved: a quarter, after
// which people look again.
const MaxPreApproval = 90 * 24 * time.Hour

const maxRepositoryKeys = 64

var fingerprint = regexp.MustCompile(`^[0-9A-F]{40}([0-9A-F]{24})?$`)

func noFingerprint(s string) bool { return !fingerprint.MatchString(s) }

// PreApprovedLeaf returns the text of a machine's leaf in a pre-approval's tree.
func PreApprovedLeaf(device patching.DeviceID, deviceKey patching.Digest, rule string) []byte {
	return fmt.Appendf(nil, "pre-approved v1\n%s\n%s\n%s\n", device, deviceKey, rule)
}

// Text is what is signed.
func (p PreApproval) Text() []byte { return Canonical(p) }

// Validate checks all that can be said of the document by itself.
func (p PreApproval) Validate() error {
	switch {
	case p.V != 1:
		return refuse(WhyFormat, "pre-approval of format %d, this program reads 1", p.V)
	case p.Fleet == "" || p.Epoch < 1 || p.Policy == "" || !p.Root.Valid() || p.Machines < 1:
		return refuse(WhyForm, "pre-approval: fleet, epoch, policy, root and machines must be given")
	case p.Rule != UpgradeRule:
		return refuse(WhyForm, "pre-approval: %.32q is no rule, want %q", p.Rule, UpgradeRule)
	case len(p.Keys) == 0 || len(p.Keys) > maxRepositoryKeys || !slices.IsSorted(p.Keys) || slices.ContainsFunc(p.Keys, noFingerprint):
		return refuse(WhyForm, "pre-approval: want the fingerprints of 1 to %d repository keys, in capitals, sorted", maxRepositoryKeys)
	case !spelledOnce(p.NotBefore, p.NotAfter, p.RevertUntil):
		return refuse(WhyForm, "pre-approval: times are in UTC, to the millisecond")
	case !p.NotAfter.After(p.NotBefore) || p.NotAfter.Sub(p.NotBefore) > MaxPreApproval:
		return refuse(WhyForm, "pre-approval from %s to %s: at most %d days", p.NotBefore, p.NotAfter, MaxPreApproval/(24*time.Hour))
	case p.RevertUntil.Before(p.NotAfter) || p.RevertUntil.Sub(p.NotAfter) > RevertCover:
		return refuse(WhyForm, "pre-approval: going back is covered until %s, at most %d days longer", p.RevertUntil, RevertCover/(24*time.Hour))
	}
	return nil
}

// ReadPreApproval reads a pre-approval, whoever has signed it.
func ReadPreApproval(text []byte) (PreApproval, error) {
	var p PreApproval
	if err := Decode(text, &p); err != nil {
		return PreApproval{}, refuse(WhyForm, "pre-approval: %w", err)
	}
	return p, p.Validate()
}

// SignedBy says why an index's signers are not whom the pre-approval names; nil:
// one of them is.
func (p PreApproval) SignedBy(index string, signers []string) error {
	if slices.ContainsFunc(signers, func(s string) bool { return slices.Contains(p.Keys, s) }) {
		return nil
	}
	return fmt.Errorf("%s is signed by %q, and only packages signed by %q are pre-approved", index, signers, p.Keys)
}

// Covers says why a bundle is not what was pre-approved; nil: it is, if what it
// installs anew comes with the upgrades, which only the package manager can tell.
func (p PreApproval) Covers(b patching.Bundle) error {
	order, known := version.OrderOf(b.Manager)
	if !known {
		return fmt.Errorf("how the versions of %q follow on each other is not known", b.Manager)
	}
	upgrades := 0
	for _, patch := range b.Patches() {
		switch patch.Action {
		case patching.Upgrade:
			if !order.Older(patch.From, patch.To) {
				return fmt.Errorf("%s %s is not newer than %s", patch.Name, patch.To, patch.From)
			}
			upgrades++
		case patching.Install:
		default:
			return fmt.Errorf("to %s %s was not pre-approved: only upgrades are", patch.Action, patch.Name)
		}
	}
	if upgrades == 0 && len(b.Patches()) > 0 {
		return errors.New("it upgrades nothing that is installed")
	}
	return nil
}

// Undoes says why a bundle does not lead back to where others began; nil: it does, or a
// part of the way. Forth are the patches that the machine was given: what had come there
// otherwise is not taken back.
func Undoes(back patching.Bundle, forth []patching.Patch) error {
	type step struct{ name, arch, from, to string }
	undo := map[step]bool{}
	for _, p := range forth {
		undo[step{p.Name, p.Arch, p.To, p.From}] = true
	}
	for _, p := range back.Patches() {
		if !undo[step{p.Name, p.Arch, p.From, p.To}] {
			return fmt.Errorf("%s from %q to %q is not the way back from what this machine was given", p.Name, p.From, p.To)
		}
	}
	return nil
}
