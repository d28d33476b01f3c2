package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"time"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/cli"
	"github.com/patchcycle/patchcycle/worker/engine/record"
)

// engineStatus says how an engine stands, also while its server is down.
func engineStatus(_ context.Context, o cli.EngineOptions) (cli.EngineStatus, error) {
	if o.TemporalAddress != "" {
		s := cli.EngineStatus{Kind: "external", Address: o.TemporalAddress, Running: answers("tcp", o.TemporalAddress)}
		s.Words = fmt.Sprintf("The cluster at %s %s.", o.TemporalAddress, yesNo(s.Running, "answers", "does not answer"))
		return s, nil
	}
	s := cli.EngineStatus{Kind: "embedded on SQLite", Running: answers("unix", cli.Socket(o.DataDir))}
	if o.DatabaseURL != "" {
		s.Kind = "embedded on PostgreSQL"
	}
	r, err := record.Read(filepath.Join(o.DataDir, "engine", "engine.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	s.Version = r.ServerVersion
	s.Words = yesNo(s.Running, "A server has the engine in hand.", "No server runs on this data directory.")
	return s, nil
}

func answers(network, addr string) bool {
	c, err := net.DialTimeout(network, addr, 2*time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

func yesNo(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
