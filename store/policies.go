package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// PolicyVersion is a policy document as it was applied.
type PolicyVersion struct {
	Name    patching.PolicyName
	Digest  patching.Digest // of Source; may be left empty when applying
	Source  []byte
	Applied time.Time
	By      patching.AccountName
}

const policyQuery = `SELECT p.name, p.digest, c.body, p.applied, p.made_by
	FROM policy_versions p JOIN content c ON c.digest = p.digest`

// ApplyPolicy puts a version in force. Applying what is in force already
// changes nothing; an older version applied again is a new one.
func (s *Store) ApplyPolicy(ctx context.Context, p PolicyVersion) error {
	digest := patching.DigestOf(p.Source)
	if p.Digest != "" && p.Digest != digest {
		return fmt.Errorf("policy %s: the document's digest is %s, not %s", p.Name, digest.Short(), p.Digest.Short())
	}
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		var version int64
		var inForce patching.Digest
		err := t.row(ctx, []any{&version, &inForce},
			"SELECT version, digest FROM policy_versions WHERE name = ? ORDER BY version DESC LIMIT 1", string(p.Name))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if inForce == digest {
			return nil
		}
		if err := t.putContent(ctx, [][]any{{string(digest), "policy", blob(p.Source)}}); err != nil {
			return err
		}
		_, err = t.exec(ctx, "INSERT INTO policy_versions (name, version, digest, applied, made_by) VALUES (?, ?, ?, ?, ?)",
			string(p.Name), version+1, string(digest), micros(p.Applied), string(p.By))
		return err
	})
	if err != nil {
		return fmt.Errorf("apply policy %s: %w", p.Name, err)
	}
	return nil
}

// Policy returns the version in force.
func (s *Store) Policy(ctx context.Context, name patching.PolicyName) (PolicyVersion, error) {
	p, err := one(ctx, s.reader(), scanPolicy, policyQuery+" WHERE p.name = ? ORDER BY p.version DESC LIMIT 1", string(name))
	if err != nil {
		return p, fmt.Errorf("policy %s: %w", name, err)
	}
	return p, nil
}

// PolicyVersions returns all versions of a policy, the newest first.
func (s *Store) PolicyVersions(ctx context.Context, name patching.PolicyName) ([]PolicyVersion, error) {
	return s.policies(ctx, " WHERE p.name = ? ORDER BY p.version DESC", string(name))
}

// Policies returns the version in force of every policy, by name.
func (s *Store) Policies(ctx context.Context) ([]PolicyVersion, error) {
	return s.policies(ctx, " WHERE p.version = (SELECT MAX(q.version) FROM policy_versions q WHERE q.name = p.name) ORDER BY p.name")
}

func (s *Store) policies(ctx context.Context, which string, args ...any) ([]PolicyVersion, error) {
	out, err := all(ctx, s.reader(), scanPolicy, policyQuery+which, args...)
	if err != nil {
		return nil, fmt.Errorf("list policies: %w", err)
	}
	return out, nil
}

func scanPolicy(row scanner) (PolicyVersion, error) {
	var p PolicyVersion
	err := row.Scan(&p.Name, &p.Digest, &p.Source, instant{&p.Applied}, &p.By)
	return p, err
}
