package advisories

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/patchcycle/patchcycle/internal/unpack"
)

// maxDocument is how large one document may be: the largest that is read as a whole has a
// tenth of it, and a single text in it stands in memory twice while it is read.
const maxDocument = 256 << 20

// Limits bound what one file may cost. Time is bounded by the context.
type Limits struct {
	// Packed is how large the file may be, in bytes; Plain how large all that is in
	// it, and Ratio how many times larger than the file.
	Packed, Plain, Ratio int64
	// Documents is how many may be in an archive, Records how many a file may bring.
	Documents, Records int
}

// DefaultLimits are several times what the largest feeds have: all of NVD in a file, all
// of Ubuntu's OSV records in an archive.
func DefaultLimits() Limits {
	return Limits{Packed: 2 << 30, Plain: 16 << 30, Ratio: 200, Documents: 2_000_000, Records: 5_000_000}
}

// ErrUnknown is returned for a file in which no feed recognises anything.
var ErrUnknown = errors.New("it is no feed that we can read")

// File is what was read of one.
type File struct {
	Name  string
	Bytes int64
	// SHA256 is that of the file as it lies there, packed if it is.
	SHA256 string
	// Feeds are the names of those whose documents are in it, sorted.
	Feeds []string
	// Documents counts those, Skipped the members of an archive that are none.
	Documents, Skipped int
	// Formats counts what they say, by feed and kind, as it was read.
	Formats map[string]map[string]int
	Content
}

// ReadFile reads a file that may be packed, an archive (tar, zip) or a document. It is
// read whole or not at all.
func ReadFile(ctx context.Context, from fs.FS, name string, l Limits) (File, error) {
	f, err := from.Open(name)
	if err != nil {
		return File{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return File{}, err
	}
	r := reader{ctx: ctx, limits: l, file: File{Name: name, Bytes: info.Size()}}
	if info.Size() > l.Packed {
		return File{}, fmt.Errorf("%s: it has %d bytes, and may have %d", name, info.Size(), l.Packed)
	}
	err = r.read(f)
	if err == nil && r.file.Documents == 0 {
		err = ErrUnknown
	}
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", name, err)
	}
	slices.Sort(r.file.Feeds)
	return r.file, nil
}

type reader struct {
	ctx    context.Context //nolint:containedctx // it lives for one call of ReadFile
	limits Limits
	file   File
}

func (r *reader) read(f fs.File) error {
	sum := sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(&interruptible{r.ctx, f}, sum), 1<<16)
	read := r.stream
	if head, _ := in.Peek(4); bytes.Equal(head, []byte("PK\x03\x04")) {
		read = func(io.Reader) error { return r.zip(f) }
	}
	if err := read(in); err != nil {
		return err
	}
	// What stands behind the end of what is packed belongs to the file as well.
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	r.file.SHA256 = hex.EncodeToString(sum.Sum(nil))
	return nil
}

func (r *reader) stream(in io.Reader) error {
	plain, err := unpack.Reader(in, r.file.Bytes, unpack.Bounds{Size: r.limits.Plain, Ratio: r.limits.Ratio})
	if err != nil {
		return err
	}
	defer plain.Close()
	text := bufio.NewReaderSize(plain, headBytes)
	// ustar(5): the magic stands 257 bytes into the first header.
	if head, _ := text.Peek(262); len(head) == 262 && string(head[257:]) == "ustar" {
		return r.tar(text)
	}
	return r.document(r.file.Name, text)
}

func (r *reader) tar(in io.Reader) error {
	t := tar.NewReader(in)
	for {
		h, err := t.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case h.Typeflag != tar.TypeReg:
			continue
		}
		if err := r.member(h.Name, t); err != nil {
			return err
		}
	}
}

func (r *reader) zip(f fs.File) error {
	at, ok := f.(io.ReaderAt)
	if !ok {
		return errors.New("a zip archive can be read from a file only")
	}
	z, err := zip.NewReader(at, r.file.Bytes)
	if err != nil {
		return err
	}
	left := min(max(r.file.Bytes*r.limits.Ratio, 4<<20), r.limits.Plain)
	for _, m := range z.File {
		if m.FileInfo().IsDir() {
			continue
		}
		if err := r.zipped(m, &left); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) zipped(m *zip.File, left *int64) error {
	in, err := m.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", m.Name, err)
	}
	defer in.Close()
	bound := unpack.Bound(in, *left)
	counted := &counter{in: &interruptible{r.ctx, bound}}
	err = r.member(m.Name, counted)
	*left -= counted.n
	return err
}

// member reads a document of an archive.
func (r *reader) member(name string, in io.Reader) error {
	if r.file.Documents+r.file.Skipped >= r.limits.Documents {
		return fmt.Errorf("it has more than %d documents", r.limits.Documents)
	}
	err := r.document(path.Join(r.file.Name, name), bufio.NewReaderSize(in, headBytes))
	if err != nil {
		return fmt.Errorf("%.200s: %w", name, err)
	}
	return nil
}

// document reads one by the feed that it belongs to. What belongs to none is passed
// over.
func (r *reader) document(name string, in *bufio.Reader) error {
	start, err := in.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	head := Head{Name: name, Start: start}
	i := slices.IndexFunc(feeds, func(f Feed) bool { return f.Mine(head) })
	if i < 0 {
		r.file.Skipped++
		return nil
	}
	feed, bounded, before := feeds[i], unpack.Bound(in, maxDocument), r.file.kinds()
	if err := feed.Read(Document{head, bounded}, &r.file.Content); err != nil {
		return fmt.Errorf("as %s: %w", feed.Title, err)
	}
	// What a feed did not read may still be a bomb, or cut off.
	if _, err := io.Copy(io.Discard, bounded); err != nil {
		return err
	}
	if n := r.file.Records(); n > r.limits.Records {
		return fmt.Errorf("it has more than %d records", r.limits.Records)
	}
	r.file.Documents++
	if !slices.Contains(r.file.Feeds, feed.Name) {
		r.file.Feeds = append(r.file.Feeds, feed.Name)
	}
	r.count(feed.Name, before)
	return nil
}

// count notes what a document brought.
func (r *reader) count(feed string, before map[string]int) {
	for kind, n := range r.file.kinds() {
		if n -= before[kind]; n > 0 {
			if r.file.Formats == nil {
				r.file.Formats = map[string]map[string]int{}
			}
			addTo(r.file.Formats, feed, kind, n)
		}
	}
}

// interruptible ends with its context.
type interruptible struct {
	ctx context.Context //nolint:containedctx // as above
	in  io.Reader
}

func (i *interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, context.Cause(i.ctx)
	}
	return i.in.Read(p)
}

type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

// Refusal is a file that was not read, and why.
type Refusal struct {
	Name string
	Err  error
}

// ReadFolder reads all files in a folder and below. A file that is refused keeps no
// other from being read. What is no feed at all, or no file (a link, a pipe), is among
// the files, without content and feeds. The error is that of the folder itself.
func ReadFolder(ctx context.Context, from fs.FS, l Limits) (files []File, refused []Refusal, err error) {
	err = fs.WalkDir(from, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && name == ".":
			return err
		case err != nil:
			refused = append(refused, Refusal{name, err})
			return nil //nolint:nilerr // the others count all the same
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			files = append(files, File{Name: name})
			return nil
		}
		f, err := ReadFile(ctx, from, name, l)
		switch {
		case errors.Is(err, ErrUnknown):
			files = append(files, File{Name: name, Skipped: f.Skipped})
		case err != nil:
			refused = append(refused, Refusal{name, err})
		default:
			files = append(files, f)
		}
		return nil
	})
	return files, refused, err
}
