package disk_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/disk"
)

// Linux keeps a disk that is always full.
func TestAWriteOnAFullDeviceIsAFullDisk(t *testing.T) {
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteString("x")
	full, _ := disk.Full(err)
	assert.True(t, full, "%v", err)
}

func TestTheRoomHereIsTold(t *testing.T) {
	dir := t.TempDir()
	room, err := disk.RoomAt(dir)
	require.NoError(t, err)
	assert.Positive(t, room.Total)
	assert.LessOrEqual(t, room.Free, room.Total)
	words, wayOut, ok := disk.Look(dir)
	assert.Equal(t, !room.Low(), ok)
	assert.Equal(t, ok, wayOut == "", "where nothing is wrong there is no way out")
	assert.Contains(t, words, "on the disk that holds "+dir)
	words, wayOut, ok = disk.Look(dir + "/none")
	assert.False(t, ok)
	assert.NotEmpty(t, wayOut)
	assert.Contains(t, words, dir+"/none")
}
