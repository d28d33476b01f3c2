package plainyaml

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Problems collects what is wrong with a file of settings: all at once, each with the
// file, the line, the value and the way out.
type Problems struct {
	// File is its path, as errors name it.
	File string
	all  []error
}

// Say adds a problem of a line.
func (p *Problems) Say(line int, format string, args ...any) {
	p.all = append(p.all, fmt.Errorf("%s:%d: %s", p.File, max(1, line), fmt.Sprintf(format, args...)))
}

// Add adds that a field has a value that cannot be taken, and what would do.
func (p *Problems) Add(w Word, field, why string) { p.Say(w.Line, "%s %.100q: %s", field, w.Text, why) }

// Err returns all of them, or nil.
func (p *Problems) Err() error { return errors.Join(p.all...) }

// Beside returns a path that stands in the file: from the file's folder, unless it says
// where it begins.
func (p *Problems) Beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(p.File), path)
}
