package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Files writes reports into a folder of each cycle's own below Dir.
type Files struct {
	Dir    string
	Source Source
	Now    func() time.Time
}

// The names of what Files writes, in the cycle's folder.
const (
	PageName = "report.html"
	JSONName = "report.json"
)

// Render writes the report of a cycle as it stands and returns the page's file.
// Each file is complete or not there; an earlier report is replaced.
func (f Files) Render(ctx context.Context, id patching.CycleID) (file string, err error) {
	folder, err := Folder(id)
	if err != nil {
		return "", err
	}
	doc, err := Build(ctx, f.Source, id, f.Now())
	if err != nil {
		return "", err
	}
	dir := filepath.Join(f.Dir, folder)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // meant to be read
		return "", fmt.Errorf("make the report's folder: %w", err)
	}
	// The page comes last: where it is, the JSON that it speaks of is too.
	if err := replace(filepath.Join(dir, JSONName), doc.JSON); err != nil {
		return "", fmt.Errorf("write the report of %s: %w", id, err)
	}
	file = filepath.Join(dir, PageName)
	if err := replace(file, doc.HTML); err != nil {
		return "", fmt.Errorf("write the report of %s: %w", id, err)
	}
	return file, nil
}

// Folder returns the name of the folder for a cycle's report: its id with "_"
// for "/". An underscore of a name is doubled, so that no two cycles share one.
func Folder(id patching.CycleID) (string, error) {
	name := strings.ReplaceAll(strings.ReplaceAll(string(id), "_", "__"), "/", "_")
	if name == "." || name != filepath.Base(name) || !filepath.IsLocal(name) {
		return "", fmt.Errorf("report of %q: that is not the id of a cycle", id)
	}
	return name, nil
}

// replace writes a file beside its place and moves it there when it is on disk.
func replace(file string, write func(io.Writer) error) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	err = write(tmp)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}
