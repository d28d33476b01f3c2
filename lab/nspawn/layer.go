//go:build linux

package nspawn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The layer lies between the base and the machines of one lab: apt's lists with
// the lab's addresses, apt's caches over them, and what all machines have
// installed. Without the caches here every machine would compute and write its
// own: 72 MB and five seconds each.

func (l *Lab) layer(name string) string { return filepath.Join(l.dir, "layer", name) }

func (l *Lab) prepareLayer(ctx context.Context) error {
	for _, d := range []string{"upper", "work", "root"} {
		if err := os.MkdirAll(l.layer(d), 0o755); err != nil {
			return err
		}
	}
	if err := overlay(l.layer("root"), l.layer("upper"), l.layer("work"), l.Base.Root()); err != nil {
		return err
	}
	files := map[string][]byte{debianSources: []byte(sources(l.packages()))}
	for _, r := range l.repositories {
		files["etc/apt/keyrings/"+r.Name+".gpg"] = r.Key
		files["etc/apt/sources.list.d/"+r.Name+".sources"] = fmt.Appendf(nil,
			"Types: deb\nURIs: %s/%s\nSuites: %s\nComponents: main\nSigned-By: /etc/apt/keyrings/%s.gpg\n",
			l.packages(), r.Name, r.Suite, r.Name)
	}
	for name, data := range files {
		if err := l.Install(name, data, 0o644); err != nil {
			return err
		}
	}
	if err := l.Apt(ctx, "update", "-q", "-o", "APT::Update::Error-Mode=any"); err != nil {
		return err
	}
	return l.Apt(ctx, "-s", "-q", "dist-upgrade")
}

// Tree is the root of what all machines will have, until the first is made: a
// machine of another kind can be made from it.
func (l *Lab) Tree() string { return l.layer("root") }

var errSealed = errors.New("the lab has machines: what all of them have is installed before the first is made")

// Install writes a file that all machines will have. The name is relative to
// their root.
func (l *Lab) Install(name string, data []byte, mode fs.FileMode) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed {
		return errSealed
	}
	return writeBelow(l.layer("root"), name, data, mode)
}

// Apt runs apt-get on what all machines will have, such as install with a file.
func (l *Lab) Apt(ctx context.Context, args ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed {
		return errSealed
	}
	c := l.Network.Command(ctx, append([]string{"chroot", l.layer("root"), "apt-get"}, args...)...)
	return runCommand(l.options.Log, c)
}

// seal ends the layer: machines stand on it from now on. Called with the lock.
func (l *Lab) seal() error {
	if l.sealed {
		return nil
	}
	if err := unix.Unmount(l.layer("root"), 0); err != nil {
		return fmt.Errorf("layer: %w", err)
	}
	l.sealed = true
	return nil
}

// writeBelow writes below a root that is not ours: links in it that lead
// outside, as absolute ones do, are refused.
func writeBelow(dir, name string, data []byte, mode fs.FileMode) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := root.WriteFile(name, data, mode.Perm()); err != nil {
		return err
	}
	return root.Chmod(name, mode) // whatever our umask says
}
