package depot

import (
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
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
