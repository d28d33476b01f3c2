package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching/notice"
)

// Told says up to which notice a recipient was told in a lane, and when it last got a
// message of it.
type Told struct {
	Seq  int64
	Last time.Time
}

// DigestState is where a message stands.
type DigestState string

// The states of a message.
const (
	DigestPending DigestState = "pending"
	DigestSent    DigestState = "sent"
	// DigestGivenUp: it failed for too long. DigestDropped: its recipient is told
	// nothing any more.
	DigestGivenUp DigestState = "given-up"
	DigestDropped DigestState = "dropped"
)

// Terminal reports whether nothing more is done with the message.
func (s DigestState) Terminal() bool { return s != DigestPending }

// Outgoing is a message with how it fared.
type Outgoing struct {
	notice.Digest
	State DigestState
	// Failed counts the tries that failed; Next is when it is tried again.
	Failed int
	Next   time.Time
	// Ended is when it was sent or given up.
	Ended time.Time
	// Tries is how often it was tried; Words what came of the last try: empty, if it
	// went well or broke off.
	Tries int
	Words string
}

// outgoing reads digests d with their last try.
const outgoing = `SELECT d.document, d.state, d.failed, d.next, d.ended,
	(SELECT COUNT(*) FROM digest_tries t WHERE t.digest = d.id),
	COALESCE((SELECT t.words FROM digest_tries t WHERE t.digest = d.id ORDER BY t.began DESC LIMIT 1), '')
	FROM digests d`

// ToldUpTo returns how far a recipient was told in a lane; the zero value, if never.
func (s *Store) ToldUpTo(ctx context.Context, recipient string, lane notice.Lane) (Told, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (t Told, err error) {
		return t, row.Scan(&t.Seq, instant{&t.Last})
	}, "SELECT seq, last FROM notice_cursors WHERE recipient = ? AND lane = ?", recipient, string(lane))
	if err != nil {
		return Told{}, fmt.Errorf("what %s was told: %w", recipient, err)
	}
	if len(out) == 0 {
		return Told{}, nil
	}
	return out[0], nil
}

// SkipNotices notes that a recipient is not concerned by the notices up to a number.
func (s *Store) SkipNotices(ctx context.Context, recipient string, lane notice.Lane, upto int64) error {
	err := s.inTx(ctx, SerialNotices, func(t *tx) error { return t.told(ctx, recipient, lane, upto, time.Time{}) })
	if err != nil {
		return fmt.Errorf("pass notices that do not concern %s: %w", recipient, err)
	}
	return nil
}

// told moves a recipient's place forward, never back.
func (t *tx) told(ctx context.Context, recipient string, lane notice.Lane, upto int64, at time.Time) error {
	_, err := t.exec(ctx, `INSERT INTO notice_cursors (recipient, lane, seq, last) VALUES (?, ?, ?, ?)
		ON CONFLICT (recipient, lane) DO UPDATE SET
		seq = CASE WHEN excluded.seq > notice_cursors.seq THEN excluded.seq ELSE notice_cursors.seq END,
		last = CASE WHEN excluded.last > notice_cursors.last THEN excluded.last ELSE notice_cursors.last END`,
		recipient, string(lane), upto, micros(at))
	return err
}

// KeepDigest puts a message on record, to be sent, and with it how far its recipient
// has been told: both, or neither. One that is there already stays as it is.
func (s *Store) KeepDigest(ctx context.Context, d notice.Digest) error {
	err := s.inTx(ctx, SerialNotices, func(t *tx) error {
		n, err := t.exec(ctx, `INSERT INTO digests (id, recipient, lane, made, document, state, failed, next, ended)
			VALUES (?, ?, ?, ?, ?, ?, 0, ?, 0) ON CONFLICT (id) DO NOTHING`,
			string(d.ID), d.Recipient, string(d.Lane), micros(d.Made), encode(d), string(DigestPending), micros(d.Made))
		if err != nil || n == 0 {
			return err
		}
		return t.told(ctx, d.Recipient, d.Lane, d.Upto, d.Made)
	})
	if err != nil {
		return fmt.Errorf("keep message %s to %s: %w", d.ID, d.Recipient, err)
	}
	return nil
}

// PendingDigests returns the messages that are still to be sent, the oldest first.
func (s *Store) PendingDigests(ctx context.Context) ([]Outgoing, error) {
	return s.digests(ctx, " WHERE d.state = 'pending' ORDER BY d.made, d.id")
}

// DigestFilter chooses messages. The zero filter takes all.
type DigestFilter struct {
	Recipient string
	// Limit bounds the answer; 0 does not.
	Limit int
}

// Digests returns the messages that the filter takes, the newest first.
func (s *Store) Digests(ctx context.Context, want DigestFilter) ([]Outgoing, error) {
	f := s.filter()
	f.equal("d.recipient", want.Recipient)
	query := f.where() + " ORDER BY d.made DESC, d.id"
	query += f.limit(want.Limit)
	return s.digests(ctx, query, f.args...)
}

func (s *Store) digests(ctx context.Context, which string, args ...any) ([]Outgoing, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (o Outgoing, err error) {
		return o, row.Scan(document{&o.Digest}, &o.State, &o.Failed, instant{&o.Next}, instant{&o.Ended}, &o.Tries, &o.Words)
	}, outgoing+which, args...)
	if err != nil {
		return nil, fmt.Errorf("read messages: %w", err)
	}
	return out, nil
}

// BeginTry notes that a message is about to be sent. It comes before the first byte:
// a try without an end is one that broke off, and may have arrived.
func (s *Store) BeginTry(ctx context.Context, id notice.DigestID, began time.Time) error {
	err := s.inTx(ctx, SerialNotices, func(t *tx) error {
		_, err := t.exec(ctx, "INSERT INTO digest_tries (digest, began, ended, words) VALUES (?, ?, 0, '') ON CONFLICT (digest, began) DO NOTHING",
			string(id), micros(began))
		return err
	})
	if err != nil {
		return fmt.Errorf("note that message %s is sent: %w", id, err)
	}
	return nil
}

// TryEnd is what came of a try.
type TryEnd struct {
	Digest notice.DigestID
	// Began is that of [Store.BeginTry]; zero: it was not tried. Ended is now.
	Began, Ended time.Time
	// Words say what went wrong; empty: nothing.
	Words string
	// State is where the message stands now, Next when it is tried again.
	State DigestState
	Next  time.Time
}

// EndTry notes what came of a try. A message that has ended is [ErrFinal].
func (s *Store) EndTry(ctx context.Context, e TryEnd) error {
	err := s.inTx(ctx, SerialNotices, func(t *tx) error {
		failed, ended := 0, e.Ended
		if e.Words != "" {
			failed = 1
		}
		if !e.State.Terminal() {
			ended = time.Time{}
		}
		n, err := t.exec(ctx, "UPDATE digests SET state = ?, failed = failed + ?, next = ?, ended = ? WHERE id = ? AND state = 'pending'",
			string(e.State), failed, micros(e.Next), micros(ended), string(e.Digest))
		switch {
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("it has ended: that %w", ErrFinal)
		case e.Began.IsZero():
			return nil
		}
		_, err = t.exec(ctx, "UPDATE digest_tries SET ended = ?, words = ? WHERE digest = ? AND began = ?",
			micros(e.Ended), clean(e.Words), string(e.Digest), micros(e.Began))
		return err
	})
	if err != nil {
		return fmt.Errorf("note what came of message %s: %w", e.Digest, err)
	}
	return nil
}

// PruneNotices forgets notices and messages from before a time. What still holds, and
// what is still to be sent, stays.
func (s *Store) PruneNotices(ctx context.Context, before time.Time) error {
	err := s.inTx(ctx, SerialNotices, func(t *tx) error {
		stands, arg := t.dialect.Within(list(notice.Standing()))
		// The newest one stays: numbers are never given twice.
		_, err := t.exec(ctx, "DELETE FROM notices WHERE recorded < ? AND NOT (over = 0 AND kind"+stands+
			") AND seq < (SELECT MAX(seq) FROM notices)", micros(before), arg)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, "DELETE FROM digests WHERE made < ? AND state <> 'pending'", micros(before)); err != nil {
			return err
		}
		_, err = t.exec(ctx, "DELETE FROM digest_tries WHERE NOT EXISTS (SELECT 1 FROM digests d WHERE d.id = digest_tries.digest)")
		return err
	})
	if err != nil {
		return fmt.Errorf("forget old notices: %w", err)
	}
	return nil
}
