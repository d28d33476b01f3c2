package shelf

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/patchcycle/patchcycle/internal/unpack"
)

// maxFiles is several times what a folder with a file for each flaw has.
const maxFiles = 500_000

// ErrBroken is in the error of an import that is not whole or not what it should be.
var ErrBroken = errors.New("the import is broken")

// Unpack adds the files in a tar archive, and returns how many bytes they have. One that
// leads out of the edition's folder, is there twice or is no plain file is refused with
// all others: somebody would think that it had been imported.
func (d *Draft) Unpack(in io.Reader) (size int64, err error) {
	bound := d.shelf.limits.Packed
	archive := tar.NewReader(unpack.Bound(in, bound+bound/8)) // what stands around the files
	for {
		h, err := archive.Next()
		switch {
		case errors.Is(err, io.EOF) && len(d.names) == 0:
			return size, fmt.Errorf("%w: there is no file in it", ErrBroken)
		case errors.Is(err, io.EOF):
			return size, nil
		case err != nil:
			return size, fmt.Errorf("%w: %w", ErrBroken, err)
		case h.Typeflag == tar.TypeDir:
			continue
		case h.Typeflag != tar.TypeReg:
			return size, fmt.Errorf("%w: %.200q is no plain file", ErrBroken, h.Name)
		case len(d.names) == maxFiles:
			return size, fmt.Errorf("%w: it has more than %d files", ErrBroken, maxFiles)
		case h.Size > bound-size:
			return size, fmt.Errorf("%w: it has more than %d bytes", ErrBroken, bound)
		}
		name := path.Clean(h.Name)
		if d.names[name] {
			return size, fmt.Errorf("%w: %.200q is there twice", ErrBroken, h.Name)
		}
		if err := d.shelf.takes(h.Size); err != nil {
			return size, err
		}
		n, err := d.unpacked(name, archive)
		if size += n; err != nil {
			return size, err
		}
	}
}

func (d *Draft) unpacked(name string, in io.Reader) (int64, error) {
	to, err := d.Path(name)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, fmt.Errorf("%.200q: %w", name, err)
	}
	n, err := io.Copy(f, reading{in})
	if err = errors.Join(err, f.Close()); err != nil {
		return n, fmt.Errorf("%.200q: %w", name, err)
	}
	_, err = d.Add(Document{Name: name})
	return n, err
}

// reading marks what went wrong on the way here, and not on our disk.
type reading struct{ io.Reader }

func (r reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return n, err
}
