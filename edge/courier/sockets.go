package courier

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// Socket is the courier's, for an agent's letters; beside it is that for packages.
// systemd makes both (patchcycle-courier.socket), in a folder of root's: a courier
// that was taken over can replace neither.
const Socket = "/run/patchcycle-courier/letters"

// Parcels is the socket for packages that belongs to one for letters.
func Parcels(socket string) string { return filepath.Join(filepath.Dir(socket), "parcels") }

// FromSystemd returns the two sockets that systemd made and handed to this process,
// by the names of their files (sd_listen_fds(3)).
func FromSystemd(env func(string) string) (letters, parcels net.Listener, err error) {
	const first, want = 3, 2
	if env("LISTEN_PID") != strconv.Itoa(os.Getpid()) || env("LISTEN_FDS") != strconv.Itoa(want) {
		return nil, nil, errors.New("systemd handed no sockets over: start patchcycle-courier.socket, or name one with --socket")
	}
	for fd := uintptr(first); fd < first+want; fd++ {
		f := os.NewFile(fd, "")
		l, err := net.FileListener(f)
		_ = f.Close() // the listener has its own
		if err != nil {
			return nil, nil, fmt.Errorf("socket %d of systemd's: %w", fd, err)
		}
		switch name := filepath.Base(l.Addr().String()); name {
		case "letters":
			letters = l
		case "parcels":
			parcels = l
		default:
			return nil, nil, fmt.Errorf("systemd handed over a socket %q: want letters and parcels", name)
		}
	}
	if letters == nil || parcels == nil {
		return nil, nil, errors.New("systemd handed one socket over twice: want letters and parcels")
	}
	return letters, parcels, nil
}

// Listen makes the two sockets where no systemd does. Only the caller's user may
// open them.
func Listen(socket string) (letters, parcels net.Listener, err error) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o700); err != nil {
		return nil, nil, err
	}
	one := func(path string) (net.Listener, error) {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // a killed one left it
			return nil, err
		}
		l, err := net.Listen("unix", path)
		if err != nil {
			return nil, err
		}
		return l, os.Chmod(path, 0o600)
	}
	if letters, err = one(socket); err != nil {
		return nil, nil, err
	}
	parcels, err = one(Parcels(socket))
	return letters, parcels, err
}
