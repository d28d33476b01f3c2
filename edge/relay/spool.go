package relay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/patching"
)

// spool keeps receipts until the server has answered for them, in one file to
// which lines are appended: what came, and what is done. A machine keeps its
// receipts too, until it has the server's own acknowledgement; the spool's worth is
// that they arrive although the machine went away meanwhile.
//
// A line is durable before its message is sent on. That a message is done is not
// flushed: one that is sent again is a duplicate to the server. What a loss of power
// leaves of the last line is passed over.
//
// It is bounded: a full spool takes nothing more, and the machines keep theirs. What
// no device's key signed takes room here as well, for a relay does not know the keys;
// so one device gets a share only.
type spool struct {
	path        string
	most, share int64

	mu     sync.Mutex
	file   *os.File
	size   int64
	next   uint64
	queue  []queued // as they came; some are done since
	kept   map[messageName]*kept
	live   int64                       // bytes of kept lines
	of     map[patching.DeviceID]int64 // the same, by device
	missed int64                       // messages for which there was no room
	// crowded is the size up to which the file is not rewritten: there was no room to.
	crowded int64
	broken  error
}

// kept is a message in the file.
type kept struct {
	number   uint64 // in the order in which they came
	at, size int64
	relay    string
	hops     int
	tries    int // answers of the server that left it out
}

// queued is a message's place among the others.
type queued struct {
	name   messageName
	number uint64
}

// entry is a line of the file.
type entry struct {
	Relay   string          `json:"relay,omitempty"`
	Hops    int             `json:"hops,omitempty"`
	Message *uplink.Message `json:"message,omitempty"`
	Done    *messageName    `json:"done,omitempty"`
}

var checksums = crc32.MakeTable(crc32.Castagnoli)

const (
	// shares is how many devices can fill a spool together, at the least.
	shares = 16
	// rewriteFrom is the size from which the file is rewritten, once half of it is
	// outdated.
	rewriteFrom = 1 << 20
	// longestLine bounds a line: a message's body in base64, and some more.
	longestLine = 2*uplink.MaxMessage + 64<<10
)

func openSpool(path string, most int64) (*spool, error) {
	s := &spool{path: path, most: most, share: most / shares, kept: map[messageName]*kept{}, of: map[patching.DeviceID]int64{}}
	var err error
	if s.file, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	whole, err := s.load()
	if err == nil && !whole {
		err = s.rewrite()
	}
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", path, errors.Join(err, s.file.Close()))
	}
	return s, nil
}

// load reads the file; not whole: it holds lines that do not check.
func (s *spool) load() (whole bool, err error) {
	lines := bufio.NewReaderSize(s.file, 64<<10)
	whole = true
	for {
		line, err := readLine(lines)
		n := int64(len(line))
		if e, ok := parseLine(line); ok {
			s.note(e, s.size, n)
		} else if n > 0 {
			whole = false
		}
		s.size += n
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// readLine returns a line with its end. One that is longer than any of ours comes in
// pieces, none of which checks.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) || len(line) > longestLine {
			if errors.Is(err, bufio.ErrBufferFull) {
				err = nil
			}
			return line, err
		}
	}
}

// formatLine: checksum, space, JSON, which holds no line's end.
func formatLine(e entry) ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%08x %s\n", crc32.Checksum(text, checksums), text), nil
}

func parseLine(line []byte) (e entry, ok bool) {
	sum, text, ok := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	if !ok || len(line) == 0 || line[len(line)-1] != '\n' || len(sum) != 8 {
		return e, false
	}
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || want != uint64(crc32.Checksum(text, checksums)) {
		return e, false
	}
	return e, json.Unmarshal(text, &e) == nil && (e.Message != nil) != (e.Done != nil)
}

// note takes a line into account. The caller holds mu, or is alone.
func (s *spool) note(e entry, at, size int64) {
	if e.Done != nil {
		s.forget(*e.Done)
		return
	}
	name := nameOf(*e.Message)
	s.forget(name)
	s.next++
	s.kept[name] = &kept{number: s.next, at: at, size: size, relay: e.Relay, hops: e.Hops}
	s.queue = append(s.queue, queued{name, s.next})
	s.live += size
	s.of[name.Device] += size
}

func (s *spool) forget(name messageName) {
	k, ok := s.kept[name]
	if !ok {
		return
	}
	delete(s.kept, name)
	s.live -= k.size
	if s.of[name.Device] -= k.size; s.of[name.Device] <= 0 {
		delete(s.of, name.Device)
	}
}

// add keeps what has to survive of some messages: receipts. Everything else a machine
// makes anew. When it returns they are on disk, as far as there is room; an error is
// the disk's.
func (s *spool) add(relay string, hops int, messages []uplink.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil || s.most == 0 {
		return s.broken
	}
	var text []byte
	var added []entry
	var sizes []int64
	live, of := s.live, map[patching.DeviceID]int64{}
	for i := range messages {
		m := &messages[i]
		if _, has := s.kept[nameOf(*m)]; has || m.Kind != uplink.KindReceipt {
			continue
		}
		e := entry{Relay: relay, Hops: hops, Message: m}
		line, err := formatLine(e)
		if err != nil {
			return err
		}
		n := int64(len(line))
		if live+n > s.most || s.of[m.Device]+of[m.Device]+n > s.share {
			s.missed++
			continue
		}
		live, of[m.Device] = live+n, of[m.Device]+n
		text, added, sizes = append(text, line...), append(added, e), append(sizes, n)
	}
	if len(text) == 0 {
		return nil
	}
	if err := s.append(text, true); err != nil {
		return err
	}
	at := s.size - int64(len(text))
	for i, e := range added {
		s.note(e, at, sizes[i])
		at += sizes[i]
	}
	return nil
}

// append writes lines behind the others. What a full disk took only a part of is cut
// off again. The caller holds mu.
func (s *spool) append(text []byte, durably bool) error {
	_, err := s.file.WriteAt(text, s.size)
	if err == nil && durably {
		err = s.file.Sync()
	}
	if err == nil {
		s.size += int64(len(text))
		return nil
	}
	if cut := s.file.Truncate(s.size); cut != nil {
		s.broken = fmt.Errorf("spool: %w", errors.Join(err, cut))
	}
	return fmt.Errorf("spool: %w", err)
}

// done forgets messages for which the server has answered.
func (s *spool) done(names ...messageName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var text []byte
	for _, name := range names {
		if _, ok := s.kept[name]; !ok {
			continue
		}
		s.forget(name)
		if line, err := formatLine(entry{Done: &name}); err == nil {
			text = append(text, line...)
		}
	}
	if len(text) == 0 || s.broken != nil {
		return
	}
	// What cannot be written is sent once more after a restart.
	_ = s.append(text, false)
	if s.size > max(rewriteFrom, s.crowded) && s.size > 2*s.live && s.rewrite() != nil {
		s.crowded = s.size + rewriteFrom // the old file goes on, until there may be room again
	}
}

// rewrite makes the file anew from what is kept. The caller holds mu, or is alone.
func (s *spool) rewrite() error {
	names := s.inOrder()
	spans := make([]kept, len(names))
	at := int64(0)
	err := durable.Replace(s.path, 0o600, func(w io.Writer) error {
		for i, name := range names {
			k := s.kept[name]
			if _, err := io.Copy(w, io.NewSectionReader(s.file, k.at, k.size)); err != nil {
				return err
			}
			spans[i] = *k
			spans[i].at = at
			at += k.size
		}
		return nil
	})
	if err != nil {
		return err
	}
	next, err := os.OpenFile(s.path, os.O_RDWR, 0o600)
	if err != nil {
		s.broken = fmt.Errorf("spool: %w", err)
		return s.broken
	}
	_ = s.file.Close() // everything of it is in the new one
	s.file, s.size = next, at
	for i, name := range names {
		*s.kept[name] = spans[i]
	}
	return nil
}

// inOrder returns what is kept, as it came.
func (s *spool) inOrder() []messageName {
	s.queue = slices.DeleteFunc(s.queue, s.passed)
	names := make([]messageName, len(s.queue))
	for i, q := range s.queue {
		names[i] = q.name
	}
	return names
}

// passed: it is done, or came again later.
func (s *spool) passed(q queued) bool {
	k, ok := s.kept[q.name]
	return !ok || k.number != q.number
}

// load of messages that are to be sent together, all of one relay's machines.
type load struct {
	relay    string
	hops     int
	messages []uplink.Message
}

// oldest returns the messages that came first, in their order, as many as go into one
// batch.
func (s *spool) oldest() (load, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out load
	bytes := 0
	for len(s.queue) > 0 && s.passed(s.queue[0]) {
		s.queue = s.queue[1:]
	}
	for _, q := range s.queue {
		if s.passed(q) {
			continue
		}
		name, k := q.name, s.kept[q.name]
		if len(out.messages) == 0 {
			out.relay, out.hops = k.relay, k.hops
		}
		if k.relay != out.relay {
			continue
		}
		line := make([]byte, k.size)
		if _, err := s.file.ReadAt(line, k.at); err != nil {
			return out, fmt.Errorf("spool: %w", err)
		}
		e, ok := parseLine(line)
		if !ok || e.Message == nil { // damaged since: the machine has it still
			s.forget(name)
			continue
		}
		if bytes += len(e.Message.Body); len(out.messages) > 0 && (len(out.messages) == gatherMost || bytes > gatherBytes) {
			break
		}
		out.messages = append(out.messages, *e.Message)
	}
	return out, nil
}

// leftOut notes that the server answered and said nothing of a message. After some
// tries it is given up: the server will not take it, and the machine has it.
func (s *spool) leftOut(name messageName) (gaveUp bool) {
	s.mu.Lock()
	k, ok := s.kept[name]
	if ok {
		k.tries++
		gaveUp = k.tries >= leftOutMost
	}
	s.mu.Unlock()
	if gaveUp {
		s.done(name)
	}
	return gaveUp
}

const leftOutMost = 5

// waiting is how much is kept, and for how many messages there was no room.
func (s *spool) waiting() (messages int, bytes, missed int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept), s.live, s.missed
}

func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = fs.ErrClosed
	}
	return s.file.Close()
}
