// Package deb reads Debian packages, as deb(5) describes them, without unpacking them to
// disk: what a package is, and its changelog. It believes none of it. Paths and links in a
// package are names to compare, and never lead anywhere.
package deb

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
)

// Bounds of a package, several times what Debian's largest have. What is in it may repeat
// itself a lot: fonts and debug symbols have a ratio of 20, a file of zeros one of 5,000.
const (
	maxControl   = 1 << 20
	maxChangelog = 64 << 20
)

var (
	controlBounds   = unpack.Bounds{Size: 64 << 20, Ratio: 500}
	dataBounds      = unpack.Bounds{Size: 32 << 30, Ratio: 500}
	changelogBounds = unpack.Bounds{Size: maxChangelog, Ratio: 200}
)

// ErrNoChangelog is returned for a package that brings none of its own. Its folder of
// documents may be a link to that of another package, of the same source.
var ErrNoChangelog = errors.New("the package has no changelog of its own")

// Package is one that is being read.
type Package struct {
	Name, Arch, Version string
	// Source and SourceVersion are what it was built from, always set. A rebuild has the
	// version of what was rebuilt.
	Source, SourceVersion string

	ctx context.Context //nolint:containedctx // it lives as long as the reader below
	in  *bufio.Reader
}

// Open reads what a package is from its beginning. Size is that of the whole, in bytes.
// What is read ends with the context.
func Open(ctx context.Context, in io.Reader, size int64) (*Package, error) {
	p := &Package{ctx: ctx, in: bufio.NewReaderSize(&interruptible{ctx, io.LimitReader(in, size)}, 1<<16)}
	if err := p.identify(); err != nil {
		return nil, fmt.Errorf("package file: %w", err)
	}
	return p, nil
}

const arMagic = "!<arch>\n"

func (p *Package) identify() error {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(p.in, magic); err != nil || string(magic) != arMagic {
		return errors.New("it is none: it does not begin like an archive of ar")
	}
	format, err := p.member("debian-binary")
	if err != nil {
		return err
	}
	version, err := unpack.ReadAtMost(format, 100)
	if err != nil || !bytes.HasPrefix(version, []byte("2.")) {
		return fmt.Errorf("its format is %.20q: want 2.0", version)
	}
	packed, err := p.member("control.tar")
	if err != nil {
		return err
	}
	var text []byte
	err = eachFile(packed, controlBounds, func(name string, h *tar.Header, in io.Reader) (bool, error) {
		if name != "control" || h.Typeflag != tar.TypeReg {
			return false, nil
		}
		text, err = unpack.ReadAtMost(in, maxControl)
		return true, err
	})
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	return p.describe(string(text))
}

// member goes to the next member of the archive that has a name; of those that are packed,
// the name before what tells how. Others between them, whose names begin with "_", are
// passed over.
func (p *Package) member(want string) (*member, error) {
	for {
		m, err := p.next()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", want, err)
		}
		if m.name == want || strings.HasPrefix(m.name, want+".") {
			return m, nil
		}
		if !strings.HasPrefix(m.name, "_") {
			return nil, fmt.Errorf("%.20q stands where %s should", m.name, want)
		}
		if _, err := io.Copy(io.Discard, m); err != nil {
			return nil, err
		}
	}
}

// member is a file of the archive. It has to be read to its end before the next one.
type member struct {
	name string
	size int64 // in bytes
	io.Reader
}

// next reads a header of ar(5): name, time, owner, group and mode as text, the size at 48,
// and two signs that end it.
func (p *Package) next() (*member, error) {
	var head [60]byte
	b, err := p.in.Peek(1)
	if err == nil && b[0] == '\n' { // members begin at even places
		_, err = p.in.Discard(1)
	}
	if err == nil {
		_, err = io.ReadFull(p.in, head[:])
	}
	if err != nil {
		return nil, fmt.Errorf("it was cut off: %w", err)
	}
	size, err := strconv.ParseInt(strings.TrimSpace(string(head[48:58])), 10, 64)
	if err != nil || size < 0 || string(head[58:]) != "`\n" {
		return nil, fmt.Errorf("the header %.60q is none of ar", head[:])
	}
	name := strings.TrimSuffix(strings.TrimSpace(string(head[:16])), "/")
	return &member{name, size, &whole{in: p.in, left: size}}, nil
}

// whole fails where a file has fewer bytes than its header says.
type whole struct {
	in   io.Reader
	left int64
}

func (w *whole) Read(b []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	n, err := w.in.Read(b[:min(int64(len(b)), w.left)])
	if w.left -= int64(n); w.left > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// eachFile calls found for the files of a packed tar archive, with their clean names, until
// it is done, and then reads the rest, so that the next member can be.
func eachFile(packed *member, b unpack.Bounds, found func(name string, h *tar.Header, in io.Reader) (done bool, err error)) error {
	plain, err := unpack.Reader(packed, packed.size, b)
	if err != nil {
		return err
	}
	defer plain.Close()
	files := tar.NewReader(plain)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		done, err := found(path.Clean(strings.TrimPrefix(h.Name, "/")), h, files)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	_, err = io.Copy(io.Discard, packed)
	return err
}

// describe reads the fields of a control file.
func (p *Package) describe(text string) error {
	for line := range strings.Lines(text) {
		field, value, ok := strings.Cut(line, ":")
		if !ok || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		value = strings.TrimSpace(value)
		switch field {
		case "Package":
			p.Name = value
		case "Version":
			p.Version = value
		case "Architecture":
			p.Arch = value
		case "Source": // "linux-signed-amd64 (6.1.192+3)": a version where it differs
			var version string
			p.Source, version, _ = strings.Cut(value, " ")
			p.SourceVersion = strings.Trim(version, " ()")
		}
	}
	if p.Source == "" {
		p.Source = p.Name
	}
	if p.SourceVersion == "" {
		p.SourceVersion = p.Version
	}
	if err := patching.ValidatePackage(p.Name, p.Arch, p.Version); err != nil {
		return err
	}
	return patching.ValidatePackage(p.Source, p.Arch, p.SourceVersion)
}

// Changelog reads the plain text of the package's changelog: Debian's, or the only one that
// it has, which of a package that is Debian's own is the same, and of another is upstream's.
// It can be called once. A rebuild for one architecture has an entry more, in a file of its
// own, which says nothing of the source and is not read.
func (p *Package) Changelog() ([]byte, error) {
	packed, err := p.member("data.tar")
	if err != nil {
		return nil, fmt.Errorf("package file of %s: %w", p.Name, err)
	}
	var text []byte
	err = eachFile(packed, dataBounds, func(name string, h *tar.Header, in io.Reader) (bool, error) {
		base, ok := strings.CutPrefix(name, "usr/share/doc/"+p.Name+"/")
		if !ok || h.Typeflag != tar.TypeReg {
			return text != nil && !ok, nil // a folder's files stand together
		}
		base = strings.TrimSuffix(base, ".gz")
		debian := base == "changelog.Debian"
		if !debian && (base != "changelog" || text != nil) {
			return false, nil
		}
		plain, err := unpack.Reader(in, h.Size, changelogBounds)
		if err != nil {
			return false, err
		}
		defer plain.Close()
		text, err = io.ReadAll(plain)
		return debian, err
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("package file of %s: changelog: %w", p.Name, err)
	case text == nil:
		return nil, fmt.Errorf("%s: %w", p.Name, ErrNoChangelog)
	}
	return text, nil
}

// interruptible ends with its context.
type interruptible struct {
	ctx context.Context //nolint:containedctx // as above
	in  io.Reader
}

func (i *interruptible) Read(b []byte) (int, error) {
	if i.ctx.Err() != nil {
		return 0, context.Cause(i.ctx)
	}
	return i.in.Read(b)
}
