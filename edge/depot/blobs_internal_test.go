package depot

import (
	"bytes"
	"io"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

func TestAFullDiskIsNamedWithTheWayOut(t *testing.T) {
	dir := t.TempDir()
	b, err := openBlobs(dir)
	require.NoError(t, err)
	err = b.put(File{SHA256: "00" + "11223344556677889900112233445566778899001122334455667788990011", Size: 3}, iotest.ErrReader(syscall.ENOSPC))
	var full *FullError
	require.ErrorAs(t, err, &full)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorContains(t, err, dir+" is full: make room")
}

func TestAnIndexThatWantsFourGigabytesToBeUnpackedIsRefused(t *testing.T) {
	var packed bytes.Buffer
	w, err := xz.NewWriter(&packed)
	require.NoError(t, err)
	_, err = w.Write([]byte("Package: tool\n"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	text := packed.Bytes()
	read := func() error {
		r, err := expand("Packages.xz", bytes.NewReader(text), int64(len(text)))
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
	require.ErrorContains(t, read(), "unpack xz")
}
