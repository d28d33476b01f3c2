package agent

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/smalldisk"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// cram leaves no room for another file; free undoes that and [smalldisk.Fill].

func cram(t *testing.T, dir string) {
	t.Helper()
	dir = filepath.Join(dir, "crowd")
	require.NoError(t, os.Mkdir(dir, 0o700))
	var err error
	for n := 0; err == nil; n++ {
		err = os.Mkdir(filepath.Join(dir, fmt.Sprint(n)), 0o700)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
}

func free(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "filler")))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "crowd")))
}

// resident makes the bench's agent one that lives in a folder.
func (b *bench) resident(home Home) *Ledger {
	b.t.Helper()
	key, err := home.Key()
	require.NoError(b.t, err)
	b.key, b.office.pub = key, ed25519.PublicKey(key.Public())
	id := Identity{Device: "d-1", Key: key.Private(), Root: b.pinned}
	require.NoError(b.t, home.Keep(id, "https://patch.example"))
	ledger, err := home.Ledger()
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = ledger.Close() })
	b.agent, err = New(Config{
		Identity: id, Machine: b.box, Link: b.office, Clock: b.clock, Journal: ledger.Journal("d-1"), Shelf: home.Shelf(), Host: b,
	})
	require.NoError(b.t, err)
	return ledger
}

// Serves Q8.
func TestAnAgentSaysThatItsDiskIsFullWithoutRoomForAnotherFile(t *testing.T) {
	disk, ok := smalldisk.On(t, "size=2m,nr_inodes=64")
	if !ok {
		return
	}
	home := Home(filepath.Join(disk, "home"))
	b := newBench(t)
	b.resident(home)
	b.turn()
	cram(t, disk)
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonDisk, last.Reason)
	assert.Equal(t, "disk full", last.Signature)
	assert.Contains(t, last.Detail, string(home.Shelf()))
	assert.FileExists(t, string(home.reserve()), "the journal got on without")
}

// Serves Q8.
func TestAnAgentSaysThatItsDiskIsFullWithoutAByteLeft(t *testing.T) {
	disk, ok := smalldisk.On(t, "size=2m,nr_inodes=64")
	if !ok {
		return
	}
	home := Home(filepath.Join(disk, "home"))
	b := newBench(t)
	b.resident(home)
	b.turn()
	b.box.onFetch = func() error { return DiskFull("E: You don't have enough free space.") }
	smalldisk.Fill(t, disk)
	b.apply(small())
	b.office.permit("o-1")
	b.run(func() bool {
		smalldisk.Fill(t, disk) // whatever was given up, others take
		return len(b.office.final("o-1")) > 0
	})
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonDisk, last.Reason)
	assert.Equal(t, "disk full", last.Signature)
	assert.Less(t, sizeOf(t, home.reserve()), int64(reserveSize), "a part of it was given up")

	free(t, disk)
	b.box.onFetch = nil
	d := b.draft(trust.Apply, small())
	d.ID = "o-2"
	b.office.issue(d)
	b.office.permit("o-2")
	assert.Equal(t, patching.Patched, b.untilFinal("o-2").Outcome)
	info, err := os.Stat(string(home.reserve()))
	require.NoError(t, err, "it is there again for the next time")
	assert.EqualValues(t, reserveSize, info.Size())
	assert.GreaterOrEqual(t, info.Sys().(*syscall.Stat_t).Blocks, int64(reserveSize/512), "and takes the room that it is to keep")
}

func TestAMachineWithoutRoomForItsReserveGetsOnWithout(t *testing.T) {
	disk, ok := smalldisk.On(t, "size=2m,nr_inodes=64")
	if !ok {
		return
	}
	home := Home(filepath.Join(disk, "home"))
	b := newBench(t)
	b.resident(home)
	require.NoError(t, os.Remove(string(home.reserve())))
	cram(t, disk)
	b.turn()
	assert.NotEmpty(t, b.office.facts)
	free(t, disk)

	smalldisk.Fill(t, disk)
	filler, err := os.Stat(filepath.Join(disk, "filler"))
	require.NoError(t, err)
	require.NoError(t, os.Truncate(filepath.Join(disk, "filler"), filler.Size()-reserveSize/2))
	home.reserve().keep()
	assert.EqualValues(t, reserveSize/2, sizeOf(t, home.reserve()), "what there is room for")
	free(t, disk)
	home.reserve().keep()
	assert.EqualValues(t, reserveSize, sizeOf(t, home.reserve()))
}

func sizeOf(t *testing.T, r reserve) int64 {
	t.Helper()
	info, err := os.Stat(string(r))
	require.NoError(t, err)
	return info.Size()
}

// A loss of power tore the last line, and the disk is full: the journal has to be
// written anew before anything is said.
func TestAnAgentStartsOnAFullDisk(t *testing.T) {
	disk, ok := smalldisk.On(t, "size=2m,nr_inodes=64")
	if !ok {
		return
	}
	home := Home(filepath.Join(disk, "home"))
	b := newBench(t)
	ledger := b.resident(home)
	b.turn()
	before := load(t, ledger.Journal("d-1"))
	require.NoError(t, ledger.Close())
	f, err := os.OpenFile(home.journal(), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteString("torn")
	require.NoError(t, errors.Join(err, f.Close()))
	cram(t, disk)
	ledger, err = home.Ledger()
	require.NoError(t, err)
	defer ledger.Close()
	assert.Equal(t, before, load(t, ledger.Journal("d-1")))
	require.NoError(t, ledger.Journal("d-1").Save([]byte("on"), true))
}

func TestALedgerThatCannotBeWrittenAnewIsAppendedTo(t *testing.T) {
	disk, ok := smalldisk.On(t, "size=2m,nr_inodes=64")
	if !ok {
		return
	}
	for name, full := range map[string]func(*testing.T, string){"no byte left": func(t *testing.T, dir string) { smalldisk.Fill(t, dir) }, "no room for another file": cram} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(disk, name)
			require.NoError(t, os.Mkdir(dir, 0o700))
			path := filepath.Join(dir, "journal")
			l := openLedger(t, path)
			j := l.Journal("d-1")
			state := bytes.Repeat([]byte("s"), 10_000)
			size := func() int64 {
				info, err := os.Stat(path)
				require.NoError(t, err)
				return info.Size()
			}
			for size() <= rewriteFrom {
				require.NoError(t, j.Save(state, false))
			}
			full(t, disk)
			// What is left of the page in which the journal ends.
			require.NoError(t, j.Save([]byte("x"), true))
			assert.Greater(t, size(), int64(rewriteFrom))
			assert.Equal(t, "x", load(t, j))
			_, err := os.Stat(path + ".new")
			require.ErrorIs(t, err, fs.ErrNotExist, "what was begun takes no room")
			free(t, disk)
			require.NoError(t, l.Close())
			l = openLedger(t, path)
			assert.Equal(t, "x", load(t, l.Journal("d-1")))
			require.NoError(t, l.Journal("d-1").Save([]byte("y"), true))
			assert.Less(t, size(), int64(rewriteFrom), "with room it is written anew")
			require.NoError(t, l.Close())
			require.NoError(t, os.RemoveAll(dir))
		})
	}
}
