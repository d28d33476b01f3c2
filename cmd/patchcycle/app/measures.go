package app

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
)

// openMeasures serves Go's profiles and the store's count of written rows on a
// unix socket that only the server's user can reach. It shows where time and
// memory go and changes nothing; a profile can hold what is in memory, so it is
// there only when it was asked for. lab/bench reads it.
func openMeasures(path string, s *serve.Server) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) { // left behind by a killed server
		return nil, fmt.Errorf("--measures: %w", err)
	}
	line, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("--measures: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = line.Close()
		return nil, fmt.Errorf("--measures: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/counts", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(Counts{Writes: s.Store.Writes()}) // who went away does not read it
	})
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(line) }()
	return func() { _ = srv.Close() }, nil
}

// Counts is what /counts of the measures answers.
type Counts struct {
	// Writes is how many rows the server has written to its store since it started.
	Writes int64 `json:"writes"`
}
