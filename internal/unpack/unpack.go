// Package unpack reads what others have packed, and believes none of it: a kilobyte
// may unpack to a terabyte, and ask for gigabytes of memory before that.
package unpack

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// maxDictionary is the memory that unpacking may take: eight times what the largest
// archives were packed with.
const maxDictionary = 64 << 20

// small text may repeat itself: a ratio says nothing below this size.
const ratioFrom = 4 << 20

// ErrBomb is what a reader ends with that had more to give than it may.
var ErrBomb = errors.New("it unpacks to more than is right")

// Bounds of what comes out.
type Bounds struct {
	// Size is how many bytes may come out in all, Ratio how many for each that went
	// in.
	Size, Ratio int64
}

// of is what may come out of that much.
func (b Bounds) of(packed int64) int64 { return min(max(packed*b.Ratio, ratioFrom), b.Size) }

// The formats, by how they begin.
var (
	magicGzip  = []byte{0x1f, 0x8b}
	magicBzip2 = []byte("BZh")
	magicXZ    = []byte("\xfd7zXZ\x00")
	magicZstd  = []byte{0x28, 0xb5, 0x2f, 0xfd}
)

// Reader returns the plain content of gzip, bzip2, xz or zstd, which are recognised by
// how they begin; anything else is passed on as it is. Packed is its size in bytes.
// The reader ends with [ErrBomb] where more comes out than the bounds allow. Close it
// when it was read.
func Reader(packed io.Reader, size int64, b Bounds) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(packed, 1<<16)
	head, err := in.Peek(len(magicXZ))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	out, end := io.Reader(in), func() {}
	switch {
	case bytes.HasPrefix(head, magicGzip):
		out, err = gzip.NewReader(in)
	case bytes.HasPrefix(head, magicBzip2):
		out, err = bzip2.NewReader(in), nil
	case bytes.HasPrefix(head, magicXZ):
		if err = xzDictionary(in); err == nil {
			out, err = xz.NewReader(in)
		}
	case bytes.HasPrefix(head, magicZstd):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxDictionary), zstd.WithDecoderConcurrency(1)); err == nil {
			out, end = z, z.Close
		}
	default:
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return &bounded{in: out, left: b.of(size), end: end}, nil
}

// Bound returns a reader that ends with [ErrBomb] where [io.LimitReader] would end as
// if all had been read.
func Bound(in io.Reader, size int64) io.ReadCloser {
	return &bounded{in: in, left: size, end: func() {}}
}

// ReadAtMost reads all of a text that is small. One that is larger is an error.
func ReadAtMost(in io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, err
}

// ReadFile is [ReadAtMost] of a file.
func ReadFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := ReadAtMost(f, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

type bounded struct {
	in   io.Reader
	left int64
	end  func()
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrBomb
	}
	p = p[:min(int64(len(p)), b.left+1)]
	n, err := b.in.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrBomb
	}
	return n, err
}

func (b *bounded) Close() error {
	b.end()
	return nil
}

// xzDictionary refuses a dictionary that the library would make in memory before
// it has read a byte: the header may ask for 4 GB. It looks at the first block, and
// the bound on what comes out does for the others.
func xzDictionary(in *bufio.Reader) error {
	// 12 bytes of stream header; then the block's header: its size, flags, two
	// optional sizes, filter LZMA2 (0x21) with one byte of properties.
	head, err := in.Peek(13)
	if err != nil {
		return err
	}
	head, err = in.Peek(12 + 4*(int(head[12])+1))
	if err != nil {
		return err
	}
	if head[12] == 0 {
		return nil // an index without a block: nothing in it
	}
	at := 14
	for _, flag := range []byte{0x40, 0x80} {
		if head[13]&flag == 0 {
			continue
		}
		for at < len(head) && head[at]&0x80 != 0 {
			at++
		}
		at++
	}
	if at+2 >= len(head) || head[at] != 0x21 || head[at+1] != 1 {
		return errors.New("xz with a filter that no archive uses")
	}
	size, err := lzma.DecodeDictCap(head[at+2])
	if err != nil || size > maxDictionary {
		return fmt.Errorf("xz that wants a dictionary of %d bytes", size)
	}
	return nil
}
