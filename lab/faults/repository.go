package faults

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/patchcycle/patchcycle/internal/durable"
)

// Suite and Label are the lab repository's names for itself; its Origin and
// Codename are the same.
const (
	Suite = "lab"
	Label = "Patchcycle-Lab"
)

// Repository is a signed archive in a folder: its key, its packages, and its
// indexes. It has one writer; whoever reads sees the old index or the new one,
// whole, because indexes are fetched by their hash.
type Repository struct {
	dir string
	key *openpgp.Entity
	// validFor is for how long an index counts; 0 if for ever.
	validFor time.Duration
}

// Open opens the repository in a folder, which it makes, with a new key and no
// package, if it is not there.
func Open(dir string) (*Repository, error) {
	r := &Repository{dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, "public", "pool"), 0o755); err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(r.keyFile())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := r.newKey(); err != nil {
			return nil, fmt.Errorf("the lab repository's key: %w", err)
		}
		return r, r.index()
	case err != nil:
		return nil, err
	}
	keys, err := openpgp.ReadKeyRing(bytes.NewReader(secret))
	if err != nil || len(keys) != 1 {
		return nil, fmt.Errorf("%s is not one OpenPGP key (%w): remove the folder", r.keyFile(), err)
	}
	r.key = keys[0]
	return r, nil
}

func (r *Repository) keyFile() string { return filepath.Join(r.dir, "key.pgp") }

func (r *Repository) newKey() (err error) {
	r.key, err = openpgp.NewEntity("Patchcycle Lab", "", "lab@example.invalid", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA,
		// Older than what it signs, also than an index that has expired.
		Time: func() time.Time { return time.Now().AddDate(-1, 0, 0) },
	})
	if err != nil {
		return err
	}
	return durable.Replace(r.keyFile(), 0o600, func(w io.Writer) error { return r.key.SerializePrivate(w, nil) })
}

// Key is what machines trust: the public key, binary.
func (r *Repository) Key() ([]byte, error) {
	var b bytes.Buffer
	err := r.key.Serialize(&b)
	return b.Bytes(), err
}

// Handler serves the repository. It never answers "not modified": dates in HTTP
// count seconds, and the index may change twice within one.
func (r *Repository) Handler() http.Handler {
	files := http.FileServer(http.Dir(filepath.Join(r.dir, "public")))
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Header.Del("If-Modified-Since")
		files.ServeHTTP(w, req)
	})
}

// Publish adds packages, and makes the index anew.
func (r *Repository) Publish(debs ...Deb) error {
	for _, d := range debs {
		data, err := d.Build()
		if err != nil {
			return err
		}
		if err := r.add(d.FileName(), d.Control(), data); err != nil {
			return err
		}
	}
	return r.index()
}

// PublishFile adds a package that somebody else made.
func (r *Repository) PublishFile(ctx context.Context, deb string) error {
	control, err := exec.CommandContext(ctx, "dpkg-deb", "--field", deb).Output()
	if err != nil {
		return fmt.Errorf("read %s: %w", deb, err)
	}
	data, err := os.ReadFile(deb)
	if err != nil {
		return err
	}
	if err := r.add(fmt.Sprintf("%x.deb", sha256.Sum256(data)), string(control), data); err != nil {
		return err
	}
	return r.index()
}

func (r *Repository) add(name, control string, data []byte) error {
	if err := replace(filepath.Join(r.dir, "public", "pool", name), data); err != nil {
		return err
	}
	return replace(r.stanza(name), fmt.Appendf(nil, "%sFilename: pool/%s\nSize: %d\nSHA256: %x\n", control, name, len(data), sha256.Sum256(data)))
}

// PublishAll adds the given versions of every package.
func (r *Repository) PublishAll(versions ...string) error {
	var debs []Deb
	for _, f := range Faults() {
		for _, v := range versions {
			debs = append(debs, Package(f, v))
		}
	}
	return r.Publish(debs...)
}

// Drop removes versions of a package, as an archive does when a newer one has
// come: their files are gone too.
func (r *Repository) Drop(f Fault, versions ...string) error {
	for _, v := range versions {
		name := Deb{Name: string(f), Version: v}.FileName()
		if err := os.Remove(r.stanza(name)); err != nil {
			return fmt.Errorf("drop %s %s: %w", f, v, err)
		}
	}
	// First from the index: what is listed can be had.
	if err := r.index(); err != nil {
		return err
	}
	for _, v := range versions {
		name := Deb{Name: string(f), Version: v}.FileName()
		if err := os.Remove(filepath.Join(r.dir, "public", "pool", name)); err != nil {
			return fmt.Errorf("drop %s %s: %w", f, v, err)
		}
	}
	return nil
}

// Expire says until how long from now the index counts, and makes it anew. A
// duration in the past makes one that has expired; 0 one that never does.
func (r *Repository) Expire(after time.Duration) error {
	r.validFor = after
	return r.index()
}

// stanza is the file with what the index says of a package; it is not served.
func (r *Repository) stanza(deb string) string { return filepath.Join(r.dir, deb+".stanza") }

// index writes the list of packages and signs it.
func (r *Repository) index() error {
	names, err := filepath.Glob(filepath.Join(r.dir, "*.stanza"))
	if err != nil {
		return err
	}
	slices.Sort(names)
	var list bytes.Buffer
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		list.Write(text)
		list.WriteByte('\n')
	}
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	if _, err := zip.Write(list.Bytes()); err != nil {
		return err
	}
	if err := zip.Close(); err != nil {
		return err
	}
	dists := filepath.Join(r.dir, "public", "dists", Suite)
	var sums strings.Builder
	for _, f := range []struct {
		name string
		data []byte
	}{
		{"main/binary-all/Packages", nil},
		{"main/binary-amd64/Packages", list.Bytes()},
		{"main/binary-amd64/Packages.gz", zipped.Bytes()},
	} {
		sum := fmt.Sprintf("%x", sha256.Sum256(f.data))
		fmt.Fprintf(&sums, " %s %d %s\n", sum, len(f.data), f.name)
		for _, file := range []string{f.name, path.Join(path.Dir(f.name), "by-hash/SHA256", sum)} {
			if err := replace(filepath.Join(dists, filepath.FromSlash(file)), f.data); err != nil {
				return err
			}
		}
	}
	made := time.Now().UTC()
	if r.validFor < 0 {
		made = made.Add(2 * r.validFor) // it was made before it expired
	}
	signed, err := r.sign(r.release(made, sums.String()), made)
	if err != nil {
		return err
	}
	return replace(filepath.Join(dists, "InRelease"), signed)
}

func (r *Repository) release(made time.Time, sums string) string {
	valid := ""
	if r.validFor != 0 {
		valid = "Valid-Until: " + made.Add(r.validFor.Abs()).Format(stamp) + "\n"
	}
	return "Origin: " + Label + "\nLabel: " + Label + "\nSuite: " + Suite + "\nCodename: " + Suite +
		"\nDate: " + made.Format(stamp) + "\n" + valid +
		"Acquire-By-Hash: yes\nArchitectures: all amd64\nNo-Support-for-Architecture-all: Packages\nComponents: main\nDescription: packages that fail on purpose\nSHA256:\n" + sums
}

// stamp is how a Release file writes times.
const stamp = "Mon, 02 Jan 2006 15:04:05 UTC"

func (r *Repository) sign(text string, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, r.key.PrivateKey, &packet.Config{Time: func() time.Time { return at }})
	if err != nil {
		return nil, fmt.Errorf("sign the lab repository: %w", err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("sign the lab repository: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

func replace(file string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return durable.Replace(file, 0o644, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}
