package window_test

import (
	"archive/zip"
	"go/build"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/window"
)

// zoneNames lists every zone of the data that time/tzdata embeds: the Go
// distribution carries it as an archive, too.
func zoneNames(t *testing.T) []string {
	t.Helper()
	archive, err := zip.OpenReader(filepath.Join(build.Default.GOROOT, "lib", "time", "zoneinfo.zip"))
	require.NoError(t, err)
	defer archive.Close()
	var names []string
	for _, f := range archive.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" {
			names = append(names, f.Name)
		}
	}
	require.Greater(t, len(names), 500)
	return names
}

func zone(t require.TestingT, name string) *time.Location {
	loc, err := window.Zone(name)
	require.NoError(t, err)
	return loc
}

func rule(t require.TestingT, text string) window.Rule {
	r, err := window.Parse(text)
	require.NoError(t, err)
	return r
}

// instant reads "2026-03-29 02:30:00 +0200".
func instant(t require.TestingT, s string) time.Time {
	at, err := time.Parse("2006-01-02 15:04:05 -0700", s)
	require.NoError(t, err)
	return at
}
