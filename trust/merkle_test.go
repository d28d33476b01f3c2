package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
)

func drawLeaves(t *rapid.T) [][]byte {
	return rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 70).Draw(t, "leaves")
}

func TestEveryLeafIsProvedByItsOwnProof(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := drawLeaves(t)
		tree, err := NewTree(leaves)
		require.NoError(t, err)
		for i, leaf := range leaves {
			proof, err := tree.Proof(i)
			require.NoError(t, err)
			require.NoError(t, VerifyProof(tree.Root(), len(leaves), i, leaf, proof))
		}
	})
}

func TestNoProofProvesAnythingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := drawLeaves(t)
		tree, err := NewTree(leaves)
		require.NoError(t, err)
		i := rapid.IntRange(0, len(leaves)-1).Draw(t, "leaf")
		proof, err := tree.Proof(i)
		require.NoError(t, err)
		root, size, leaf := tree.Root(), len(leaves), leaves[i]

		other := append([]byte("not "), leaf...)
		assert.Error(t, VerifyProof(root, size, i, other, proof), "another leaf")
		assert.Error(t, VerifyProof(patching.DigestOf(other), size, i, leaf, proof), "under another root")
		assert.Error(t, VerifyProof(root, size, -1, leaf, proof), "a place before the first")
		assert.Error(t, VerifyProof(root, size, size, leaf, proof), "a place after the last")
		assert.Error(t, VerifyProof(root, size, i, leaf, append(proof, root)), "a longer proof")
		if len(proof) == 0 {
			return
		}
		assert.Error(t, VerifyProof(root, size, i, leaf, proof[1:]), "a shorter proof")
		k := rapid.IntRange(0, len(proof)-1).Draw(t, "hash")
		bent := append([]patching.Digest{}, proof...)
		bent[k] = patching.DigestOf([]byte("bent"))
		assert.Error(t, VerifyProof(root, size, i, leaf, bent), "a bent proof")
		bent[k] = "sha256:zz"
		assert.Error(t, VerifyProof(root, size, i, leaf, bent), "a proof that is no digest")
	})
}

func TestTheRootDependsOnEveryLeaf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leaves := drawLeaves(t)
		root, err := RingRoot(leaves)
		require.NoError(t, err)
		i := rapid.IntRange(0, len(leaves)-1).Draw(t, "leaf")

		changed := append([][]byte{}, leaves...)
		changed[i] = append([]byte{1}, leaves[i]...)
		other, err := RingRoot(changed)
		require.NoError(t, err)
		assert.NotEqual(t, root, other, "a leaf was changed")

		other, err = RingRoot(append(append([][]byte{}, leaves...), []byte("one more")))
		require.NoError(t, err)
		assert.NotEqual(t, root, other, "a leaf was added")
	})
}

// RFC 6962 section 2.1, computed here by hand for three leaves: a leaf cannot
// be taken for a node, because they are hashed with different prefixes.
func TestTheTreeIsThatOfRFC6962(t *testing.T) {
	node := func(prefix byte, parts ...[]byte) []byte {
		h := sha256.New()
		h.Write([]byte{prefix})
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	a, b, c := node(0, []byte("a")), node(0, []byte("b")), node(0, []byte("c"))
	want := "sha256:" + hex.EncodeToString(node(1, node(1, a, b), c))
	got, err := RingRoot([][]byte{[]byte("a"), []byte("b"), []byte("c")})
	require.NoError(t, err)
	assert.Equal(t, patching.Digest(want), got)

	empty, err := RingRoot(nil)
	require.NoError(t, err)
	assert.Equal(t, patching.DigestOf(nil), empty)
}

func TestAnItemsLeafBindsItsDeviceAndKey(t *testing.T) {
	item := patching.PlanItem{Device: "d-1", WindowRule: "always in UTC", Bundle: patching.DigestOf([]byte("b"))}
	key := KeyFromSeed([32]byte{4}).Public().ID()
	root, err := RingRoot([][]byte{item.Leaf(key)})
	require.NoError(t, err)
	assert.NoError(t, VerifyProof(root, 1, 0, item.Leaf(key), nil))
	assert.Error(t, VerifyProof(root, 1, 0, item.Leaf(KeyFromSeed([32]byte{5}).Public().ID()), nil))
}

func BenchmarkRingRoot(b *testing.B) {
	leaves := make([][]byte, 100_000)
	for i := range leaves {
		leaves[i] = fmt.Appendf(nil, "leaf %d of a ring as large as fleets get, with digests in it", i)
	}
	for b.Loop() {
		if _, err := RingRoot(leaves); err != nil {
			b.Fatal(err)
		}
	}
}
