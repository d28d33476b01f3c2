package pgtest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/patchcycle/patchcycle/internal/freeport"
)

const (
	superuser = "patchcycle"

	// patience covers a first start on a machine that is busy compiling.
	patience = time.Minute
)

type server struct {
	address  string
	password string
	// leash is the write end of the keeper's standard input. It is never
	// written to and never closed here: the kernel closes it when this process
	// ends, and that is what stops the server.
	leash *os.File
}

// missingError says what the machine lacks.
type missingError struct{ what string }

func (e *missingError) Error() string {
	return "needs PostgreSQL (" + e.what + "): apt-get install postgresql, or put initdb and postgres on the PATH"
}

// launch makes a data folder and starts a server in it.
func launch(s settings) (*server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	who, err := ordinaryUser()
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, fmt.Errorf("pgtest: make a folder: %w", err)
	}
	srv := &server{password: rand.Text()}
	if err := srv.initialise(bin, home, who); err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	if err := srv.run(bin, home, who, s); err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	return srv, nil
}

// binaries finds the folder of the newest installed PostgreSQL.
func binaries() (string, error) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // Debian keeps them off the PATH; the pattern is valid
	version := func(dir string) float64 {
		v, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(dir)), 64) // "9.6" … "17"; others sort first
		return v
	}
	slices.SortFunc(dirs, func(a, b string) int { return int(10 * (version(b) - version(a))) })
	for _, dir := range dirs {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		if dir := filepath.Dir(path); executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", &missingError{"initdb and postgres not found"}
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

func (srv *server) initialise(bin, home string, who user) error {
	secret := filepath.Join(home, "password")
	if err := os.WriteFile(secret, []byte(srv.password), 0o600); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	for _, path := range []string{home, secret} {
		if err := who.own(path); err != nil {
			return fmt.Errorf("pgtest: %w", err)
		}
	}
	cmd := exec.Command(filepath.Join(bin, "initdb"),
		"--pgdata", filepath.Join(home, "data"), "--username", superuser, "--pwfile", secret,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	who.apply(cmd)
	cmd.Dir = home
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	return nil
}

// keeper runs the server until its standard input ends, then stops it at once
// (nobody will read this data again) and removes the folder.
const keeper = `"$1" -D "$2/data" -c config_file="$2/data/postgresql.conf" >"$2/log" 2>&1 </dev/null &
pid=$!
while read -r _; do :; done
kill -QUIT $pid
wait $pid
cd / && rm -rf "$2"
`

func (srv *server) run(bin, home string, who user, s settings) error {
	const local = "127.0.0.1"
	ports, err := freeport.Quiet.Choose(local, 1)
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	port := strconv.Itoa(ports[0])
	srv.address = net.JoinHostPort(local, port)
	conf := map[string]string{
		"listen_addresses":        "'127.0.0.1'",
		"port":                    port,
		"unix_socket_directories": "''", // socket paths have a length limit that test folders pass
		"max_connections":         "400",
		"shared_buffers":          "'64MB'",
		"fsync":                   onOff(s.durable),
		"synchronous_commit":      onOff(s.durable),
		"full_page_writes":        onOff(s.durable),
		"autovacuum":              "off",
		"timezone":                "'UTC'",
	}
	var text bytes.Buffer
	for _, key := range slices.Sorted(maps.Keys(conf)) {
		fmt.Fprintf(&text, "%s = %s\n", key, conf[key])
	}
	file := filepath.Join(home, "data", "postgresql.conf")
	if err := appendTo(file, text.Bytes()); err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}

	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pgtest: %w", err)
	}
	srv.leash = write
	cmd := exec.Command("/bin/sh", "-c", keeper, "sh", filepath.Join(bin, "postgres"), home)
	who.apply(cmd)
	cmd.Dir = home
	cmd.Stdin = read
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("pgtest: start postgres: %w", err)
	}
	read.Close()
	// The keeper is not waited for: it outlives this process by a moment.
	deadline := time.Now().Add(patience)
	for {
		err := srv.exec("SELECT 1")
		if err == nil {
			return nil
		}
		log, _ := os.ReadFile(filepath.Join(home, "log")) // not there yet, or nothing to add
		if bytes.Contains(log, []byte("database system is shut down")) || time.Now().After(deadline) {
			write.Close()
			return fmt.Errorf("pgtest: postgres does not answer: %w\n%s", err, bytes.TrimSpace(log))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func appendTo(file string, text []byte) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
