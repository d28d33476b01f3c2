package notices

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/store"
)

// gathered is what notices are found in.
type gathered interface {
	Setting(ctx context.Context, key string) (value string, ok bool, err error)
	SetSetting(ctx context.Context, key, value string) error
	Audit(ctx context.Context, after int64, limit int) ([]patching.AuditEntry, error)
	AuditEnd(ctx context.Context) (int64, error)
	Cycles(ctx context.Context, f store.CycleFilter) ([]patching.Cycle, error)
	Tasks(ctx context.Context, f store.TaskFilter) ([]patching.Task, error)
	Mute(ctx context.Context, before time.Time, after patching.AssetID, limit int) ([]notice.Mute, error)
	Spans(ctx context.Context, part string, since time.Time) ([]notice.Span, error)
	Policies(ctx context.Context) ([]store.PolicyVersion, error)
	DecisionsAt(ctx context.Context, now time.Time) (patching.Decisions, error)
}

// gather puts on record what all sources notice. What one cannot say keeps the others
// from nothing.
func (k *Keeper) gather(ctx context.Context, config notify.Config, now time.Time) error {
	errs := []error{k.ofRecord(ctx, now)}
	sources := append([]Source{waiting{k.Record}, reviews{k.Record}}, k.Sources...)
	if now.Sub(k.looked) >= lookForSilence {
		k.looked = now
		sources = append(sources, silence{k.Record, config.SilentAfter})
	}
	for _, s := range sources {
		found, err := s.Notices(ctx, now)
		if err == nil {
			_, err = k.Record.QueueNotices(ctx, found, now)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("notices of %s: %w", s.Name(), err))
		}
	}
	if k.Lookout != nil {
		errs = append(errs, k.ofFeeds(ctx, now), k.ofFleet(ctx, now))
	}
	return errors.Join(errs...)
}

// lookForSilence is how often machines are looked for that no longer report: it is a
// matter of hours, and of reading a row of each machine.
const lookForSilence = 5 * time.Minute

// recordSeen is the setting that says up to which entry the record of decisions was
// looked through.
const recordSeen = "notices/record"

// page is how many rows are read at once.
const page = 2000

// ofRecord finds what the record of decisions gives rise to: reminders, escalations,
// halts, ends of cycles. The first time it begins at its end: what is past is no news.
func (k *Keeper) ofRecord(ctx context.Context, now time.Time) error {
	value, known, err := k.Record.Setting(ctx, recordSeen)
	if err != nil {
		return err
	}
	var seen int64
	if known {
		if seen, err = strconv.ParseInt(value, 10, 64); err != nil {
			return fmt.Errorf("setting %s: %w", recordSeen, err)
		}
	} else {
		if seen, err = k.Record.AuditEnd(ctx); err != nil {
			return err
		}
		if err := k.Record.SetSetting(ctx, recordSeen, strconv.FormatInt(seen, 10)); err != nil {
			return err
		}
	}
	for {
		entries, err := k.Record.Audit(ctx, seen, page)
		if err != nil || len(entries) == 0 {
			return err
		}
		var found notice.Found
		for _, e := range entries {
			seen = e.Seq
			if n, ok := notice.OfRecord(e); ok {
				found.Notices = append(found.Notices, n)
			}
		}
		if len(found.Notices) > 0 {
			if _, err := k.Record.QueueNotices(ctx, found, now); err != nil {
				return err
			}
		}
		// After the notices: broken off between the two, they are found again, and known.
		if err := k.Record.SetSetting(ctx, recordSeen, strconv.FormatInt(seen, 10)); err != nil {
			return err
		}
	}
}

// waiting finds plans that wait for approval.
type waiting struct{ record gathered }

func (waiting) Name() string { return "cycles" }

func (w waiting) Notices(ctx context.Context, _ time.Time) (notice.Found, error) {
	found := notice.Found{Whole: []notice.Kind{notice.CycleWaits}}
	cycles, err := w.record.Cycles(ctx, store.CycleFilter{Open: true})
	for _, c := range cycles {
		if n, ok := notice.Waiting(c); ok {
			found.Notices = append(found.Notices, n)
		}
	}
	return found, err
}

// reviews finds what people did that others have to review.
type reviews struct{ record gathered }

func (reviews) Name() string { return "reviews" }

func (r reviews) Notices(ctx context.Context, _ time.Time) (notice.Found, error) {
	found := notice.Found{Whole: []notice.Kind{notice.ReviewWaits}}
	tasks, err := r.record.Tasks(ctx, store.TaskFilter{Open: true})
	for _, t := range tasks {
		if n, ok := notice.Review(t); ok {
			found.Notices = append(found.Notices, n)
		}
	}
	return found, err
}

// silence finds agents that no longer report.
type silence struct {
	record gathered
	after  time.Duration
}

func (silence) Name() string { return "silent machines" }

// pathOf is under which name the server notes that it listens.
const pathOf = "server"

// longAgo bounds how far back it is asked who listened.
const longAgo = 400 * 24 * time.Hour

func (s silence) Notices(ctx context.Context, now time.Time) (notice.Found, error) {
	found := notice.Found{Whole: []notice.Kind{notice.AgentSilent}}
	parts := map[string][]notice.Span{}
	listened := func(part string) ([]notice.Span, error) {
		if spans, known := parts[part]; known || part == "" {
			return spans, nil
		}
		spans, err := s.record.Spans(ctx, part, now.Add(-longAgo))
		parts[part] = spans
		return spans, err
	}
	for after := patching.AssetID(""); ; {
		mute, err := s.record.Mute(ctx, now.Add(-s.after), after, page)
		if err != nil {
			return notice.Found{}, err
		}
		for _, m := range mute {
			server, err := listened(pathOf)
			if err != nil {
				return notice.Found{}, err
			}
			relay, err := listened(m.Part())
			if err != nil {
				return notice.Found{}, err
			}
			if n, ok := notice.Silent(m, server, relay, s.after, now); ok {
				found.Notices = append(found.Notices, n)
			}
			after = m.Asset
		}
		if len(mute) < page {
			return found, nil
		}
	}
}
