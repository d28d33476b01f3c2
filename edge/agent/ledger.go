package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/patchcycle/patchcycle/internal/disk"
)

// Ledger is a file with the journals of one or many agents. Each save appends
// a line (checksum, name, state); the last whole line of a name counts. Agents
// that wait for the disk at the same time share one fsync.
//
// A loss of power takes what was not flushed: a line that does not check is then
// passed over. What was flushed does not go by itself, so beside the ledger stands
// how much that was (see flushed.go), and a ledger that lost some of it is not
// opened: its agents would count on from an older state.
type Ledger struct {
	path string
	lock *os.File // held as long as the ledger is open
	// reserve gives room where the disk is full, and takes it back after a later flush.
	reserve reserve

	mu   sync.Mutex
	file *os.File
	size int64
	// untidy: it holds lines that do not check.
	untidy bool
	// last is where each name's state stands in the file, live their sum.
	last map[string]span
	live int64
	// crowded is the size up to which it is not rewritten: there was no room to.
	crowded int64
	// replacing: the path may name a newer copy, or not for good. Nothing is appended
	// before another copy has taken it.
	replacing bool
	// written counts saves; broken is why none works any more.
	written int64
	broken  error

	syncing sync.Mutex
	synced  int64 // the value of written that is on disk
}

type span struct{ at, size int64 }

// rewriteFrom is the size from which a ledger is rewritten, once three quarters
// of it are outdated.
const rewriteFrom = 1 << 20

var checksums = crc32.MakeTable(crc32.Castagnoli)

// OpenLedger opens or makes a ledger. Only one process can have it open: two
// agents with one journal would count their messages against each other. One
// that lost what was flushed is an error that is [ErrDamaged].
func OpenLedger(path string) (*Ledger, error) {
	lock, err := lockFile(path + ".lock")
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	l, err := openLocked(path, lock)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), lock.Close())
	}
	if err := l.tidy(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal %s: %w", path, err), l.Close())
	}
	return l, nil
}

// openLocked opens or makes the ledger whose lock is held, and changes nothing
// in one that is there.
func openLocked(path string, lock *os.File) (*Ledger, error) {
	l := &Ledger{path: path, lock: lock, last: map[string]span{}}
	var err error
	if l.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if err = syncDir(filepath.Dir(path)); err == nil {
		l.size, l.untidy, err = scanLines(l.file, readFlushed(lock), func(name string, at int64, state []byte) {
			l.remember(name, span{at, int64(len(state))})
		})
	}
	if err != nil {
		return nil, errors.Join(err, l.file.Close())
	}
	return l, nil
}

// tidy drops what a loss of power left, so that from here on every line is whole.
func (l *Ledger) tidy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.untidy {
		return nil
	}
	next, err := l.copyOut()
	if err != nil {
		return err
	}
	l.untidy = false
	return l.replace(next)
}

// Close closes the file. What was saved without durable may still be lost.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken = fs.ErrClosed
	var err error
	if l.file != nil {
		err = l.file.Close()
	}
	return errors.Join(err, l.lock.Close())
}

// Journal returns the journal of one agent. A name holds no white space.
func (l *Ledger) Journal(name string) Journal { return page{l, name} }

type page struct {
	ledger *Ledger
	name   string
}

// Load implements [Journal].
func (p page) Load() ([]byte, error) { return p.ledger.load(p.name) }

// Save implements [Journal].
func (p page) Save(state []byte, durable bool) error { return p.ledger.save(p.name, state, durable) }

// scanLines calls found for every whole line. Lines that do not check are what a
// loss of power left, and make it untidy; among the first flushed bytes they are
// an error, as is a file that is shorter than that.
func scanLines(from io.Reader, flushed int64, found func(name string, at int64, state []byte)) (size int64, untidy bool, err error) {
	r := bufio.NewReaderSize(from, 1<<16)
	for {
		line, err := r.ReadBytes('\n')
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return size, untidy, err
		}
		at := size
		size += int64(len(line))
		name, state, ok := parseLine(bytes.TrimSuffix(line, []byte("\n")))
		switch {
		case ok && !ended:
			found(name, size-1-int64(len(state)), state)
		case len(line) > 0 && size <= flushed:
			return size, true, fmt.Errorf("%w: what stands from byte %d on does not check", ErrDamaged, at)
		case len(line) > 0:
			untidy = true
		}
		if ended && size < flushed {
			return size, untidy, fmt.Errorf("%w: it has %d bytes, and had %d", ErrDamaged, size, flushed)
		}
		if ended {
			return size, untidy, nil
		}
	}
}

func (l *Ledger) remember(name string, s span) {
	l.live += s.size - l.last[name].size
	l.last[name] = s
}

func (l *Ledger) load(name string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.last[name]
	if !ok {
		return nil, nil
	}
	state := make([]byte, s.size)
	if _, err := l.file.ReadAt(state, s.at); err != nil {
		return nil, fmt.Errorf("read the state of %s: %w", name, err)
	}
	return state, nil
}

func (l *Ledger) save(name string, state []byte, durable bool) error {
	mine, err := l.append(name, state)
	if err != nil || !durable {
		return err
	}
	l.syncing.Lock()
	defer l.syncing.Unlock()
	if l.synced >= mine {
		return nil // somebody else's fsync took ours along
	}
	l.mu.Lock()
	file, upTo, size, err := l.file, l.written, l.size, l.broken
	l.mu.Unlock()
	if err != nil {
		return err
	}
	err = file.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.file != file: // rewritten meanwhile, which flushed all of it
	case err != nil:
		// After a failed fsync the kernel may have dropped the pages: nothing
		// that this file says from here on can be trusted.
		l.broken = fmt.Errorf("the journal's disk failed, restart the agent once it is mended: %w", err)
		return err
	default:
		noteFlushed(l.lock, size)
		l.reserve.keep()
	}
	l.synced = upTo
	return nil
}

func (l *Ledger) append(name string, state []byte) (number int64, err error) {
	line := formatLine(name, state)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return 0, l.broken
	}
	if l.replacing || l.size > max(rewriteFrom, l.crowded) && l.size > 4*l.live {
		if err := l.rewrite(); err != nil {
			return 0, fmt.Errorf("rewrite the journal: %w", err)
		}
	}
	if err := l.reserve.roomFor(func() error { _, err := l.file.WriteAt(line, l.size); return err }); err != nil {
		// A part of a line may stand there; the next one overwrites it.
		return 0, fmt.Errorf("append to the journal: %w", err)
	}
	l.remember(name, span{l.size + int64(len(line)-1-len(state)), int64(len(state))})
	l.size += int64(len(line))
	l.written++
	return l.written, nil
}

// rewrite makes the file shorter. On a full disk it stays as it is for another
// while: to append takes no file of its own, and less room.
func (l *Ledger) rewrite() error {
	next, err := l.copyOut()
	switch {
	case disk.FullHere(err) && !l.replacing:
		l.crowded = l.size + rewriteFrom
		return nil
	case err != nil:
		return err
	}
	return l.replace(next)
}

// copied is a file with the last states only, which is on disk under another name.
type copied struct {
	file *os.File
	last map[string]span
	size int64
}

// copyOut makes such a file, or leaves none. Where it is tried again, that is with
// a new file: nothing is known of one that could not be flushed.
func (l *Ledger) copyOut() (next copied, err error) {
	err = l.reserve.roomFor(func() (err error) {
		next.file, err = os.OpenFile(l.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		next.last, next.size, err = l.copyTo(next.file)
		if err == nil {
			err = next.file.Sync()
		}
		if err != nil {
			return errors.Join(err, next.file.Close(), os.Remove(next.file.Name()))
		}
		return nil
	})
	return next, err
}

// replace puts the copy in the place of the old file. Both are whole at every
// instant.
func (l *Ledger) replace(next copied) error {
	err := forgetFlushed(l.lock) // of a file that is longer
	if err == nil {
		l.replacing = true
		err = os.Rename(next.file.Name(), l.path)
	}
	if err == nil {
		err = syncDir(filepath.Dir(l.path))
	}
	if err != nil {
		return errors.Join(err, next.file.Close())
	}
	old := l.file
	l.file, l.last, l.size, l.crowded = next.file, next.last, next.size, 0
	l.replacing = false
	noteFlushed(l.lock, next.size)
	return old.Close()
}

func (l *Ledger) copyTo(f *os.File) (last map[string]span, size int64, err error) {
	w := bufio.NewWriterSize(f, 1<<16)
	last = make(map[string]span, len(l.last))
	for name, s := range l.last {
		state := make([]byte, s.size)
		if _, err := l.file.ReadAt(state, s.at); err != nil {
			return nil, 0, err
		}
		line := formatLine(name, state)
		if _, err := w.Write(line); err != nil {
			return nil, 0, err
		}
		last[name] = span{size + int64(len(line)-1-len(state)), s.size}
		size += int64(len(line))
	}
	return last, size, w.Flush()
}

// A line is: checksum of the rest, space, name, space, state, newline.
func formatLine(name string, state []byte) []byte {
	line := make([]byte, 0, len(state)+len(name)+11)
	line = append(line, "00000000 "...)
	line = append(line, name...)
	line = append(line, ' ')
	line = append(line, state...)
	copy(line, fmt.Sprintf("%08x", crc32.Checksum(line[9:], checksums)))
	return append(line, '\n')
}

func parseLine(line []byte) (name string, state []byte, ok bool) {
	if len(line) < 10 || line[8] != ' ' {
		return "", nil, false
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	if err != nil || sum != uint64(crc32.Checksum(line[9:], checksums)) {
		return "", nil, false
	}
	head, state, ok := bytes.Cut(line[9:], []byte(" "))
	return string(head), state, ok
}
