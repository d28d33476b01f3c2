package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Serves G6, U1.
func papers(t *testing.T, s *store.Store) {
	f := with(t, s, "papers")
	subject := string(f.cycle())
	sig := func(who, key string, minute int) patching.PaperSignature {
		return patching.PaperSignature{Account: patching.AccountName(who), Key: key, Signature: []byte(who + key), At: at(minute)}
	}
	older := patching.Paper{Kind: patching.PaperGrants, Subject: subject, Document: []byte(`{"rings":1}`), At: at(1)}
	newer := patching.Paper{Kind: patching.PaperGrants, Subject: subject, Document: []byte(`{"rings":2}`), Machines: []byte(`[]`), At: at(2)}
	other := patching.Paper{Kind: patching.PaperDelegation, Subject: subject, Document: []byte(`{"from":"ana"}`), At: at(1)}
	sign := func(p patching.Paper, sigs ...patching.PaperSignature) {
		p.Signatures = sigs
		require.NoError(t, s.SignPaper(f.ctx, p))
	}
	t.Run("a paper gathers signatures, each key's once, and the first one stays", func(t *testing.T) {
		sign(older, sig("ana", "k1", 3))
		sign(other, sig("ana", "k1", 3))
		sign(newer)
		sign(older, sig("ben", "k2", 2), sig("ana", "k1", 9))
		got, err := s.Papers(f.ctx, patching.PaperGrants, subject)
		require.NoError(t, err)
		want := older
		want.Machines = []byte{}
		want.Signatures = []patching.PaperSignature{sig("ben", "k2", 2), sig("ana", "k1", 3)}
		require.Len(t, got, 2)
		same(t, newer.Document, got[0].Document)
		require.Empty(t, got[0].Signatures)
		same(t, want, got[1])
	})
	t.Run("papers are found by what they are about, or all of a kind", func(t *testing.T) {
		got, err := s.Papers(f.ctx, patching.PaperDelegation, subject)
		require.NoError(t, err)
		require.Len(t, got, 1)
		all, err := s.Papers(f.ctx, patching.PaperDelegation, "")
		require.NoError(t, err)
		require.NotEmpty(t, all)
		none, err := s.Papers(f.ctx, patching.PaperGrants, "another cycle")
		require.NoError(t, err)
		require.Empty(t, none)
	})
}

func holds(t *testing.T, s *store.Store) {
	f := with(t, s, "holds")
	t.Run("the latest word counts, and of two at once the first", func(t *testing.T) {
		before, err := s.Hold(f.ctx)
		require.NoError(t, err)
		v := before.Version
		one := patching.Hold{Version: v + 1, By: "olga", Reason: "payroll", At: at(1), Until: at(60)}
		require.NoError(t, s.SayHold(f.ctx, one))
		other := one
		other.By = "ben"
		require.ErrorIs(t, s.SayHold(f.ctx, other), store.ErrFinal)
		lifted := patching.Hold{Version: v + 2, Lifted: true, By: "ben", Reason: "done", At: at(2)}
		require.NoError(t, s.SayHold(f.ctx, lifted))
		got, err := s.Hold(f.ctx)
		require.NoError(t, err)
		same(t, lifted, got)
		all, err := s.Holds(f.ctx, 2)
		require.NoError(t, err)
		same(t, []patching.Hold{lifted, one}, all)
	})
}
