package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"
)

// Archive serves /debian/… and /debian-security/… from a folder, and fetches
// what is not there from the mirror. Indexes are fetched only until it is
// frozen: a package that appears in the real archive while the lab runs would
// change what its machines miss.
type Archive struct {
	// Dir is where files are kept.
	Dir string
	// Upstream is the mirror.
	Upstream Upstream
	// Frozen says that indexes are never fetched any more. Packages are: what a
	// package's name stands for does not change, and apt checks it.
	Frozen bool

	once singleflight.Group
}

// errAbsent is what the mirror says is not there.
var errAbsent = errors.New("the archive has no such file")

// ServeHTTP answers GET and HEAD.
func (a *Archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "an archive is read only", http.StatusMethodNotAllowed)
		return
	}
	file, err := a.file(r.Context(), r.URL.Path)
	switch {
	case errors.Is(err, errAbsent):
		http.NotFound(w, r)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	// Not ServeFile, which redirects names such as index.html.
	f, err := os.Open(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(w, r, "x.bin", info.ModTime(), f)
}

// file returns the path of a kept file, which it fetches when it has to.
func (a *Archive) file(ctx context.Context, url string) (string, error) {
	name := strings.TrimPrefix(path.Clean("/"+url), "/")
	first, rest, _ := strings.Cut(name, "/")
	base, ok := map[string]string{"debian": a.Upstream.Debian, "debian-security": a.Upstream.Security}[first]
	if !ok || rest == "" {
		return "", errAbsent
	}
	kept := filepath.Join(a.Dir, filepath.FromSlash(name))
	_, err := os.Stat(kept)
	switch {
	case err == nil:
		return kept, nil
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	case a.Frozen && !strings.HasPrefix(rest, "pool/"):
		return "", errAbsent
	}
	// Whoever asked may go away, while others wait for the same file.
	ctx = context.WithoutCancel(ctx)
	_, err, _ = a.once.Do(name, func() (any, error) { return nil, fetch(ctx, base+"/"+rest, kept) })
	return kept, err
}

// fetchLimit bounds one file: the largest of the archive's that the lab uses has
// 60 MB.
const fetchLimit = 5 * time.Minute

func fetch(ctx context.Context, url, file string) error {
	ctx, cancel := context.WithTimeout(ctx, fetchLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("fetch from the mirror: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return errAbsent
	default:
		return fmt.Errorf("fetch from the mirror: %s", resp.Status)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	// Whole or not at all; not flushed to disk, which can be fetched again.
	part, err := os.CreateTemp(filepath.Dir(file), ".part-*")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	_, err = io.Copy(part, resp.Body)
	if err := errors.Join(err, part.Chmod(0o644), part.Close()); err != nil {
		return fmt.Errorf("fetch from the mirror: %w", err)
	}
	if at, err := http.ParseTime(resp.Header.Get("Last-Modified")); err == nil {
		_ = os.Chtimes(part.Name(), at, at) // apt then gets its "not modified"
	}
	return os.Rename(part.Name(), file)
}
