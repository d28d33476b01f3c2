package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// tried is what this machine was given last: going back from it under a pre-approval
// leads to what was there before, and to nothing else.
type tried struct {
	Cycle  patching.CycleID `json:"cycle"`
	Bundle patching.Digest  `json:"bundle"`
	// Already are the numbers of the bundle's patches that were in place before: of these
	// the bundle alone says from where they came, and whoever made it may lie.
	Already []int `json:"already,omitempty"`
}

// then is what has been tried once an order begins that finds some of its patches in
// place. What an earlier order brought there for the same bundle is not of before.
func (t *tried) then(o trust.Order, already []int) *tried {
	if t != nil && t.Cycle == o.Cycle && t.Bundle == o.Bundle {
		already = slices.DeleteFunc(slices.Clone(already), func(n int) bool { return !slices.Contains(t.Already, n) })
	}
	return &tried{o.Cycle, o.Bundle, already}
}

// given returns those of a bundle's patches that the machine was given.
func (t *tried) given(b patching.Bundle) (out []patching.Patch) {
	for n, p := range b.Patches() {
		if !slices.Contains(t.Already, n) {
			out = append(out, p)
		}
	}
	return out
}

// approved looks once more at what an order rests on, before anything is touched: a
// newer trust root may know its approvers no more. An ending says that it does not
// count, or that it is not what was pre-approved.
func (a *Agent) approved(ctx context.Context, w *work, b patching.Bundle) (*ending, error) {
	a.mu.Lock()
	verifier, before := a.verifier(), a.state.Tried
	a.mu.Unlock()
	basis, err := verifier.Basis(w.Order)
	if err == nil && basis.PreApproval != nil {
		err = a.preApproved(ctx, w, b, *basis.PreApproval, before)
	}
	if errors.As(err, new(*outsideApproval)) || trust.WhyOf(err) != "" {
		return &ending{patching.Deferred, patching.ReasonRefused, err.Error(), "not approved"}, nil
	}
	return nil, err
}

// outsideApproval is why work is not what was pre-approved.
type outsideApproval struct{ error }

func (e *outsideApproval) Unwrap() error { return e.error }

// preApproved holds a bundle to the rule under which nobody has to have seen it.
func (a *Agent) preApproved(ctx context.Context, w *work, b patching.Bundle, p trust.PreApproval, before *tried) error {
	if w.Order.Verb == trust.Reboot {
		return nil // it installs nothing
	}
	if w.Order.Verb == trust.Revert {
		return a.leadsBack(ctx, w.Order, b, before)
	}
	if err := p.Covers(b); err != nil {
		return &outsideApproval{err}
	}
	signed, err := a.cfg.Machine.Signers(ctx)
	if err != nil {
		return err
	}
	if len(signed) == 0 {
		return &outsideApproval{errors.New("its packages come from no snapshot: who signed for them cannot be told")}
	}
	for index, signers := range signed {
		if err := p.SignedBy(index, signers); err != nil {
			return &outsideApproval{err}
		}
	}
	return a.comeWithUpgrades(ctx, b)
}

// comeWithUpgrades checks that what a bundle installs anew comes with its upgrades:
// the package manager has to want it when it is asked for the upgrades alone.
func (a *Agent) comeWithUpgrades(ctx context.Context, b patching.Bundle) error {
	var upgrades, installs []patching.Patch
	for _, p := range b.Patches() {
		if p.Action == patching.Install {
			installs = append(installs, p)
		} else {
			upgrades = append(upgrades, p)
		}
	}
	if len(installs) == 0 {
		return nil
	}
	changes, err := a.cfg.Machine.Simulate(ctx, upgrades)
	if err != nil {
		return err
	}
	wanted := make(map[patching.Change]bool, len(changes))
	for _, c := range changes {
		wanted[c] = true
	}
	for _, p := range installs {
		if !wanted[patching.Change{Name: p.Name, Arch: p.Arch, From: p.From, To: p.To}] {
			return &outsideApproval{fmt.Errorf("no upgrade needs %s %s, and nothing else may be installed that was not seen", p.Name, p.To)}
		}
	}
	return nil
}

// leadsBack checks that a bundle undoes what the machine was given last.
func (a *Agent) leadsBack(ctx context.Context, o trust.Order, back patching.Bundle, before *tried) error {
	if before == nil || before.Cycle != o.Cycle {
		return &outsideApproval{fmt.Errorf("nothing was done here in %s that could be taken back", o.Cycle)}
	}
	_, forth, err := a.bundle(ctx, before.Bundle)
	if err != nil {
		return err
	}
	if err := trust.Undoes(back, before.given(forth)); err != nil {
		return &outsideApproval{err}
	}
	return nil
}
