package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
)

var contentTable = table{"content", []Column{{"digest", Text}, {"kind", Text}, {"body", Blob}}}

// PutContent keeps a text under its digest. Keeping it again changes nothing.
// kind ("packages", "bundle", …) is for people and clean-up; the digest alone
// addresses it.
func (s *Store) PutContent(ctx context.Context, kind string, text []byte) (patching.Digest, error) {
	digests, err := s.PutContents(ctx, kind, [][]byte{text})
	if err != nil {
		return "", err
	}
	return digests[0], nil
}

// PutContents keeps several texts of a kind and returns their digests in the
// same order.
func (s *Store) PutContents(ctx context.Context, kind string, texts [][]byte) ([]patching.Digest, error) {
	digests := make([]patching.Digest, len(texts))
	byDigest := make(map[patching.Digest][]byte, len(texts))
	for i, text := range texts {
		digests[i] = patching.DigestOf(text)
		byDigest[digests[i]] = text
	}
	missing, err := s.MissingContent(ctx, digests)
	if err != nil || len(missing) == 0 {
		return digests, err
	}
	rows := make([][]any, len(missing))
	for i, d := range missing {
		rows[i] = []any{string(d), kind, blob(byDigest[d])}
	}
	err = s.inTx(ctx, SerialContent, func(t *tx) error { return t.putContent(ctx, rows) })
	if err != nil {
		return nil, fmt.Errorf("keep %d texts (%s): %w", len(rows), kind, err)
	}
	return digests, nil
}

// putContent inserts in the order of digests: two transactions that insert the
// same texts in different orders would wait for each other for ever.
func (t *tx) putContent(ctx context.Context, rows [][]any) error {
	slices.SortFunc(rows, func(a, b []any) int { return cmpText(a[0], b[0]) })
	rows = slices.CompactFunc(rows, func(a, b []any) bool { return a[0] == b[0] })
	_, err := t.merge(ctx, contentTable, "(digest) DO NOTHING", rows)
	return err
}

// Content returns the text that a digest addresses.
func (s *Store) Content(ctx context.Context, d patching.Digest) ([]byte, error) {
	var body []byte
	err := s.reader().row(ctx, []any{&body}, "SELECT body FROM content WHERE digest = ?", string(d))
	if err != nil {
		return nil, fmt.Errorf("content %s: %w", d.Short(), err)
	}
	return body, nil
}

// Contents returns the texts that digests address; what is not there is left out.
func (s *Store) Contents(ctx context.Context, ds []patching.Digest) (map[patching.Digest][]byte, error) {
	out := make(map[patching.Digest][]byte, len(ds))
	within, arg := s.dialect.Within(list(ds))
	err := s.reader().each(ctx, func(row scanner) error {
		var d patching.Digest
		var body []byte
		err := row.Scan(&d, &body)
		out[d] = body
		return err
	}, "SELECT digest, body FROM content WHERE digest"+within, arg)
	if err != nil {
		return nil, fmt.Errorf("read %d texts: %w", len(ds), err)
	}
	return out, nil
}

// MissingContent returns those of the digests that address nothing here, each
// once, in the order given.
func (s *Store) MissingContent(ctx context.Context, ds []patching.Digest) ([]patching.Digest, error) {
	known := make(map[patching.Digest]bool, len(ds))
	within, arg := s.dialect.Within(list(ds))
	err := s.reader().each(ctx, func(row scanner) error {
		var d patching.Digest
		err := row.Scan(&d)
		known[d] = true
		return err
	}, "SELECT digest FROM content WHERE digest"+within, arg)
	if err != nil {
		return nil, fmt.Errorf("look for %d texts: %w", len(ds), err)
	}
	var missing []patching.Digest
	for _, d := range ds {
		if !known[d] {
			known[d] = true
			missing = append(missing, d)
		}
	}
	return missing, nil
}
