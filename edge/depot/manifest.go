package depot

import (
	"encoding/json"
	"net/http"
	"path"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// MaxManifest bounds the text of a snapshot's manifest, in bytes: 400 a package.
const MaxManifest = 64 << 20

// Kept is what a depot answers at [patching.SnapshotPath]: the snapshots that it
// keeps, by their names in paths. Who keeps copies, as relays do, keeps those of
// these. Nobody signs it: who alters it makes somebody fetch again.
type Kept struct {
	Snapshots []string `json:"snapshots"`
}

// list says which snapshots are kept.
func (d *Depot) list(w http.ResponseWriter, _ *http.Request) {
	kept := Kept{Snapshots: []string{}}
	for _, id := range d.Snapshots() {
		kept.Snapshots = append(kept.Snapshots, pathOf(id))
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(kept); err != nil {
		d.log.Debug("nobody listens", zap.Error(err))
	}
}

// manifest serves a snapshot's own text: by it, whoever knows the snapshot's name
// from a plan knows the hash of each of its files.
func (d *Depot) manifest(w http.ResponseWriter, r *http.Request) {
	s, ok := d.byPath(r.PathValue("id"))
	if !ok {
		http.Error(w, "no such snapshot is kept on this server", http.StatusNotFound)
		return
	}
	text, err := s.manifest()
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// At finds a file of a snapshot by its path in a generation.
func (s *Snapshot) At(repository, generation, name string) (File, bool) {
	n := slices.IndexFunc(s.Generations, func(g Frozen) bool { return g.Repository == repository && g.Generation == generation })
	if n < 0 {
		return File{}, false
	}
	g := s.Generations[n]
	if below, ok := strings.CutPrefix(name, "dists/"+g.Suite+"/"); ok {
		if below == "InRelease" {
			return g.Release, true
		}
		for _, i := range g.Indexes {
			if below == i.Path || below == path.Dir(i.Path)+"/by-hash/SHA256/"+i.SHA256 {
				return i.File, true
			}
		}
	}
	file, ok := s.at[Place{Generation: generation, Path: name}]
	return file, ok
}
