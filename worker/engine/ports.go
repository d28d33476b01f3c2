package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/patchcycle/patchcycle/internal/freeport"
)

// portFile remembers the port of the last run, so that clients that were told
// it find the engine after a restart.
const portFile = "engine.port"

// choosePort checks that the frontend will be able to listen: the server ends
// the process, or what we let it end, when it cannot.
func choosePort(o Options) (int, error) {
	if o.Port != 0 {
		return o.Port, listenable(o.IP, o.Port)
	}
	if err := listenable(o.IP, 0); err != nil {
		return 0, err
	}
	if last := rememberedPort(o.Dir); last != 0 && listenable(o.IP, last) == nil {
		return last, nil
	}
	ports, err := freeport.Quiet.Choose(o.IP, 1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

func listenable(ip string, port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(ip, strconv.Itoa(port)))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return wrong("Port", "port %d of %s is taken by another program: stop that, or choose another port (0 takes any that is free)", port, ip)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return wrong("IP", "%s is not an address of this machine", ip)
	case errors.Is(err, syscall.EACCES):
		return wrong("Port", "port %d is reserved for the system administrator: choose one above 1023", port)
	case err != nil:
		return wrong("Port", "%v", err)
	}
	return l.Close()
}

func rememberedPort(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, portFile))
	if err != nil {
		return 0 // a comfort, not worth an error
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || port < 1 || port > 65535 {
		return 0
	}
	return port
}

func rememberPort(dir string, port int) error {
	if rememberedPort(dir) == port {
		return nil
	}
	err := os.WriteFile(filepath.Join(dir, portFile), []byte(strconv.Itoa(port)+"\n"), fs.FileMode(0o600))
	if err != nil {
		return fmt.Errorf("remember the engine's port: %w", err)
	}
	return nil
}
