package trust

import (
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchcycle/patchcycle/patching"
)

// Tree is the Merkle tree (RFC 6962) over the leaves of a ring, see
// [patching.PlanItem.Leaf]. It holds 64 bytes a leaf.
type Tree struct {
	size   int64
	hashes memory
	root   tlog.Hash
}

// memory holds a log's hashes in the order in which tlog stores them.
type memory []tlog.Hash

// ReadHashes serves tlog.
func (m memory) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(m)) {
			return nil, fmt.Errorf("merkle tree: hash %d of %d", x, len(m))
		}
		out[i] = m[x]
	}
	return out, nil
}

// NewTree builds the tree over leaves in their order.
func NewTree(leaves [][]byte) (*Tree, error) {
	t := &Tree{size: int64(len(leaves))}
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf, t.hashes)
		if err != nil {
			return nil, fmt.Errorf("merkle tree, leaf %d: %w", i, err)
		}
		t.hashes = append(t.hashes, hashes...)
	}
	var err error
	if t.root, err = tlog.TreeHash(t.size, t.hashes); err != nil {
		return nil, fmt.Errorf("merkle tree: %w", err)
	}
	return t, nil
}

// Root returns the tree's root; that of no leaves is the digest of nothing.
func (t *Tree) Root() patching.Digest { return digest(t.root) }

// Proof returns the hashes that lead from leaf i to the root: 17 for 100,000
// leaves.
func (t *Tree) Proof(i int) ([]patching.Digest, error) {
	if i < 0 || int64(i) >= t.size {
		return nil, fmt.Errorf("merkle tree: no leaf %d of %d", i, t.size)
	}
	proof, err := tlog.ProveRecord(t.size, int64(i), t.hashes)
	if err != nil {
		return nil, fmt.Errorf("merkle tree, proof of leaf %d: %w", i, err)
	}
	out := make([]patching.Digest, len(proof))
	for k, h := range proof {
		out[k] = digest(h)
	}
	return out, nil
}

// RingRoot returns the root over leaves.
func RingRoot(leaves [][]byte) (patching.Digest, error) {
	t, err := NewTree(leaves)
	if err != nil {
		return "", err
	}
	return t.Root(), nil
}

// VerifyProof checks that leaf is number i of the size leaves under root.
func VerifyProof(root patching.Digest, size, i int, leaf []byte, proof []patching.Digest) error {
	want, err := hash(root)
	if err != nil {
		return err
	}
	if i < 0 || i >= size {
		return fmt.Errorf("merkle proof: no leaf %d of %d", i, size)
	}
	record := make(tlog.RecordProof, len(proof))
	for k, d := range proof {
		if record[k], err = hash(d); err != nil {
			return err
		}
	}
	if err := tlog.CheckRecord(record, int64(size), want, int64(i), tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("merkle proof: %w", err)
	}
	return nil
}

func digest(h tlog.Hash) patching.Digest {
	return patching.Digest("sha256:" + hex.EncodeToString(h[:]))
}

func hash(d patching.Digest) (h tlog.Hash, err error) {
	if !d.Valid() {
		return h, fmt.Errorf("merkle proof: %.80q is not a digest", d)
	}
	_, err = hex.Decode(h[:], []byte(strings.TrimPrefix(string(d), "sha256:")))
	return h, err
}
