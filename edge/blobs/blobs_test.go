package blobs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/blobs"
)

func open(t *testing.T, dir string) *blobs.Store {
	t.Helper()
	s, err := blobs.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func fileOf(text string) blobs.File {
	sum := sha256.Sum256([]byte(text))
	return blobs.File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(text))}
}

func put(t *testing.T, s *blobs.Store, text string) blobs.File {
	t.Helper()
	f := fileOf(text)
	require.NoError(t, s.Put(f, strings.NewReader(text)))
	return f
}

func TestAFullDiskIsNamedWithTheWayOut(t *testing.T) {
	dir := t.TempDir()
	err := open(t, dir).Put(fileOf("three"), iotest.ErrReader(syscall.ENOSPC))
	var full *blobs.FullError
	require.ErrorAs(t, err, &full)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, dir+" is full: make room")
}

// Serves Q11.
func TestAFileThatWasCutGoesOnWhereItWasAlsoAfterARestart(t *testing.T) {
	dir, text := t.TempDir(), strings.Repeat("a package of some size\n", 1000)
	f, cut := fileOf(text), errors.New("the line was cut")
	first := func(offset int64) (io.ReadCloser, error) {
		require.Zero(t, offset)
		return io.NopCloser(io.MultiReader(strings.NewReader(text[:5000]), iotest.ErrReader(cut))), nil
	}
	s := open(t, dir)
	require.ErrorIs(t, s.Fill(f, first), cut)
	require.False(t, s.Has(f))
	require.Zero(t, s.Total())
	require.NoError(t, s.Close())

	s = open(t, dir)
	require.NoError(t, s.Fill(f, func(offset int64) (io.ReadCloser, error) {
		require.EqualValues(t, 5000, offset)
		return io.NopCloser(strings.NewReader(text[offset:])), nil
	}))
	got, err := s.Read(f)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
	require.Equal(t, f.Size, s.Total())
}

func TestABeginningThatWasDamagedIsFoundOutAndFetchedAnew(t *testing.T) {
	dir, text := t.TempDir(), "what was signed"
	f := fileOf(text)
	from := func(offset int64) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text[offset:])), nil }
	require.NoError(t, os.Mkdir(filepath.Join(dir, f.SHA256[:2]), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, f.SHA256[:2], f.SHA256+".part"), []byte("WHAT"), 0o600))
	s := open(t, dir)
	require.ErrorIs(t, s.Fill(f, from), blobs.ErrWrongBytes)
	require.NoError(t, s.Fill(f, from))
	require.True(t, s.Has(f))
}

func TestNothingIsKeptThatIsLongerShorterOrOther(t *testing.T) {
	s := open(t, t.TempDir())
	for what, sent := range map[string]io.Reader{
		"longer":  strings.NewReader("what was signed and more"),
		"endless": endless{},
		"shorter": strings.NewReader("what was"),
		"other":   strings.NewReader("WHAT WAS SIGNED"),
	} {
		require.ErrorIs(t, s.Put(fileOf("what was signed"), sent), blobs.ErrWrongBytes, what)
	}
	unsized := fileOf("what was signed")
	unsized.Size = blobs.AnySize
	require.ErrorIs(t, s.Put(unsized, endless{}), blobs.ErrWrongBytes)
	require.Zero(t, s.Total())
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// Serves Q15: nothing outside of the folder is read or written.
func TestOnlyHashesAreNamesAndLinksLeadNowhere(t *testing.T) {
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600))
	dir := t.TempDir()
	s := open(t, dir)
	for _, hash := range []string{"", "..", "../../etc/passwd", "a/b", strings.Repeat("a", 63), strings.Repeat("A", 64), strings.Repeat("a", 63) + "\x00", strings.Repeat("../", 21) + "a"} {
		_, err := s.Open(blobs.File{SHA256: hash, Size: blobs.AnySize})
		require.Error(t, err, hash)
		require.Error(t, s.Put(blobs.File{SHA256: hash}, strings.NewReader("")), hash)
	}
	f := fileOf("secret")
	require.NoError(t, os.Mkdir(filepath.Join(dir, f.SHA256[:2]), 0o700))
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, f.SHA256[:2], f.SHA256)))
	_, err := s.Open(f)
	require.Error(t, err, "a link out of the folder is not followed, though the bytes would be right")

	g := fileOf("through a linked folder")
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, g.SHA256[:2])))
	require.Error(t, s.Put(g, strings.NewReader("through a linked folder")))
	left, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestAFileThatWasChangedOnDiskIsRemovedAndCanComeAgain(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	f := put(t, s, "what was signed")
	path := filepath.Join(dir, f.SHA256[:2], f.SHA256)
	require.NoError(t, os.WriteFile(path, []byte("what was forged"), 0o600))
	_, err := s.Open(f)
	require.ErrorIs(t, err, blobs.ErrDamaged)
	_, err = s.Open(f)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Zero(t, s.Total())
	put(t, s, "what was signed")
	require.True(t, s.Has(f))
	require.Equal(t, f.Size, s.Total())
}

func TestWhatWasUsedLongestAgoGoesFirstAndWhatIsNeededOrPinnedStays(t *testing.T) {
	s := open(t, t.TempDir())
	needed, old, pinned, fresh := put(t, s, "needed"), put(t, s, "old"), put(t, s, "pinned"), put(t, s, "fresh")
	unpin := s.Pin(pinned.SHA256)
	require.True(t, s.Has(old), "used now, and so before the next")
	require.True(t, s.Has(fresh))
	require.NoError(t, s.Evict(func() map[string]bool { return map[string]bool{needed.SHA256: true} }, fresh.Size))
	require.False(t, s.Has(old))
	require.True(t, s.Has(needed))
	require.True(t, s.Has(pinned))
	require.True(t, s.Has(fresh))
	require.Equal(t, needed.Size+pinned.Size+fresh.Size, s.Total())
	unpin()
	require.NoError(t, s.Evict(func() map[string]bool { return nil }, 0))
	require.Zero(t, s.Total())
}

func TestOneFileIsFilledOnceForAllWhoComeMeanwhile(t *testing.T) {
	s := open(t, t.TempDir())
	text := bytes.Repeat([]byte("x"), 1<<20)
	f := fileOf(string(text))
	asked, proceed := make(chan int64, 8), make(chan struct{})
	done := make(chan error, 8)
	for range 8 {
		go func() {
			done <- s.Fill(f, func(offset int64) (io.ReadCloser, error) {
				asked <- offset
				<-proceed
				return io.NopCloser(bytes.NewReader(text)), nil
			})
		}()
	}
	<-asked
	close(proceed)
	for range 8 {
		require.NoError(t, <-done)
	}
	require.Empty(t, asked)
	require.True(t, s.Has(f))
}
