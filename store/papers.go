package store

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// SignPaper keeps a paper with signatures. A paper or signature that is there already
// stays as it is: a key signs a paper once.
func (s *Store) SignPaper(ctx context.Context, p patching.Paper) error {
	digest := p.Digest()
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO papers (digest, kind, subject, document, machines, at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (digest) DO NOTHING`, string(digest), string(p.Kind), p.Subject, blob(p.Document), blob(p.Machines), micros(p.At))
		if err != nil {
			return err
		}
		for _, sig := range p.Signatures {
			_, err := t.exec(ctx, `INSERT INTO paper_signatures (paper, key, account, signature, at) VALUES (?, ?, ?, ?, ?)
				ON CONFLICT (paper, key) DO NOTHING`, string(digest), sig.Key, string(sig.Account), blob(sig.Signature), micros(sig.At))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep the %s of %s: %w", p.Kind, p.Subject, err)
	}
	return nil
}

// Papers returns the papers of a kind, the newest first; subject: those about it alone.
func (s *Store) Papers(ctx context.Context, kind patching.PaperKind, subject string) ([]patching.Paper, error) {
	f := s.filter()
	f.equal("kind", string(kind))
	f.equal("subject", subject)
	papers, err := all(ctx, s.reader(), func(row scanner) (p patching.Paper, err error) {
		return p, row.Scan(&p.Kind, &p.Subject, &p.Document, &p.Machines, instant{&p.At})
	}, "SELECT kind, subject, document, machines, at FROM papers"+f.where()+" ORDER BY at DESC, digest", f.args...)
	if err != nil {
		return nil, fmt.Errorf("papers of kind %s: %w", kind, err)
	}
	for i := range papers {
		p := &papers[i]
		p.Signatures, err = all(ctx, s.reader(), func(row scanner) (sig patching.PaperSignature, err error) {
			return sig, row.Scan(&sig.Account, &sig.Key, &sig.Signature, instant{&sig.At})
		}, "SELECT account, key, signature, at FROM paper_signatures WHERE paper = ? ORDER BY at, key", string(p.Digest()))
		if err != nil {
			return nil, fmt.Errorf("signatures of the %s of %s: %w", kind, p.Subject, err)
		}
	}
	return papers, nil
}
