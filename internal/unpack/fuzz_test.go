package unpack_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/patchcycle/patchcycle/internal/unpack"
)

// Whatever is packed, no more comes out of it than the bounds allow.
func FuzzReader(f *testing.F) {
	for _, pack := range []func(io.Writer) (io.WriteCloser, error){
		func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
		func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
		func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	} {
		var packed bytes.Buffer
		w, err := pack(&packed)
		require.NoError(f, err)
		_, err = w.Write(bytes.Repeat([]byte("all the same, "), 100))
		require.NoError(f, err)
		require.NoError(f, w.Close())
		f.Add(packed.Bytes())
	}
	// An empty text, as bzip2 packs it.
	f.Add([]byte("BZh9\x17\x72\x45\x38\x50\x90\x00\x00\x00\x00"))
	const size = 1 << 16
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := unpack.Reader(bytes.NewReader(text), int64(len(text)), unpack.Bounds{Size: size, Ratio: 10})
		if err != nil {
			return
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, r)
		require.LessOrEqual(t, n, int64(size)+1)
		if n > size {
			require.ErrorIs(t, err, unpack.ErrBomb)
		}
	})
}
