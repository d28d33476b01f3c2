package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// auditHead is the setting that repeats where the chain ends, so that entries
// taken from its end are missed too.
const auditHead = "audit/head"

const auditColumns = "seq, at, actor, verb, subject, body, prev, hash"

// AppendAudit chains an entry to the record of decisions and returns it with
// its Seq, Prev and Hash. A zero At is now. An entry that is the same in all
// that the caller sets is appended once: a retried activity gets the first one.
func (s *Store) AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error) {
	if e.At.IsZero() {
		e.At = clock()
	}
	e.At = fromMicros(micros(e.At))
	err := s.inTx(ctx, SerialAudit, func(t *tx) error {
		entry := auditEntry(e)
		known, err := one(ctx, t.querier, scanAudit, "SELECT "+auditColumns+" FROM audit WHERE entry = ?", string(entry))
		if err == nil {
			e = known
			return nil
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		last, err := one(ctx, t.querier, scanAudit, "SELECT "+auditColumns+" FROM audit ORDER BY seq DESC LIMIT 1")
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		e.Seq, e.Prev = last.Seq+1, last.Hash
		e.Hash = AuditHash(e)
		_, err = t.exec(ctx, "INSERT INTO audit ("+auditColumns+", entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			e.Seq, micros(e.At), e.Actor, e.Verb, e.Subject, e.Body, string(e.Prev), string(e.Hash), string(entry))
		if err != nil {
			return err
		}
		return t.setSetting(ctx, auditHead, headOf(e))
	})
	if err != nil {
		return e, fmt.Errorf("append to the audit record: %w", err)
	}
	return e, nil
}

// Audit returns up to limit entries after a sequence number, oldest first;
// limit 0 returns all.
func (s *Store) Audit(ctx context.Context, after int64, limit int) ([]patching.AuditEntry, error) {
	f := s.filter()
	f.and("seq > ?", after)
	query := "SELECT " + auditColumns + " FROM audit" + f.where() + " ORDER BY seq"
	query += f.limit(limit)
	out, err := all(ctx, s.reader(), scanAudit, query, f.args...)
	if err != nil {
		return nil, fmt.Errorf("read the audit record: %w", err)
	}
	return out, nil
}

// VerifyAudit recomputes the chain and returns how many entries hold. The
// error is [ErrBrokenChain] and names the first entry that does not.
func (s *Store) VerifyAudit(ctx context.Context) (entries int64, err error) {
	// The head is read first: entries appended meanwhile are then beyond it.
	head, _, err := s.Setting(ctx, auditHead)
	if err != nil {
		return 0, err
	}
	var last patching.AuditEntry
	found := head == ""
	err = s.reader().each(ctx, func(row scanner) error {
		e, err := scanAudit(row)
		switch {
		case err != nil:
			return err
		case e.Seq != last.Seq+1:
			return fmt.Errorf("%w: entry %d is missing", ErrBrokenChain, last.Seq+1)
		case e.Prev != last.Hash:
			return fmt.Errorf("%w: entry %d does not follow on entry %d", ErrBrokenChain, e.Seq, last.Seq)
		case e.Hash != AuditHash(e):
			return fmt.Errorf("%w: entry %d was changed after it was written", ErrBrokenChain, e.Seq)
		}
		last, found = e, found || headOf(e) == head
		return nil
	}, "SELECT "+auditColumns+" FROM audit ORDER BY seq")
	if err != nil {
		return last.Seq, fmt.Errorf("verify the audit record: %w", err)
	}
	if !found {
		return last.Seq, fmt.Errorf("verify the audit record: %w: entry %d is missing; the record went on to %s",
			ErrBrokenChain, last.Seq+1, strings.SplitN(head, " ", 2)[0])
	}
	return last.Seq, nil
}

// AuditHash returns the hash of an entry: over all its fields but the hash
// itself, each preceded by its length, so that no two entries read alike.
func AuditHash(e patching.AuditEntry) patching.Digest {
	return patching.DigestOf(fmt.Appendf(nil, "audit v1\n%s%s%s",
		measured(strconv.FormatInt(e.Seq, 10)), measured(string(e.Prev)), auditFields(e)))
}

// auditEntry addresses what the caller of AppendAudit set.
func auditEntry(e patching.AuditEntry) patching.Digest {
	return patching.DigestOf([]byte(auditFields(e)))
}

func auditFields(e patching.AuditEntry) string {
	return measured(e.At.UTC().Format(time.RFC3339Nano)) + measured(e.Actor) + measured(e.Verb) + measured(e.Subject) + measured(e.Body)
}

func measured(field string) string { return fmt.Sprintf("%d:%s\n", len(field), field) }

func headOf(e patching.AuditEntry) string { return fmt.Sprintf("%d %s", e.Seq, e.Hash) }

func scanAudit(row scanner) (patching.AuditEntry, error) {
	var e patching.AuditEntry
	err := row.Scan(&e.Seq, instant{&e.At}, &e.Actor, &e.Verb, &e.Subject, &e.Body, &e.Prev, &e.Hash)
	return e, err
}
