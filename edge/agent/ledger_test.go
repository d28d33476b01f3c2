package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func openLedger(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := OpenLedger(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func load(t testing.TB, j Journal) string {
	t.Helper()
	state, err := j.Load()
	require.NoError(t, err)
	return string(state)
}

func TestTheLastStateOfEachAgentIsFoundAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	l := openLedger(t, path)
	state, err := l.Journal("d-1").Load()
	require.NoError(t, err)
	assert.Nil(t, state, "a new agent has none")
	for n := range 5 {
		for d := range 3 {
			j := l.Journal(fmt.Sprintf("d-%d", d))
			want := fmt.Sprintf(`{"n":%d,"d":%d}`, n, d)
			require.NoError(t, j.Save([]byte(want), n%2 == 0))
			assert.Equal(t, want, load(t, j))
		}
	}
	require.NoError(t, l.Close())
	l = openLedger(t, path)
	for d := range 3 {
		assert.Equal(t, fmt.Sprintf(`{"n":4,"d":%d}`, d), load(t, l.Journal(fmt.Sprintf("d-%d", d))))
	}
}

// A loss of power leaves the file cut, or with pages of it missing.
func TestAFileThatLostItsEndOrAPageStillGivesAWholeState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	rapid.Check(t, func(rt *rapid.T) {
		require.NoError(rt, os.RemoveAll(path))
		require.NoError(rt, os.RemoveAll(path+".lock"))
		l, err := OpenLedger(path)
		require.NoError(rt, err)
		j := l.Journal("d-1")
		var saved []string
		for n := range rapid.IntRange(1, 8).Draw(rt, "saves") {
			state := fmt.Sprintf(`{"n":%d,"pad":%q}`, n, strings.Repeat("x", rapid.IntRange(0, 60).Draw(rt, "pad")))
			require.NoError(rt, j.Save([]byte(state), false))
			saved = append(saved, state)
		}
		require.NoError(rt, l.Close())
		text, err := os.ReadFile(path)
		require.NoError(rt, err)

		if rapid.Bool().Draw(rt, "cut") {
			text = text[:rapid.IntRange(0, len(text)).Draw(rt, "length")]
		} else {
			from := rapid.IntRange(0, len(text)).Draw(rt, "from")
			to := rapid.IntRange(from, len(text)).Draw(rt, "to")
			clear(text[from:to])
		}
		require.NoError(rt, os.WriteFile(path, text, 0o600))
		l, err = OpenLedger(path)
		require.NoError(rt, err)
		defer l.Close()
		state, err := l.Journal("d-1").Load()
		require.NoError(rt, err)
		if state != nil {
			assert.Contains(rt, saved, string(state), "one that was saved, whole")
		}
		require.NoError(rt, l.Journal("d-1").Save([]byte("after"), true))
		require.NoError(rt, l.Close())
		l, err = OpenLedger(path)
		require.NoError(rt, err)
		state, err = l.Journal("d-1").Load()
		require.NoError(rt, err)
		assert.Equal(rt, "after", string(state))
		require.NoError(rt, l.Close())
	})
}

func TestALedgerDoesNotGrowForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	l := openLedger(t, path)
	state := bytes.Repeat([]byte("s"), 10_000)
	for n := range 1000 {
		name := fmt.Sprintf("d-%d", n%7)
		require.NoError(t, l.Journal(name).Save(append(state, name...), false))
	}
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(rewriteFrom+100_000))
	require.NoError(t, l.Close())
	l = openLedger(t, path)
	for n := range 7 {
		name := fmt.Sprintf("d-%d", n)
		assert.Equal(t, string(state)+name, load(t, l.Journal(name)))
	}
}

func TestOnlyOneProcessHasALedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	l := openLedger(t, path)
	_, err := OpenLedger(path)
	assert.ErrorContains(t, err, "another agent uses it")
	require.NoError(t, l.Close())
	openLedger(t, path)
}

func TestAClosedLedgerTakesNothing(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "journal"))
	require.NoError(t, l.Close())
	assert.ErrorIs(t, l.Journal("d-1").Save([]byte("x"), true), os.ErrClosed)
}

func TestAfterAFailedFlushNothingIsBelieved(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "journal"))
	require.NoError(t, l.Journal("d-1").Save([]byte("x"), true))
	l.mu.Lock()
	require.NoError(t, l.file.Close()) // the disk goes away under it
	l.mu.Unlock()
	require.Error(t, l.Journal("d-1").Save([]byte("y"), true))
}

func TestManyAgentsShareFlushes(t *testing.T) {
	l := openLedger(t, filepath.Join(t.TempDir(), "journal"))
	var wg sync.WaitGroup
	for d := range 50 {
		wg.Go(func() {
			j := l.Journal(fmt.Sprintf("d-%d", d))
			for n := range 20 {
				if err := j.Save(fmt.Appendf(nil, "%d", n), true); err != nil {
					assert.NoError(t, err)
				}
			}
		})
	}
	wg.Wait()
	for d := range 50 {
		assert.Equal(t, "19", load(t, l.Journal(fmt.Sprintf("d-%d", d))))
	}
}

func TestAJournalThatIsNoStateIsNotTakenForAFreshOne(t *testing.T) {
	for text, words := range map[string]string{
		`{}`: "format 0", `null`: "format 0", `[]`: "journal", `{"v":1`: "journal", `{"v":1,"counter":"7"}`: "journal",
		`{"v":2,"memory":{"epoch":0,"seq":0,"fence":0,"signed":"0001-01-01T00:00:00Z"},"counter":0}`: "format 2",
	} {
		_, err := readState([]byte(text))
		assert.ErrorContains(t, err, words, text)
	}
	s, err := readState(nil)
	require.NoError(t, err)
	assert.Equal(t, state{V: 1}, s)
}

// Serves Q13: the release of before goes on where the next one left off.
func TestAJournalOfTheNextReleaseIsReadButForWhatIsNewInIt(t *testing.T) {
	s, err := readState([]byte(`{"v":1,"counter":7,"extra":true,"works":[{"order":{"id":"o-1","later":1},"stage":"started","soon":[]}]}`))
	require.NoError(t, err)
	assert.Equal(t, uint64(7), s.Counter)
	assert.Equal(t, "o-1", string(s.underWay().Order.ID))
}

func BenchmarkDurableSaves(b *testing.B) {
	l := openLedger(b, filepath.Join(b.TempDir(), "journal"))
	state := bytes.Repeat([]byte("s"), 2000)
	var n int
	var mu sync.Mutex
	b.SetParallelism(200)
	b.RunParallel(func(pb *testing.PB) {
		mu.Lock()
		n++
		j := l.Journal(fmt.Sprintf("d-%d", n))
		mu.Unlock()
		for pb.Next() {
			if err := j.Save(state, true); err != nil && !errors.Is(err, os.ErrClosed) {
				b.Error(err)
			}
		}
	})
}

func TestALedgerThatLostWhatWasFlushedIsNotOpened(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"cut":     func(b []byte) []byte { return b[:len(b)-1] },
		"empty":   func([]byte) []byte { return nil },
		"damaged": func(b []byte) []byte { b[12] ^= 1; return b },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "journal")
			l := openLedger(t, path)
			require.NoError(t, l.Journal("d-1").Save([]byte("one"), false))
			require.NoError(t, l.Journal("d-1").Save([]byte("two"), true))
			require.NoError(t, l.Close())
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, damage(text), 0o600))
			_, err = OpenLedger(path)
			assert.ErrorIs(t, err, ErrDamaged)
		})
	}
}

func TestAWriteThatALossOfPowerToreIsForgottenAndWhatWasFlushedStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	l := openLedger(t, path)
	require.NoError(t, l.Journal("d-1").Save([]byte("flushed"), true))
	require.NoError(t, l.Journal("d-1").Save([]byte("torn"), false))
	require.NoError(t, l.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text[:len(text)-3], 0o600))
	for range 2 { // what was torn stands in nobody's way later
		l = openLedger(t, path)
		assert.Equal(t, "flushed", load(t, l.Journal("d-1")))
		require.NoError(t, l.Journal("d-1").Save([]byte("flushed"), true))
		require.NoError(t, l.Close())
	}
}
