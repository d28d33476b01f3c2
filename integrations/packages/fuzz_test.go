package packages

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// Whatever apt and dpkg print, of whichever release and language: what is taken from it
// can be written down and read again.
func FuzzAptOutput(f *testing.F) {
	recorded, err := filepath.Glob("testdata/apt/*/*")
	require.NoError(f, err)
	require.NotEmpty(f, recorded)
	for _, name := range recorded {
		if text, err := os.ReadFile(name); err == nil && len(text) < 64<<10 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if has, err := parseDpkgQuery(text); err == nil {
			set := patching.PackageSet{Manager: "apt"}
			for _, p := range has {
				set.Packages = append(set.Packages, p.Package)
			}
			set.Sort()
			_, err := patching.ParsePackageSet(set.Canonical())
			require.NoError(t, err)
		}
		if would, err := parseSimulation(text); err == nil {
			known := parsePolicy(text)
			for _, i := range would.installs {
				_ = i.candidate(known)
			}
			for _, r := range would.removals {
				_ = r.change(nil)
			}
		}
		_, _, _, _ = parseShow(text), parseAudit(text), parseSizes(text), parseTables(text)
		for _, fault := range parseFaults(string(text)) {
			require.NotNil(t, fault.judge())
		}
		_, _ = splitKernel(string(text))
	})
}

// Lists of sources as administrators write them, of both forms.
func FuzzSources(f *testing.F) {
	f.Add([]byte("deb [signed-by=/usr/share/keyrings/a.gpg arch=amd64] http://a.example/debian bookworm main\n"), true)
	f.Add([]byte("Types: deb\nURIs: http://a.example\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /k.gpg\n\n# x\nSuites: s\n continued\n"), false)
	f.Fuzz(func(_ *testing.T, text []byte, lines bool) {
		name := "etc/apt/sources.list.d/a.sources"
		if lines {
			name = "etc/apt/sources.list"
		}
		_, _ = keyringsOf(fstest.MapFS{name: {Data: text}})
	})
}
