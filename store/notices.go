package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
)

var noticesTable = table{"notices", append(append(
	ints("seq"), text("id", "kind", "severity", "site", "policy", "owner", "subject", "words")...), ints("at", "recorded", "over")...)}

// QueueNotices puts on record what was noticed, in the order given, and returns how
// many of the notices are new: one of an id that is there already stays as it is. Of
// the kinds in Whole, those that hold and that were not found are over, for good:
// what is so another time needs another id.
//
// What is found again each minute is looked up outside of any transaction: a hundred
// thousand silent machines must not hold up those that speak.
func (s *Store) QueueNotices(ctx context.Context, found notice.Found, now time.Time) (added int, err error) {
	added, err = s.queueNotices(ctx, found, now)
	if err != nil {
		return 0, fmt.Errorf("keep %d notices: %w", len(found.Notices), err)
	}
	return added, nil
}

func (s *Store) queueNotices(ctx context.Context, found notice.Found, now time.Time) (added int, err error) {
	fresh, err := s.reader().freshNotices(ctx, found.Notices)
	if err != nil {
		return 0, err
	}
	ended, err := s.reader().endedNotices(ctx, found)
	if err != nil || len(fresh)+len(ended) == 0 {
		return 0, err
	}
	err = s.inTx(ctx, SerialNotices, func(t *tx) error {
		// Another may have put some of them on record meanwhile.
		if fresh, err = t.freshNotices(ctx, fresh); err != nil {
			return err
		}
		if err := t.queue(ctx, fresh, now); err != nil {
			return err
		}
		rows := make([][]any, len(ended))
		for i, id := range ended {
			rows[i] = []any{string(id), micros(now)}
		}
		_, err := t.bulk(ctx, "UPDATE notices SET over = v.over FROM {rows} AS v WHERE notices.id = v.id AND notices.over = 0",
			append(text("id"), ints("over")...), rows)
		return err
	})
	return len(fresh), err
}

// freshNotices returns those that are not on record, each once, with ids that can be kept.
func (q querier) freshNotices(ctx context.Context, found []notice.Notice) ([]notice.Notice, error) {
	ids := make([][]any, len(found))
	for i, n := range found {
		ids[i] = []any{clean(string(n.ID))}
	}
	seen := make(map[notice.ID]bool)
	err := q.eachOf(ctx, func(row scanner) error {
		var id notice.ID
		err := row.Scan(&id)
		seen[id] = true
		return err
	}, "SELECT n.id FROM notices n JOIN {rows} AS v ON n.id = v.id", text("id"), ids)
	var fresh []notice.Notice
	for _, n := range found {
		if n.ID = clean(n.ID); !seen[n.ID] {
			seen[n.ID] = true
			fresh = append(fresh, n)
		}
	}
	return fresh, err
}

// endedNotices returns those that are on record as holding and were not found any more.
func (q querier) endedNotices(ctx context.Context, found notice.Found) ([]notice.ID, error) {
	if len(found.Whole) == 0 {
		return nil, nil
	}
	holds := make(map[notice.ID]bool, len(found.Notices))
	for _, n := range found.Notices {
		holds[clean(n.ID)] = true
	}
	is, arg := q.dialect.Within(list(found.Whole))
	var ended []notice.ID
	err := q.each(ctx, func(row scanner) error {
		var id notice.ID
		err := row.Scan(&id)
		if !holds[id] {
			ended = append(ended, id)
		}
		return err
	}, "SELECT id FROM notices WHERE over = 0 AND kind"+is, arg)
	return ended, err
}

func (t *tx) queue(ctx context.Context, fresh []notice.Notice, now time.Time) error {
	var last int64
	if err := t.row(ctx, []any{&last}, "SELECT COALESCE(MAX(seq), 0) FROM notices"); err != nil {
		return err
	}
	rows := make([][]any, len(fresh))
	for i, n := range fresh {
		last++
		rows[i] = []any{
			last, string(n.ID), string(n.Kind), string(n.Severity), clean(string(n.Site)), clean(string(n.Policy)), clean(n.Owner),
			clean(n.Subject), clean(n.Words), micros(n.At), micros(now), int64(0),
		}
	}
	return t.insert(ctx, noticesTable, rows)
}

// Notices returns up to limit notices after a number, in the order in which they were
// put on record.
func (s *Store) Notices(ctx context.Context, after int64, limit int) ([]notice.Queued, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (q notice.Queued, err error) {
		err = row.Scan(&q.Seq, &q.ID, &q.Kind, &q.Severity, &q.Site, &q.Policy, &q.Owner, &q.Subject, &q.Words,
			instant{&q.At}, instant{&q.Recorded}, instant{&q.Over})
		return q, err
	}, "SELECT "+names(noticesTable.columns)+" FROM notices WHERE seq > ? ORDER BY seq LIMIT ?", after, limit)
	if err != nil {
		return nil, fmt.Errorf("read notices after %d: %w", after, err)
	}
	return out, nil
}

// Mute returns machines whose accepted agent was not heard since before, up to limit
// of them after an asset.
func (s *Store) Mute(ctx context.Context, before time.Time, after patching.AssetID, limit int) ([]notice.Mute, error) {
	const since = "CASE WHEN d.seen > d.enrolled THEN d.seen ELSE d.enrolled END"
	out, err := all(ctx, s.reader(), func(row scanner) (m notice.Mute, err error) {
		return m, row.Scan(&m.Asset, &m.Hostname, &m.Site, &m.Owner, &m.Relay, instant{&m.Since}, &m.Never)
	}, "SELECT a.id, a.hostname, a.site, a.owner, d.relay, "+since+", d.seen <= d.enrolled"+
		" FROM devices d JOIN assets a ON a.device = d.id"+
		" WHERE d.state = 'accepted' AND "+since+" < ? AND a.id > ? ORDER BY a.id LIMIT ?", micros(before), string(after), limit)
	if err != nil {
		return nil, fmt.Errorf("machines that were not heard since %s: %w", before.UTC().Format(time.RFC3339), err)
	}
	return out, nil
}

// Spans returns when, after since, a part of the path listened, the oldest first.
func (s *Store) Spans(ctx context.Context, part string, since time.Time) ([]notice.Span, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (span notice.Span, err error) {
		return span, row.Scan(instant{&span.Since}, instant{&span.Until})
	}, "SELECT since, until FROM presence WHERE part = ? AND until > ? ORDER BY since", part, micros(since))
	if err != nil {
		return nil, fmt.Errorf("when %s listened: %w", part, err)
	}
	return out, nil
}

// AuditEnd returns the number of the newest entry in the record of decisions; 0:
// there is none.
func (s *Store) AuditEnd(ctx context.Context) (int64, error) {
	var seq int64
	if err := s.reader().row(ctx, []any{&seq}, "SELECT COALESCE(MAX(seq), 0) FROM audit"); err != nil {
		return 0, fmt.Errorf("end of the audit record: %w", err)
	}
	return seq, nil
}
