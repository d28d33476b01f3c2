package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/internal/apt"
)

// keyFolders are where a machine keeps the public keys of archives.
var keyFolders = []string{"usr/share/keyrings", "etc/apt/keyrings", "etc/apt/trusted.gpg.d"}

// Signers returns by whose keys the indexes of the snapshot are signed that the
// context is for. Empty: packages come from the machine's own sources, or from these
// too.
func (a *APT) Signers(ctx context.Context) (map[string][]string, error) {
	if a.o.Snapshot == nil {
		return nil, nil
	}
	s, ok := a.o.Snapshot(ctx)
	if !ok || s.Beside {
		return nil, nil
	}
	return AptSigners(a.root, s)
}

// AptSigners returns by whose keys the fetched indexes of a snapshot are signed:
// fingerprints by the index's file. Any key on the machine may be asked, for what it is
// worth its fingerprint says.
func AptSigners(root fs.FS, s Snapshot) (map[string][]string, error) {
	keys, err := keysOf(root)
	if err != nil {
		return nil, fmt.Errorf("the machine's keyrings: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(s.Dir, "lists", "*_InRelease"))
	if err != nil {
		return nil, err
	}
	if len(files) < len(s.Indexes) {
		return nil, fmt.Errorf("of %d signed indexes of the snapshot %d are here", len(s.Indexes), len(files))
	}
	signers := make(map[string][]string, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("signed index: %w", err)
		}
		signers[filepath.Base(file)] = keys.Signers(text)
	}
	return signers, nil
}

// keysOf reads the machine's keyrings, and those that its sources name elsewhere. What
// apt could not read either is left out.
func keysOf(root fs.FS) (apt.Keys, error) {
	named, err := keyringsOf(root)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, all := range named {
		for _, signedBy := range all {
			for _, f := range strings.FieldsFunc(signedBy, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
				if path.IsAbs(f) {
					files = append(files, strings.TrimPrefix(f, "/"))
				}
			}
		}
	}
	for _, dir := range keyFolders {
		for _, pattern := range []string{"/*.gpg", "/*.asc", "/*.pgp"} {
			found, err := fs.Glob(root, dir+pattern)
			if err != nil {
				return nil, err
			}
			files = append(files, found...)
		}
	}
	slices.Sort(files)
	var all apt.Keys
	for _, file := range slices.Compact(files) {
		text, err := fs.ReadFile(root, file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if keys, err := apt.ReadKeys(text); err == nil {
			all = append(all, keys...)
		}
	}
	return all, nil
}
