package disk_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/disk"
)

// code is how SQLite's driver numbers its errors, state PostgreSQL's.
type (
	code  int
	state string
)

func (c code) Error() string     { return fmt.Sprintf("failed (%d)", c) }
func (c code) Code() int         { return int(c) }
func (s state) Error() string    { return "ERROR: failed" }
func (s state) SQLState() string { return string(s) }

// That the databases' own errors are found is shown in store/sqlite and
// store/postgres; a real disk is filled in e2e.
func TestAFullDiskIsToldFromOtherFailures(t *testing.T) {
	for name, c := range map[string]struct {
		err          error
		full, remote bool
	}{
		"nothing":                        {nil, false, false},
		"no space":                       {&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, true, false},
		"no more of a quota":             {syscall.EDQUOT, true, false},
		"SQLite is full":                 {code(13), true, false},
		"SQLite's shared file is full":   {code(4874), true, false},
		"SQLite is busy":                 {code(5), false, false},
		"SQLite cannot read":             {code(266), false, false},
		"PostgreSQL is full":             {state("53100"), true, true},
		"PostgreSQL has no memory":       {state("53200"), false, true},
		"the engine on SQLite is full":   {errors.New("UpdateShard operation failed. Failed to commit transaction. Error: database or disk is full (13)"), true, false},
		"SQLite's shared file, by words": {errors.New("read the schema's version: disk I/O error (4874)"), true, false},
		"the engine on PostgreSQL":       {errors.New("rpc error: could not extend file: No space left on device (SQLSTATE 53100)"), true, true},
		"a file that is not there":       {os.ErrNotExist, false, false},
		"somebody's words":               {errors.New("the glass is full"), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			full, remote := disk.Full(c.err)
			assert.Equal(t, c.full, full)
			if full {
				assert.Equal(t, c.remote, remote)
			}
			if c.err == nil {
				return
			}
			wrapped := fmt.Errorf("commit: %w", c.err)
			got := disk.Explain(wrapped, "/var/lib/x", "the database on db1")
			require.ErrorIs(t, got, c.err)
			switch {
			case !c.full:
				assert.Equal(t, wrapped, got)
			case c.remote:
				assert.ErrorContains(t, got, "the disk that holds the database on db1 is full: free space there and start again; nothing was lost")
			default:
				assert.ErrorContains(t, got, "the disk that holds /var/lib/x is full: free space there and start again; nothing was lost")
				assert.Equal(t, got, disk.Explain(got, "elsewhere", ""), "it is said once")
			}
		})
	}
}

func TestRoomIsLowBeforeItIsFull(t *testing.T) {
	const mb, gb = 1_000_000, 1_000_000_000
	for name, c := range map[string]struct {
		room      disk.Room
		low, full bool
	}{
		"a large disk":                         {disk.Room{Free: 200 * gb, Total: 250 * gb, FreeFiles: 5e6, Files: 6e6}, false, false},
		"one that fills up":                    {disk.Room{Free: 900 * mb, Total: 250 * gb, FreeFiles: 5e6, Files: 6e6}, true, false},
		"one with room for hardly a statement": {disk.Room{Free: 9 * mb, Total: 250 * gb, FreeFiles: 5e6, Files: 6e6}, true, true},
		"one with space and few files left":    {disk.Room{Free: 200 * gb, Total: 250 * gb, FreeFiles: 900, Files: 6e6}, true, false},
		"one with space and no file left":      {disk.Room{Free: 200 * gb, Total: 250 * gb, FreeFiles: 3, Files: 6e6}, true, true},
		"one that does not count files":        {disk.Room{Free: 200 * gb, Total: 250 * gb}, false, false},
	} {
		assert.Equal(t, c.low, c.room.Low(), name)
		assert.Equal(t, c.full, c.room.Full(), name)
	}
	assert.Equal(t, "900 MB of 250 GB are free, for 12 more files", disk.Room{Free: 900 * mb, Total: 250 * gb, FreeFiles: 12, Files: 20}.Words())
	assert.Equal(t, "900 MB of 250 GB are free", disk.Room{Free: 900 * mb, Total: 250 * gb}.Words())
}
