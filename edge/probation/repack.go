package probation

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// repack makes the package of what is installed anew, from its files and from what
// dpkg keeps of it: an archive may have dropped it, and the line to one may be down
// when it is needed. Settings files are left out, and so stay as they are: brought
// along, what an administrator changed would count as the package's own from then on,
// and the next release would replace it without a word.
func (k Keeper) repack(ctx context.Context, to string) (err error) {
	tree, err := os.MkdirTemp(filepath.Dir(to), "tree-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tree)) }()
	if err := os.Chmod(tree, 0o755); err != nil {
		return err
	}
	out, err := k.Run(ctx, time.Minute, "dpkg-query", "--listfiles", Package)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		name := strings.TrimSpace(line)
		if name == "/." || !filepath.IsAbs(name) || name == "/etc" || strings.HasPrefix(name, "/etc/") {
			continue
		}
		if err := k.bring(tree, name); err != nil {
			return err
		}
	}
	if err := k.control(ctx, filepath.Join(tree, "DEBIAN")); err != nil {
		return err
	}
	// gzip: every dpkg reads it, and it is quick.
	_, err = k.Run(ctx, 5*time.Minute, "dpkg-deb", "-Zgzip", "-z1", "--root-owner-group", "--build", tree, to)
	return err
}

// bring copies one of the package's files or folders. /lib may be a link to a folder.
func (k Keeper) bring(tree, name string) error {
	from, to := filepath.Join(k.Root, name), filepath.Join(tree, name)
	info, err := os.Stat(from)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		if err := os.MkdirAll(to, 0o700); err != nil {
			return err
		}
		return os.Chmod(to, info.Mode().Perm())
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no file of a package of ours", name)
	}
	return copyFile(to, from, info.Mode().Perm())
}

// control makes the package's own files: what dpkg keeps of them, and its description
// without what dpkg added to it.
func (k Keeper) control(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	out, err := k.Run(ctx, time.Minute, "dpkg-query", "--status", Package)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "control"), []byte(described(string(out))), 0o644); err != nil {
		return err
	}
	for _, script := range []string{"preinst", "postinst", "prerm", "postrm"} {
		from := filepath.Join(k.Root, "var", "lib", "dpkg", "info", Package+"."+script)
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := copyFile(filepath.Join(dir, script), from, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// described leaves out of dpkg's status what is not of the package: its state, and the
// sums of settings files.
func described(status string) string {
	var b strings.Builder
	keep := true
	for line := range strings.Lines(status) {
		if line[0] != ' ' && line[0] != '\t' {
			field, _, _ := strings.Cut(line, ":")
			keep = field != "Status" && field != "Conffiles" && field != "Config-Version"
		}
		if keep {
			b.WriteString(line)
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
