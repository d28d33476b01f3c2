package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/patching"
)

// goods are the package files that are served, and the snapshot that names them.
type goods struct {
	dir   string
	kinds []kind
	text  []byte // the snapshot's manifest
	one   *depot.Snapshot
}

// kind is files of one size.
type kind struct {
	mb    int // 10^6 bytes
	files []good
}

// good is a file by its path below the snapshot's generation.
type good struct {
	path   string
	size   int64
	sha256 string
	sum    uint32
}

// others are packages of the snapshot that nobody asks for: a relay looks among them.
const others = 2000

// sums are cheap beside what is measured. That the bytes are those of the SHA-256 is
// seen once before, see firstLook.
var sums = crc32.MakeTable(crc32.Castagnoli)

// makeGoods makes so many files of each size in MB: a site's machines ask for different
// ones.
func makeGoods(dir string, stock map[int]int) (*goods, error) {
	g := &goods{dir: dir}
	g.one = &depot.Snapshot{Generations: []depot.Frozen{{Repository: "debian", Generation: "g1", Suite: "stable", Release: depot.File{SHA256: strings.Repeat("0", 64), Size: 1}}}}
	for n := range others {
		name := fmt.Sprintf("other%d", n)
		g.name(name, fmt.Sprintf("pool/main/%s.deb", name), depot.File{SHA256: strings.Repeat("0", 64), Size: 1})
	}
	for _, mb := range slices.Sorted(maps.Keys(stock)) {
		k := kind{mb: mb}
		for n := range stock[mb] {
			one, err := makeGood(dir, fmt.Sprintf("pool/main/p%d-%d.deb", mb, n), int64(mb)*1e6)
			if err != nil {
				return nil, err
			}
			k.files = append(k.files, one)
			g.name(fmt.Sprintf("p%d-%d", mb, n), strings.TrimPrefix(one.path, "/"), depot.File{SHA256: one.sha256, Size: one.size})
		}
		g.kinds = append(g.kinds, k)
	}
	text, err := json.MarshalIndent(g.one, "", " ")
	if err != nil {
		return nil, err
	}
	g.text = fmt.Appendln(text)
	g.one, err = depot.ReadSnapshot(g.text)
	return g, err
}

func (g *goods) name(name, at string, file depot.File) {
	g.one.Packages = append(g.one.Packages, depot.Had{
		Wanted: depot.Wanted{Name: name, Arch: "amd64", Version: "1"}, File: file, Places: []depot.Place{{Generation: "g1", Path: at}},
	})
}

func makeGood(dir, at string, size int64) (good, error) {
	body := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(at))).Read(body) // it never fails
	sum := sha256.Sum256(body)
	file := filepath.Join(dir, filepath.FromSlash(at))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return good{}, err
	}
	return good{path: "/" + at, size: size, sha256: hex.EncodeToString(sum[:]), sum: crc32.Checksum(body, sums)}, os.WriteFile(file, body, 0o644)
}

// below is where a relay serves the files that nginx has at its root.
func (g *goods) below() string {
	return path.Join(patching.SnapshotPath, g.one.Path(), "debian", "g1")
}

// open serves the snapshot as a patchcycle server does, to the relay.
func (g *goods) open() *httptest.Server {
	mux := http.NewServeMux()
	files := http.StripPrefix(g.below(), http.FileServer(http.Dir(g.dir)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == patching.SnapshotPath:
			_ = json.NewEncoder(w).Encode(depot.Kept{Snapshots: []string{g.one.Path()}}) // the relay asks again
		case r.URL.Path == patching.SnapshotPath+g.one.Path():
			_, _ = w.Write(g.text)
		case strings.HasPrefix(r.URL.Path, g.below()):
			files.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
	return httptest.NewServer(mux)
}
