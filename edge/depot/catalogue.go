package depot

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/patching"
)

// entry is what an index says of one package file.
type entry struct {
	name, arch, version string
	path                string // from the repository's root
	sha256              [32]byte
	size                int64
}

func (e *entry) file() File { return File{SHA256: hex.EncodeToString(e.sha256[:]), Size: e.size} }

// catalogue is a Packages index that can be asked. Debian's largest takes 20 MB.
type catalogue struct {
	entries []entry // by name, arch, version
	byPath  []int32 // by path
}

func compareEntries(a, b entry) int {
	return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.arch, b.arch), strings.Compare(a.version, b.version))
}

func (c *catalogue) find(w Wanted) (*entry, bool) {
	at, ok := slices.BinarySearchFunc(c.entries, entry{name: w.Name, arch: w.Arch, version: w.Version}, compareEntries)
	if !ok {
		return nil, false
	}
	return &c.entries[at], true
}

func (c *catalogue) at(path string) (*entry, bool) {
	at, ok := slices.BinarySearchFunc(c.byPath, path, func(n int32, path string) int { return strings.Compare(c.entries[n].path, path) })
	if !ok {
		return nil, false
	}
	return &c.entries[c.byPath[at]], true
}

// Bounds of a Packages index: a stanza of Debian's has at most 60 kB, an archive
// 70,000 of them.
const (
	maxStanza   = 1 << 20
	maxPackages = 1 << 20
)

// readCatalogue reads a plain Packages index (deb822(5)).
func readCatalogue(r io.Reader) (*catalogue, error) {
	c := &catalogue{}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 1<<16), maxStanza)
	var s stanza
	for lines.Scan() {
		line := lines.Bytes()
		if len(bytes.TrimSpace(line)) > 0 {
			if err := s.line(line); err != nil {
				return nil, err
			}
			continue
		}
		if err := c.take(&s); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read package index: %w", err)
	}
	if err := c.take(&s); err != nil {
		return nil, err
	}
	slices.SortStableFunc(c.entries, compareEntries)
	c.byPath = make([]int32, len(c.entries))
	for n := range c.byPath {
		c.byPath[n] = int32(n)
	}
	slices.SortStableFunc(c.byPath, func(a, b int32) int { return strings.Compare(c.entries[a].path, c.entries[b].path) })
	return c, nil
}

// stanza is a package as far as it was read.
type stanza struct {
	fields [6]string // in the order of stanzaFields
	size   int
}

var stanzaFields = [6]string{"Package", "Architecture", "Version", "Filename", "Size", "SHA256"}

func (s *stanza) line(line []byte) error {
	if s.size += len(line); s.size > maxStanza {
		return errors.New("package index: a stanza without an end")
	}
	if line[0] == ' ' || line[0] == '\t' { // goes on with a field that nobody here reads
		return nil
	}
	field, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return fmt.Errorf("package index: line %.40q is no field", line)
	}
	at := slices.Index(stanzaFields[:], string(field))
	if at < 0 {
		return nil
	}
	if s.fields[at] != "" {
		return fmt.Errorf("package index: %s has %s twice", s.fields[0], field)
	}
	s.fields[at] = string(bytes.TrimSpace(value))
	return nil
}

// take adds the stanza that ended and empties it.
func (c *catalogue) take(s *stanza) error {
	if s.size == 0 {
		return nil
	}
	f := s.fields
	*s = stanza{}
	e := entry{name: f[0], arch: f[1], version: f[2], path: f[3]}
	if err := patching.ValidatePackage(e.name, e.arch, e.version); err != nil {
		return fmt.Errorf("package index: %w", err)
	}
	if !apt.CleanPath(e.path) {
		return fmt.Errorf("package index: %s has the file name %q", e.name, e.path)
	}
	if !apt.IsSHA256(f[5]) {
		return fmt.Errorf("package index: %s has no SHA256: nothing could check it", e.name)
	}
	var err error
	if e.size, err = strconv.ParseInt(f[4], 10, 64); err != nil || e.size < 0 || e.size > maxPackage {
		return fmt.Errorf("package index: %s has the size %q", e.name, f[4])
	}
	if _, err := hex.Decode(e.sha256[:], []byte(f[5])); err != nil {
		return fmt.Errorf("package index: %s: %w", e.name, err)
	}
	if len(c.entries) == maxPackages {
		return fmt.Errorf("package index: more than %d packages", maxPackages)
	}
	c.entries = append(c.entries, e)
	return nil
}
