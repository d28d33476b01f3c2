package smalldisk

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestADiskIsFullUntilItIsFreed(t *testing.T) {
	dir, ok := On(t, "size=1m")
	if !ok {
		return
	}
	file := filepath.Join(dir, "x")
	free := Fill(t, dir)
	require.ErrorIs(t, os.WriteFile(file, []byte("x"), 0o600), syscall.ENOSPC)
	free()
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o600))
}
