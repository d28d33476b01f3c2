package report

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
)

// Source is where a report's facts come from; *store.Store is one.
type Source interface {
	Cycle(ctx context.Context, id patching.CycleID) (patching.Cycle, error)
	Plans(ctx context.Context, c patching.CycleID) ([]patching.Plan, error)
	Outlooks(ctx context.Context, c patching.CycleID) (map[patching.Digest]plan.Outlook, error)
	Standing(ctx context.Context, c patching.CycleID) (plan.Standing, error)
	Deployments(ctx context.Context, f store.DeploymentFilter) ([]patching.Deployment, error)
	Receipts(ctx context.Context, d patching.DeviceID, c patching.CycleID) ([]patching.Receipt, error)
	Corrections(ctx context.Context, c patching.CycleID) ([]store.Correction, error)
	Diagnoses(ctx context.Context, c patching.CycleID) ([]store.DiagnosisRow, error)
	Assets(ctx context.Context, f store.AssetFilter) ([]patching.Asset, error)
	CountAssets(ctx context.Context) (int, error)
	Contents(ctx context.Context, ds []patching.Digest) (map[patching.Digest][]byte, error)
	PolicyVersions(ctx context.Context, name patching.PolicyName) ([]store.PolicyVersion, error)
	Approvals(ctx context.Context, c patching.CycleID) ([]patching.Approval, error)
	Accounts(ctx context.Context, asOf time.Time) ([]patching.Account, error)
	Decisions(ctx context.Context, c patching.CycleID) ([]store.DecisionRow, error)
	Tasks(ctx context.Context, f store.TaskFilter) ([]patching.Task, error)
	Audit(ctx context.Context, after int64, limit int) ([]patching.AuditEntry, error)
	VerifyAudit(ctx context.Context) (entries int64, err error)
}

// facts are what was gathered of one cycle, before anything is made of it.
type facts struct {
	now         time.Time
	cycle       patching.Cycle
	applied     store.PolicyVersion // zero: not on record
	policy      *policy.Policy      // nil: its text cannot be read
	plans       []patching.Plan     // by revision
	outlooks    map[patching.Digest]plan.Outlook
	standing    *plan.Standing // nil: nobody has looked
	deployments []patching.Deployment
	assets      map[patching.AssetID]patching.Asset
	known       int // assets on file, of any cycle or none
	bundles     map[patching.Digest]patching.Bundle
	// before is what machines answered before they were rolled back: the
	// deployment then holds the answer to the roll-back.
	before map[patching.AssetID]patching.Receipt
	// offers says which packages a candidate set has, of those that failed on
	// the test ring; nil where the plan lost nothing.
	offers      map[patching.Digest]map[string]bool
	approvals   []patching.Approval
	roles       map[int64]map[patching.AccountName][]patching.Role // by the vote's microsecond
	decisions   []store.DecisionRow
	tasks       []patching.Task
	corrections []store.Correction
	diagnoses   []store.DiagnosisRow
	trail       []patching.AuditEntry // entries about this cycle
	entries     int64                 // of the whole chain
	head        patching.Digest
	broken      string
	gaps        []string
}

// gather reads everything. Deployments are read once: whatever else moves
// meanwhile, the counts of an open cycle add up.
func gather(ctx context.Context, src Source, id patching.CycleID, now time.Time) (*facts, error) {
	f := &facts{now: now.UTC()}
	for _, step := range []func(context.Context, Source, patching.CycleID) error{
		f.gatherCycle, f.gatherPolicy, f.gatherMachines, f.gatherBundles, f.gatherBefore, f.gatherOffers, f.gatherPeople, f.gatherTrail,
	} {
		if err := step(ctx, src, id); err != nil {
			return nil, fmt.Errorf("gather the report of %s: %w", id, err)
		}
	}
	return f, nil
}

// gap notes what the report has to do without.
func (f *facts) gap(format string, args ...any) {
	f.gaps = append(f.gaps, fmt.Sprintf(format, args...))
}

func (f *facts) gatherCycle(ctx context.Context, src Source, id patching.CycleID) error {
	var err error
	if f.cycle, err = src.Cycle(ctx, id); err != nil {
		return err
	}
	if f.plans, err = src.Plans(ctx, id); err != nil {
		return err
	}
	if f.outlooks, err = src.Outlooks(ctx, id); err != nil {
		return err
	}
	switch st, err := src.Standing(ctx, id); {
	case err == nil:
		f.standing = &st
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if f.decisions, err = src.Decisions(ctx, id); err != nil {
		return err
	}
	if f.tasks, err = src.Tasks(ctx, store.TaskFilter{Cycle: id}); err != nil {
		return err
	}
	if f.diagnoses, err = src.Diagnoses(ctx, id); err != nil {
		return err
	}
	f.corrections, err = src.Corrections(ctx, id)
	return err
}

// gatherPolicy reads the version that the cycle ran under, not the one in force.
func (f *facts) gatherPolicy(ctx context.Context, src Source, _ patching.CycleID) error {
	want := f.cycle.PolicyVersion
	versions, err := src.PolicyVersions(ctx, f.cycle.Policy)
	if err != nil {
		return err
	}
	for _, v := range versions {
		// The newest is first; a version applied twice began to hold with the
		// last time before the cycle.
		if v.Digest == want && (f.applied.Digest == "" || f.applied.Applied.After(f.cycle.Opened)) {
			f.applied = v
		}
	}
	if f.applied.Digest == "" {
		f.gap("The policy version %s is not on record.", want.Short())
		return nil
	}
	if f.policy, err = policy.Adopted(string(f.cycle.Policy), f.applied.Source); err != nil {
		f.gap("The policy version %s cannot be read any more: %s", want.Short(), err)
		return nil
	}
	if n := len(f.plans); n > 0 {
		f.policy = f.policy.With(f.plans[n-1].RingNames()...)
	}
	return nil
}

func (f *facts) gatherMachines(ctx context.Context, src Source, id patching.CycleID) error {
	var err error
	if f.deployments, err = src.Deployments(ctx, store.DeploymentFilter{Cycle: id}); err != nil {
		return err
	}
	ids := make([]patching.AssetID, len(f.deployments))
	for i := range f.deployments {
		ids[i] = f.deployments[i].Asset
	}
	f.assets = make(map[patching.AssetID]patching.Asset, len(ids))
	if len(ids) > 0 {
		assets, err := src.Assets(ctx, store.AssetFilter{IDs: ids})
		if err != nil {
			return err
		}
		for _, a := range assets {
			f.assets[a.ID] = a
		}
	}
	f.known, err = src.CountAssets(ctx)
	return err
}

func (f *facts) gatherBundles(ctx context.Context, src Source, _ patching.CycleID) error {
	named := map[patching.Digest]bool{}
	var digests []patching.Digest
	for i := range f.deployments {
		d := &f.deployments[i]
		for _, b := range []patching.Digest{d.Bundle, d.Would} {
			if b != "" && !named[b] {
				named[b] = true
				digests = append(digests, b)
			}
		}
	}
	f.bundles = make(map[patching.Digest]patching.Bundle, len(digests))
	texts, err := contents(ctx, src, digests)
	if err != nil {
		return err
	}
	for _, d := range digests {
		text, kept := texts[d]
		if !kept {
			f.gap("The list of patches %s is not in the store any more.", d.Short())
			continue
		}
		b, err := patching.ParseBundle(text)
		if err != nil {
			f.gap("The list of patches %s cannot be read: %s", d.Short(), err)
			continue
		}
		f.bundles[d] = b
	}
	return nil
}

func contents(ctx context.Context, src Source, digests []patching.Digest) (map[patching.Digest][]byte, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	return src.Contents(ctx, digests)
}

// gatherBefore finds what the machines that were rolled back had said of the
// patch: one question a machine, and few machines.
func (f *facts) gatherBefore(ctx context.Context, src Source, id patching.CycleID) error {
	f.before = map[patching.AssetID]patching.Receipt{}
	for i := range f.deployments {
		d := &f.deployments[i]
		undone := d.Outcome == patching.RolledBack || d.Reason == patching.ReasonRollBackFailed || d.Reason == patching.ReasonIrreversible
		if !undone || d.Device == "" || d.Order == "" {
			continue
		}
		receipts, err := src.Receipts(ctx, d.Device, id)
		if err != nil {
			return err
		}
		for _, r := range receipts {
			if r.Order == d.Order && r.Stage.Terminal() {
				f.before[d.Asset] = r
				break
			}
		}
	}
	return nil
}

// gatherOffers looks, where a plan may have lost patches after the test ring,
// who is still offered them. Candidate sets are read in pieces: a fleet of
// 100,000 has a few thousand of them.
func (f *facts) gatherOffers(ctx context.Context, src Source, _ patching.CycleID) error {
	suspects := f.suspects()
	if len(suspects) == 0 {
		return nil
	}
	f.offers = map[patching.Digest]map[string]bool{}
	var digests []patching.Digest
	for _, a := range f.assets {
		if _, known := f.offers[a.Candidates]; a.Candidates != "" && !known {
			f.offers[a.Candidates] = map[string]bool{}
			digests = append(digests, a.Candidates)
		}
	}
	for some := range slices.Chunk(digests, 200) {
		texts, err := contents(ctx, src, some)
		if err != nil {
			return err
		}
		for d, text := range texts {
			set, err := patching.ParseCandidateSet(text)
			if err != nil {
				f.gap("What is offered to some machines (%s) cannot be read: %s", d.Short(), err)
				continue
			}
			for _, c := range set.Candidates {
				if suspects[c.Name] != nil {
					f.offers[d][c.Name] = true
				}
			}
		}
	}
	return nil
}

// gatherPeople reads the votes, and which roles the voters held at the time.
func (f *facts) gatherPeople(ctx context.Context, src Source, id patching.CycleID) error {
	var err error
	if f.approvals, err = src.Approvals(ctx, id); err != nil {
		return err
	}
	f.roles = map[int64]map[patching.AccountName][]patching.Role{}
	for _, a := range f.approvals {
		if f.roles[a.At.UnixMicro()] != nil {
			continue
		}
		accounts, err := src.Accounts(ctx, a.At)
		if err != nil {
			return err
		}
		held := make(map[patching.AccountName][]patching.Role, len(accounts))
		for _, who := range accounts {
			held[who.Name] = who.Roles
		}
		f.roles[a.At.UnixMicro()] = held
	}
	return nil
}

// auditPage is how many entries of the chain are held at once: it is the
// server's whole record, of which a cycle's is a small part.
const auditPage = 1000

func (f *facts) gatherTrail(ctx context.Context, src Source, id patching.CycleID) error {
	_, err := src.VerifyAudit(ctx)
	switch {
	case errors.Is(err, store.ErrBrokenChain):
		f.broken = err.Error()
	case err != nil:
		return err
	}
	for {
		page, err := src.Audit(ctx, f.entries, auditPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			if e.Subject == string(id) || strings.HasPrefix(e.Subject, string(id)+"/") {
				f.trail = append(f.trail, e)
			}
			f.entries, f.head = e.Seq, e.Hash
		}
		if len(page) < auditPage {
			return nil
		}
	}
}
