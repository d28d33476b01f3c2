package storetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

func content(t *testing.T, s *store.Store) {
	ctx := context.Background()
	t.Run("a text comes back byte for byte under its digest, however often it is kept", func(t *testing.T) {
		text := []byte("packages v1\tapt\nzlib1g\x00\xff\tamd64\n")
		for range 2 {
			d, err := s.PutContent(ctx, "packages", text)
			require.NoError(t, err)
			require.Equal(t, patching.DigestOf(text), d)
		}
		got, err := s.Content(ctx, patching.DigestOf(text))
		require.NoError(t, err)
		require.Equal(t, text, got)
	})
	t.Run("an empty text is a text", func(t *testing.T) {
		d, err := s.PutContent(ctx, "packages", nil)
		require.NoError(t, err)
		got, err := s.Content(ctx, d)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	t.Run("digests of many texts, one of them twice, come in the order of the texts", func(t *testing.T) {
		texts := make([][]byte, 1500)
		for i := range texts {
			texts[i] = fmt.Appendf(nil, "text %d", i%1499)
		}
		ds, err := s.PutContents(ctx, "bundle", texts)
		require.NoError(t, err)
		for i, d := range ds {
			require.Equal(t, patching.DigestOf(texts[i]), d)
		}
		got, err := s.Contents(ctx, append(ds[:3:3], patching.DigestOf([]byte("nobody kept this"))))
		require.NoError(t, err)
		require.Len(t, got, 3)
		require.Equal(t, texts[2], got[ds[2]])
	})
	t.Run("what is missing is named once each, in the order asked", func(t *testing.T) {
		here, err := s.PutContent(ctx, "packages", []byte("here"))
		require.NoError(t, err)
		b, a := patching.DigestOf([]byte("b, not here")), patching.DigestOf([]byte("a, not here"))
		got, err := s.MissingContent(ctx, []patching.Digest{b, here, a, b})
		require.NoError(t, err)
		require.Equal(t, []patching.Digest{b, a}, got)
		none, err := s.MissingContent(ctx, nil)
		require.NoError(t, err)
		require.Empty(t, none)
		_, err = s.Content(ctx, a)
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("the same texts kept by many at once are kept", func(t *testing.T) {
		texts := make([][]byte, 200)
		for i := range texts {
			texts[i] = fmt.Appendf(nil, "shared text %d", i)
		}
		var wg sync.WaitGroup
		errs := make([]error, 6)
		for w := range errs {
			mine := append(append([][]byte{}, texts[w*30:]...), texts[:w*30]...)
			wg.Go(func() { _, errs[w] = s.PutContents(ctx, "bundle", mine) })
		}
		wg.Wait()
		for _, err := range errs {
			require.NoError(t, err)
		}
	})
}

func settings(t *testing.T, s *store.Store) {
	ctx := context.Background()
	t.Run("a setting is what was set last, and absent before", func(t *testing.T) {
		_, ok, err := s.Setting(ctx, "engine/version")
		require.NoError(t, err)
		require.False(t, ok)
		require.NoError(t, s.SetSetting(ctx, "engine/version", "1.32.0"))
		require.NoError(t, s.SetSetting(ctx, "engine/version", ""))
		v, ok, err := s.Setting(ctx, "engine/version")
		require.NoError(t, err)
		require.True(t, ok)
		require.Empty(t, v)
	})
	t.Run("epochs begin at 1 and only grow", func(t *testing.T) {
		e, err := s.Epoch(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 1, e)
		next, err := s.BumpEpoch(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 2, next)
		e, err = s.Epoch(ctx)
		require.NoError(t, err)
		require.Equal(t, next, e)
	})
	t.Run("no sequence number is given twice, through epochs and by many at once", func(t *testing.T) {
		first, err := s.ReserveSeq(ctx, 1)
		require.NoError(t, err)
		require.EqualValues(t, 1, first)
		_, err = s.BumpEpoch(ctx)
		require.NoError(t, err)
		var mu sync.Mutex
		var wg sync.WaitGroup
		given := map[uint64]bool{first: true}
		for w := range 8 {
			wg.Go(func() {
				from, err := s.ReserveSeq(ctx, 5+w)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				for n := range uint64(5 + w) {
					if given[from+n] {
						t.Errorf("%d was given twice", from+n)
					}
					given[from+n] = true
				}
			})
		}
		wg.Wait()
		_, err = s.ReserveSeq(ctx, 0)
		require.Error(t, err)
	})
	t.Run("rows written are counted, rows read are not", func(t *testing.T) {
		before := s.Writes()
		_, err := s.PutContents(ctx, "bundle", [][]byte{[]byte("one row"), []byte("two rows"), []byte("three rows")})
		require.NoError(t, err)
		_, err = s.Content(ctx, patching.DigestOf([]byte("one row")))
		require.NoError(t, err)
		require.EqualValues(t, 3, s.Writes()-before)
	})
}

func policies(t *testing.T, s *store.Store) {
	ctx := context.Background()
	put := func(name, source string, minutes int) {
		t.Helper()
		require.NoError(t, s.ApplyPolicy(ctx, store.PolicyVersion{Name: patching.PolicyName(name), Source: []byte(source), Applied: at(minutes), By: "ana"}))
	}
	t.Run("every version stays, the newest is in force, and the one in force applied again is no new one", func(t *testing.T) {
		for i, source := range []string{"one", "one", "two", "one"} {
			put("servers", source, i)
		}
		put("desktops", "other", 9)
		p, err := s.Policy(ctx, "servers")
		require.NoError(t, err)
		same(t, store.PolicyVersion{Name: "servers", Digest: patching.DigestOf([]byte("one")), Source: []byte("one"), Applied: at(3), By: "ana"}, p)
		versions, err := s.PolicyVersions(ctx, "servers")
		require.NoError(t, err)
		var sources []string
		for _, v := range versions {
			sources = append(sources, string(v.Source))
		}
		require.Equal(t, []string{"one", "two", "one"}, sources)
		inForce, err := s.Policies(ctx)
		require.NoError(t, err)
		require.Len(t, inForce, 2)
		require.EqualValues(t, "desktops", inForce[0].Name)
	})
	t.Run("a digest that is not the document's is refused, and a policy that nobody applied is not there", func(t *testing.T) {
		err := s.ApplyPolicy(ctx, store.PolicyVersion{Name: "wrong", Source: []byte("x"), Digest: patching.DigestOf([]byte("y"))})
		require.ErrorContains(t, err, "digest")
		_, err = s.Policy(ctx, "wrong")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
}

func cycles(t *testing.T, s *store.Store) {
	ctx := context.Background()
	full := patching.Cycle{
		ID: "cycle/monthly/2026-11.1", Kind: patching.Monthly, Policy: "monthly", PolicyVersion: "sha256:aa", Shadow: true, Author: "ana",
		Reason: "because", Opened: noon, Phase: patching.PhaseMonitor, Words: "It begins.", Epoch: 1, Mode: "dispatcher", State: []byte(`{"a":1}`),
	}
	t.Run("a cycle opens once; the record of the first stays", func(t *testing.T) {
		opened, err := s.OpenCycle(ctx, full)
		require.NoError(t, err)
		require.True(t, opened)
		other := full
		other.Author, other.Words = "bob", "again"
		opened, err = s.OpenCycle(ctx, other)
		require.NoError(t, err)
		require.False(t, opened)
		got, err := s.Cycle(ctx, full.ID)
		require.NoError(t, err)
		same(t, full, got)
	})
	t.Run("saving keeps all but who opened it and when", func(t *testing.T) {
		saved := full
		saved.Author, saved.Opened = "eve", at(5)
		saved.Phase, saved.Closed, saved.ClosedAs, saved.Plan, saved.Report, saved.State = patching.PhaseClosed, at(99), patching.ClosedBackedOut, "sha256:bb", "r.html", nil
		require.NoError(t, s.SaveCycle(ctx, saved))
		got, err := s.Cycle(ctx, full.ID)
		require.NoError(t, err)
		saved.Author, saved.Opened = full.Author, full.Opened
		same(t, saved, got)
	})
	t.Run("a cycle that is not there is neither found nor saved", func(t *testing.T) {
		_, err := s.Cycle(ctx, "cycle/none/2026-01.1")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, s.SaveCycle(ctx, patching.Cycle{ID: "cycle/none/2026-01.1"}), store.ErrNotFound)
	})
	t.Run("numbers go on from the highest of that policy and month alone", func(t *testing.T) {
		for i, id := range []patching.CycleID{
			"cycle/num/2026-11.2", "cycle/num/2026-11.10", "cycle/num/2026-1.99", "cycle/num/2026-12.50", "cycle/num-b/2026-11.70", "emergency/num/2026-11.80",
		} {
			_, err := s.OpenCycle(ctx, patching.Cycle{ID: id, Policy: "num", Opened: at(i)})
			require.NoError(t, err)
		}
		n, err := s.NextCycleNumber(ctx, "num", 2026, 11)
		require.NoError(t, err)
		require.Equal(t, 11, n)
		n, err = s.NextCycleNumber(ctx, "num", 2027, 1)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	})
	t.Run("lists are newest first and narrowed as asked", func(t *testing.T) {
		got, err := s.Cycles(ctx, store.CycleFilter{Policy: "num", Limit: 2})
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.EqualValues(t, "emergency/num/2026-11.80", got[0].ID)
		open, err := s.Cycles(ctx, store.CycleFilter{Open: true})
		require.NoError(t, err)
		for _, c := range open {
			require.True(t, c.Closed.IsZero(), c.ID)
		}
		require.Len(t, open, 6)
	})
	t.Run("a cycle that has closed and has no report yet is unfinished", func(t *testing.T) {
		reporting := patching.Cycle{ID: "cycle/num/2026-12.1", Policy: "num", Opened: at(1), Phase: patching.PhaseReport}
		_, err := s.OpenCycle(ctx, reporting)
		require.NoError(t, err)
		reporting.Closed = at(2)
		require.NoError(t, s.SaveCycle(ctx, reporting))
		unfinished := func() (ids []patching.CycleID) {
			got, err := s.Cycles(ctx, store.CycleFilter{Policy: "num", Unfinished: true})
			require.NoError(t, err)
			for _, c := range got {
				ids = append(ids, c.ID)
			}
			return ids
		}
		require.Contains(t, unfinished(), reporting.ID)
		reporting.Phase = patching.PhaseClosed
		require.NoError(t, s.SaveCycle(ctx, reporting))
		require.NotContains(t, unfinished(), reporting.ID)
	})
}
