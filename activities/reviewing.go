package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
)

// askReview opens the review of an approval that did not wait for the usual approvers,
// once for what was signed. It outlives the cycle: no close and no scan ends it.
func (p *People) askReview(ctx context.Context, v vote) error {
	t := p.review(v)
	if _, err := p.Store.Task(ctx, t.ID); !errors.Is(err, store.ErrNotFound) {
		return err // a retry finds it open, or closed already
	}
	_, err := p.Store.AppendAudit(ctx, patching.AuditEntry{
		At: t.Opened, Actor: "patchcycle", Verb: "review opened", Subject: string(t.Cycle), Body: "Task " + string(t.ID) + ". " + t.Tried,
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	if err := p.Store.PutTasks(ctx, []patching.Task{t}); err != nil {
		return fmt.Errorf("open the review: %w", err)
	}
	return nil
}

// review is the task: who signed, why, and what that let through.
func (p *People) review(v vote) patching.Task {
	var by []patching.AccountName
	var who, rings, steps []string
	for _, one := range v.persons {
		words := string(one.Account)
		if by = append(by, one.Account); one.By != "" {
			by = append(by, one.By)
			words += " (by " + string(one.By) + ")"
		}
		who = append(who, words)
	}
	for _, r := range v.grants.Rings {
		rings = append(rings, fmt.Sprintf("%s (%s)", r.Ring, phrase.Count(r.Machines, "machine")))
		steps = append(steps, fmt.Sprintf("See what it let through in ring %s: patchcycle cycle machines %s --ring %s", r.Ring, v.grants.Cycle, r.Ring))
	}
	slices.Sort(by)
	now := p.Now().UTC()
	id := patching.TaskID("t-" + patching.DigestOf([]byte("break-glass\n"+string(v.grants.Cycle)+"\n"+string(v.paper))).Short())
	steps = append(steps,
		"Ask those who signed why the usual approvers could not be waited for.",
		fmt.Sprintf("Say what you found: patchcycle task done %s --note \"...\"", id))
	return patching.Task{
		ID: id, Cycle: v.grants.Cycle, Cause: patching.ReasonBreakGlass, NotBy: slices.Compact(by),
		Tried: fmt.Sprintf("Signed by %s: %q. It let through ring %s of plan %s, until %s.",
			phrase.Few(who, len(who)), v.grants.BreakGlass, phrase.Few(rings, len(rings)), v.grants.Plan.Short(), phrase.Moment(v.grants.NotAfter)),
		Steps: strings.Join(steps, "\n"), Due: now.Add(taskDue), Opened: now, State: patching.TaskOpen,
	}
}
