package unpack_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/patchcycle/patchcycle/internal/unpack"
)

var bounds = unpack.Bounds{Size: 64 << 20, Ratio: 64}

// packers by format. Bzip2 cannot be written in Go: what reads it is the standard
// library's, under the same bound.
var packers = map[string]func(io.Writer) (io.WriteCloser, error){
	"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	"xz":   func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
	"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	"none": func(w io.Writer) (io.WriteCloser, error) { return open{w}, nil },
}

type open struct{ io.Writer }

func (open) Close() error { return nil }

func packed(t *testing.T, format, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := packers[format](&b)
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func read(text []byte, b unpack.Bounds) (string, error) {
	r, err := unpack.Reader(bytes.NewReader(text), int64(len(text)), b)
	if err != nil {
		return "", err
	}
	defer r.Close()
	out, err := io.ReadAll(r)
	return string(out), err
}

func TestWhatIsPackedIsRecognisedByHowItBegins(t *testing.T) {
	for format := range packers {
		for _, text := range []string{"Package: tool\n", ""} {
			got, err := read(packed(t, format, text), bounds)
			require.NoError(t, err, format)
			require.Equal(t, text, got, format)
		}
	}
}

// Serves G4.
func TestABombEndsWhereItIsTooMuch(t *testing.T) {
	text := strings.Repeat("\x00", 8<<20)
	for format := range packers {
		small := packed(t, format, text)
		_, err := read(small, unpack.Bounds{Size: 1 << 20, Ratio: 1 << 20})
		require.ErrorIs(t, err, unpack.ErrBomb, "%s, by size", format)
		if format == "none" {
			continue
		}
		_, err = read(small, unpack.Bounds{Size: 1 << 30, Ratio: 2})
		require.ErrorIs(t, err, unpack.ErrBomb, "%s, by ratio", format)
		_, err = read(small[:len(small)-9], bounds)
		require.Error(t, err, "%s, cut off", format)
	}
}

func TestXZThatWantsFourGigabytesToBeUnpackedIsRefused(t *testing.T) {
	var packed bytes.Buffer
	w, err := xz.NewWriter(&packed)
	require.NoError(t, err)
	_, err = w.Write([]byte("Package: tool\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	text := packed.Bytes()
	read := func() error {
		r, err := unpack.Reader(bytes.NewReader(text), int64(len(text)), bounds)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		return err
	}
	require.NoError(t, read())
	text[16] = 40 // the dictionary's size, in the header of the first block
	require.ErrorContains(t, read(), "dictionary of 4294967295 bytes")
	text[14] = 0x03 // the delta filter
	require.ErrorContains(t, read(), "filter")
	text = text[:14]
	require.ErrorContains(t, read(), "unpack: ")
}
