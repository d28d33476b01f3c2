package report_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, got, 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "make it with: go test ./report -update")
	if !bytes.Equal(want, got) {
		assert.Equal(t, string(want), string(got), "look at the difference; if it is meant: go test ./report -update")
	}
}

func html(t *testing.T, d *report.Document) []byte {
	t.Helper()
	var page bytes.Buffer
	require.NoError(t, d.HTML(&page))
	return page.Bytes()
}

func json(t *testing.T, d *report.Document) []byte {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, d.JSON(&text))
	return text.Bytes()
}

var stories = map[string]func(*testing.T) *world{
	"successful": successful, "with-exceptions": withExceptions, "backed-out": backedOut, "shadow": shadow, "open": open,
}

var told sync.Map // documents of the stories, by name: they are values, and take a database to make

// tell returns the report of a story.
func tell(t *testing.T, name string) *report.Document {
	t.Helper()
	if d, ok := told.Load(name); ok {
		return d.(*report.Document)
	}
	d := stories[name](t).build()
	told.Store(name, d)
	return d
}

// Serves G10, G16, L8, U5.
func TestReportsReadAsTheGoldenFiles(t *testing.T) {
	for name := range stories {
		t.Run(name, func(t *testing.T) {
			d := tell(t, name)
			golden(t, name+".html", html(t, d))
			golden(t, name+".json", json(t, d))
		})
	}
}
