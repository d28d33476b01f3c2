package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/durable"
)

func write(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

func TestAFileIsReplacedWithItsMode(t *testing.T) {
	file := filepath.Join(t.TempDir(), "record")
	require.NoError(t, durable.Replace(file, 0o644, write("old")))
	require.NoError(t, durable.Replace(file, 0o600, write("new")))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "new", string(text))
	info, err := os.Stat(file)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	}
}

func TestAWriterThatBreaksOffLeavesTheOldFileAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "record")
	require.NoError(t, durable.Replace(file, 0o600, write("old")))
	full := errors.New("the disk is full")
	err := durable.Replace(file, 0o600, func(w io.Writer) error { return errors.Join(write("ne")(w), full) })
	require.ErrorIs(t, err, full)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "old", string(text))
	all, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, all, 1)
}

func TestAFolderThatIsNotThereIsAnError(t *testing.T) {
	require.ErrorIs(t, durable.Replace(filepath.Join(t.TempDir(), "none", "record"), 0o600, write("new")), fs.ErrNotExist)
}
