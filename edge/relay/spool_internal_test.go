package relay

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

func openAt(t require.TestingT, path string, most int64) *spool {
	s, err := openSpool(path, most)
	require.NoError(t, err)
	return s
}

func receiptOf(device string, counter uint64, bytes int) uplink.Message {
	return uplink.Message{Device: patching.DeviceID(device), Counter: counter, Boot: "b", Kind: uplink.KindReceipt, Body: make([]byte, bytes)}
}

// all returns what a spool holds, in order.
func (s *spool) all(t require.TestingT) (out []messageName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out = s.inOrder()
	for _, name := range out {
		line := make([]byte, s.kept[name].size)
		_, err := s.file.ReadAt(line, s.kept[name].at)
		require.NoError(t, err)
		e, ok := parseLine(line)
		require.True(t, ok)
		require.Equal(t, name, nameOf(*e.Message))
	}
	return out
}

// Serves Q5: whatever happens to the file's end, what was flushed is there.
func TestASpoolIsAfterAnyKillWhatItWas(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		s := openAt(t, path, 64<<20)
		defer func() { _ = s.close() }()
		var want []messageName // those that are kept, as they came
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				var some []uplink.Message
				for range rapid.IntRange(1, 5).Draw(t, "messages") {
					m := receiptOf(rapid.SampledFrom([]string{"a", "b", "c\nd"}).Draw(t, "device"), rapid.Uint64Range(1, 20).Draw(t, "counter"), rapid.IntRange(0, 60<<10).Draw(t, "bytes"))
					if slices.ContainsFunc(some, func(o uplink.Message) bool { return nameOf(o) == nameOf(m) }) {
						continue
					}
					some = append(some, m)
					if !slices.Contains(want, nameOf(m)) {
						want = append(want, nameOf(m))
					}
				}
				require.NoError(t, s.add("", 1, some))
			case 3:
				if len(want) > 0 {
					i := rapid.IntRange(0, len(want)-1).Draw(t, "done")
					s.done(want[i])
					want = slices.Delete(want, i, i+1)
				}
			case 4: // a kill in the middle of a line
				torn, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
				require.NoError(t, err)
				_, err = torn.WriteString(rapid.SampledFrom([]string{"", "12345678 {\"mess", "\x00\x00\x00\x00", "ffffffff {}\n"}).Draw(t, "torn"))
				require.NoError(t, err)
				require.NoError(t, torn.Close())
				fallthrough
			case 5:
				require.NoError(t, s.close())
				s = openAt(t, path, 64<<20)
			}
			got := s.all(t)
			require.True(t, slices.Equal(want, got), "want %v, got %v", want, got)
		}
		info, err := os.Stat(path)
		require.NoError(t, err)
		_, live, _ := s.waiting()
		require.LessOrEqual(t, info.Size(), 2*live+2*rewriteFrom)
	})
}

// Serves Q15: bounded, and one device cannot fill it.
func TestAFullSpoolTakesNothingMoreAndOneDeviceGetsAShare(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "spool"), 160<<10)
	for i := range 20 {
		require.NoError(t, s.add("", 1, []uplink.Message{receiptOf("greedy", uint64(i+1), 3<<10)}))
	}
	messages, bytes, missed := s.waiting()
	require.Equal(t, 2, messages)
	require.LessOrEqual(t, bytes, int64(10<<10))
	require.EqualValues(t, 18, missed)
	for i := range 100 {
		require.NoError(t, s.add("", 1, []uplink.Message{receiptOf(fmt.Sprint("d-", i), 1, 3<<10)}))
	}
	_, bytes, _ = s.waiting()
	require.LessOrEqual(t, bytes, int64(160<<10))
	require.Greater(t, bytes, int64(150<<10))
	require.NoError(t, s.close())
}

func TestOnlyReceiptsAreSpooledInBatchesOfOneRelay(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "spool"), 1<<20)
	hello := receiptOf("a", 1, 1)
	hello.Kind = uplink.KindLeaseRequest
	require.NoError(t, s.add("hall-2", 2, []uplink.Message{hello, receiptOf("a", 2, 1)}))
	require.NoError(t, s.add("berlin", 1, []uplink.Message{receiptOf("b", 1, 1)}))
	require.NoError(t, s.add("hall-2", 2, []uplink.Message{receiptOf("c", 1, 1)}))
	some, err := s.oldest()
	require.NoError(t, err)
	require.Equal(t, "hall-2", some.relay)
	require.Equal(t, 2, some.hops)
	require.Len(t, some.messages, 2)
	s.done(messageName{"a", 2}, messageName{"c", 1})
	some, err = s.oldest()
	require.NoError(t, err)
	require.Equal(t, load{"berlin", 1, []uplink.Message{receiptOf("b", 1, 1)}}, some)
	for range leftOutMost {
		s.leftOut(messageName{"b", 1})
	}
	some, err = s.oldest()
	require.NoError(t, err)
	require.Empty(t, some.messages)
	require.NoError(t, s.close())
}

func FuzzSpoolLine(f *testing.F) {
	m := receiptOf("a", 1, 3)
	line, err := formatLine(entry{Relay: "r", Message: &m})
	require.NoError(f, err)
	f.Add(line)
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok := parseLine(line)
		if !ok {
			return
		}
		again, err := formatLine(e)
		require.NoError(t, err)
		e2, ok := parseLine(again)
		require.True(t, ok)
		require.Equal(t, e, e2)
		_ = bytes.Count(again, []byte("\n")) == 1
	})
}
