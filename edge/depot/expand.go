package depot

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// Bounds of what is read: several times what the largest archives publish
// (Ubuntu's universe: 20 MB packed, 75 MB plain, a quarter of it in ratio).
const (
	maxRelease    = 8 << 20
	maxPacked     = 128 << 20
	maxPlain      = 512 << 20
	maxIndex      = 1 << 30 // of an index that is passed on without being read
	maxPackage    = 8 << 30
	maxRatio      = 64
	ratioFrom     = 4 << 20 // small text may repeat itself
	maxDictionary = 64 << 20
)

var errBomb = errors.New("it unpacks to more than any index has")

// expand returns the plain text of an index by its name's ending. It ends with
// an error when more comes out than can be right for what went in.
func expand(name string, packed io.Reader, size int64) (io.Reader, error) {
	in := bufio.NewReaderSize(packed, 1<<16)
	var out io.Reader = in
	var err error
	switch {
	case strings.HasSuffix(name, ".xz"):
		if err := xzDictionary(in); err != nil {
			return nil, err
		}
		out, err = xz.NewReader(in)
	case strings.HasSuffix(name, ".gz"):
		out, err = gzip.NewReader(in)
	}
	if err != nil {
		return nil, fmt.Errorf("unpack %s: %w", name, err)
	}
	return &bounded{in: out, left: min(max(size*maxRatio, ratioFrom), maxPlain)}, nil
}

// bounded ends with an error where [io.LimitReader] would end as if all was read.
type bounded struct {
	in   io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, errBomb
	}
	p = p[:min(int64(len(p)), b.left+1)]
	n, err := b.in.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errBomb
	}
	return n, err
}

// xzDictionary refuses a dictionary that the library would make in memory before
// it has read a byte: the header may ask for 4 GB. It looks at the first block;
// later ones are written by who signed the index.
func xzDictionary(in *bufio.Reader) error {
	// 12 bytes of stream header; then the block's header: its size, flags, two
	// optional sizes, filter LZMA2 (0x21) with one byte of properties.
	head, err := in.Peek(13)
	if err != nil {
		return fmt.Errorf("unpack xz: %w", err)
	}
	head, err = in.Peek(12 + 4*(int(head[12])+1))
	if err != nil {
		return fmt.Errorf("unpack xz: %w", err)
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
		return errors.New("unpack xz: packed with a filter that no archive uses")
	}
	size, err := lzma.DecodeDictCap(head[at+2])
	if err != nil || size > maxDictionary {
		return fmt.Errorf("unpack xz: it wants a dictionary of %d bytes", size)
	}
	return nil
}
