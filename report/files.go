package report

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/durable"
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
	if err := os.MkdirAll(dir, 0o755); err != nil { // meant to be read
		return "", fmt.Errorf("make the report's folder: %w", err)
	}
	// The page comes last: where it is, the JSON that it speaks of is too.
	if err := durable.Replace(filepath.Join(dir, JSONName), 0o644, doc.JSON); err != nil {
		return "", fmt.Errorf("write the report of %s: %w", id, err)
	}
	file = filepath.Join(dir, PageName)
	if err := durable.Replace(file, 0o644, doc.HTML); err != nil {
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
