package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// HandAdvisory is a version of an advisory that people entered.
type HandAdvisory struct {
	// Advisory has Withdrawn set where the version takes the advisory back.
	patching.Advisory
	Version int // from 1
	// Source addresses the document that it stood in, as it was sent.
	Source patching.Digest
	At     time.Time
	By     patching.AccountName
	Reason string // of a withdrawal
}

const handColumns = "h.version, h.source, h.document, h.at, h.account, h.reason"

// newestByHand restricts hand_advisories h to the newest version of each.
const newestByHand = "h.version = (SELECT MAX(v.version) FROM hand_advisories v WHERE v.id = h.id)"

// PutHandAdvisories keeps the advisories of a document, all or none, and returns the
// versions that are new: one that says what is in force already is none. An advisory that
// was withdrawn is in force again.
func (s *Store) PutHandAdvisories(ctx context.Context, source []byte, entered []patching.Advisory, by patching.AccountName, at time.Time) (changed []HandAdvisory, err error) {
	digest := patching.DigestOf(source)
	err = s.inTx(ctx, SerialPeople, func(t *tx) error {
		if err := t.putContent(ctx, [][]any{{string(digest), "advisories", blob(source)}}); err != nil {
			return err
		}
		for _, a := range entered {
			is, err := t.handAdvisory(ctx, a.ID)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if err == nil && encode(is.Advisory) == encode(a) {
				continue
			}
			next := HandAdvisory{Advisory: a, Version: is.Version + 1, Source: digest, At: fromMicros(micros(at)), By: by}
			if err := t.putHandAdvisory(ctx, next); err != nil {
				return err
			}
			changed = append(changed, next)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("keep %d advisories: %w", len(entered), err)
	}
	return changed, nil
}

// WithdrawHandAdvisory takes an advisory back. One that is withdrawn already is [ErrFinal].
func (s *Store) WithdrawHandAdvisory(ctx context.Context, id patching.AdvisoryID, by patching.AccountName, at time.Time, reason string) (next HandAdvisory, err error) {
	err = s.inTx(ctx, SerialPeople, func(t *tx) error {
		is, err := t.handAdvisory(ctx, id)
		if err != nil {
			return err
		}
		if !is.Withdrawn.IsZero() {
			return fmt.Errorf("it was withdrawn on %s by %s: that %w", is.Withdrawn.Format(time.DateOnly), is.By, ErrFinal)
		}
		next = is
		next.Version, next.At, next.By, next.Reason = is.Version+1, fromMicros(micros(at)), by, reason
		next.Withdrawn = next.At
		return t.putHandAdvisory(ctx, next)
	})
	if err != nil {
		return next, fmt.Errorf("advisory %s: %w", id, err)
	}
	return next, nil
}

func (t *tx) putHandAdvisory(ctx context.Context, h HandAdvisory) error {
	_, err := t.exec(ctx, "INSERT INTO hand_advisories (id, version, source, document, at, account, reason) VALUES (?, ?, ?, ?, ?, ?, ?)",
		string(h.ID), h.Version, string(h.Source), encode(h.Advisory), micros(h.At), string(h.By), h.Reason)
	return err
}

func (q querier) handAdvisory(ctx context.Context, id patching.AdvisoryID) (HandAdvisory, error) {
	return one(ctx, q, scanHandAdvisory, "SELECT "+handColumns+" FROM hand_advisories h WHERE h.id = ? ORDER BY h.version DESC LIMIT 1", string(id))
}

// HandAdvisories returns the newest version of each advisory that people entered, by id;
// those that were withdrawn are among them.
func (s *Store) HandAdvisories(ctx context.Context) ([]HandAdvisory, error) {
	return s.handAdvisories(ctx, newestByHand+" ORDER BY h.id")
}

// HandAdvisoryVersions returns all versions of an advisory that people entered, the newest
// first; [ErrNotFound] if there is none.
func (s *Store) HandAdvisoryVersions(ctx context.Context, id patching.AdvisoryID) ([]HandAdvisory, error) {
	all, err := s.handAdvisories(ctx, "h.id = ? ORDER BY h.version DESC", string(id))
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("advisory %s: %w", id, ErrNotFound)
	}
	return all, err
}

// AdvisoriesByHand returns the advisories that people entered and that are in force, by
// id: the content of the feed "hand".
func (s *Store) AdvisoriesByHand(ctx context.Context) ([]patching.Advisory, error) {
	all, err := s.HandAdvisories(ctx)
	var inForce []patching.Advisory
	for _, h := range all {
		if h.Withdrawn.IsZero() {
			inForce = append(inForce, h.Advisory)
		}
	}
	return inForce, err
}

func (s *Store) handAdvisories(ctx context.Context, which string, args ...any) ([]HandAdvisory, error) {
	out, err := all(ctx, s.reader(), scanHandAdvisory, "SELECT "+handColumns+" FROM hand_advisories h WHERE "+which, args...)
	if err != nil {
		return nil, fmt.Errorf("list advisories entered by hand: %w", err)
	}
	return out, nil
}

func scanHandAdvisory(row scanner) (HandAdvisory, error) {
	var h HandAdvisory
	err := row.Scan(&h.Version, &h.Source, document{&h.Advisory}, instant{&h.At}, &h.By, &h.Reason)
	return h, err
}
