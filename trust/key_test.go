package trust

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKeysAreMadeOnceAndOnlyTheirOwnerReadsThem(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	made, err := LoadOrCreateKeys(dir)
	require.NoError(t, err)
	again, err := LoadOrCreateKeys(dir)
	require.NoError(t, err)
	assert.Equal(t, made, again)
	assert.NotEqual(t, made.Root, made.Dispatcher)
	assert.NotEqual(t, made.Dispatcher, made.Lease)
	for _, name := range []string{"root", "dispatcher", "lease"} {
		info, err := os.Stat(filepath.Join(dir, name+".key"))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".key-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestTwoProcessesThatMakeAKeyAtOnceGetTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "device.key")
	keys := make([]Key, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, err := LoadOrCreateKey(path)
			assert.NoError(t, err)
			keys[i] = k
		})
	}
	wg.Wait()
	for _, k := range keys {
		assert.Equal(t, keys[0], k)
	}
}

func TestAKeyFileIsRefusedIf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "device.key")
	_, err := LoadOrCreateKey(path)
	require.NoError(t, err)

	require.NoError(t, os.Chmod(path, 0o640))
	_, err = LoadOrCreateKey(path)
	assert.ErrorContains(t, err, "can be read by others")

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.WriteFile(path, []byte("no key"), 0o600))
	_, err = LoadOrCreateKey(path)
	assert.ErrorContains(t, err, "PEM")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "no key", string(text), "it is not replaced: somebody should look first")
}
