package backups

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// A tool is a file, a folder of fixtures and a line in Tools: here it is told which
// of them was forgotten.
func TestEveryToolIsListedAndHasFixtures(t *testing.T) {
	listed := slices.Sorted(maps.Keys(Tools()))
	var types, folders []string
	for _, tool := range Tools() {
		types = append(types, reflect.TypeOf(tool).Name())
	}
	slices.Sort(types)
	require.Equal(t, listed, types, "a tool's type is called as the tool is")

	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var written []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil && fn.Name.Name == "List" {
				written = append(written, fn.Recv.List[0].Type.(*ast.Ident).Name)
				require.Equal(t, fn.Recv.List[0].Type.(*ast.Ident).Name+".go", name)
			}
		}
	}
	slices.Sort(written)
	require.Equal(t, listed, written, "add the new tool to Tools")

	entries, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() && e.Name() != "fuzz" {
			folders = append(folders, e.Name())
		}
	}
	require.Equal(t, listed, folders, "each has a folder of recorded output")
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return text
}

// Serves G12.
func TestWhatToolsSayIsRead(t *testing.T) {
	fromRestic, err := parseRestic(fixture(t, "restic/snapshots.json"))
	require.NoError(t, err)
	require.Len(t, fromRestic, 2)
	require.Equal(t, []string{"web-1", "db-1"}, []string{fromRestic[0].Host, fromRestic[1].Host})
	require.Equal(t, 2026, fromRestic[0].At.Year())

	fromBorg, err := parseBorg(fixture(t, "borg/list.json"))
	require.NoError(t, err)
	require.Len(t, fromBorg, 2)
	require.Equal(t, "web-1", fromBorg[0].Host)
	require.Equal(t, "etc-2026-11-29", fromBorg[0].ID)
	require.Equal(t, time.UTC, fromBorg[0].At.Location())

	fromHook, err := parseHook(fixture(t, "hook/backups.json"))
	require.NoError(t, err)
	require.Len(t, fromHook, 3)
	require.Equal(t, []patching.BackupProof{"restored", "", "checked"}, []patching.BackupProof{fromHook[0].Proof, fromHook[1].Proof, fromHook[2].Proof})
}

func TestWhatAHookMustNotPrintIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":            ``,
		"another format":     `{"format":"v2","backups":[]}`,
		"an unknown field":   `{"format":"patchcycle backups v1","backups":[{"host":"a","at":"2026-01-01T00:00:00Z","verified":true}]}`,
		"a proof of its own": `{"format":"patchcycle backups v1","backups":[{"host":"a","at":"2026-01-01T00:00:00Z","proof":"sure"}]}`,
		"no host":            `{"format":"patchcycle backups v1","backups":[{"at":"2026-01-01T00:00:00Z"}]}`,
		"no time":            `{"format":"patchcycle backups v1","backups":[{"host":"a"}]}`,
		"more after it":      `{"format":"patchcycle backups v1","backups":[]} {}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseHook([]byte(text))
			require.Error(t, err)
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"restic/snapshots.json", "borg/list.json", "hook/backups.json"} {
		f.Add(fixture(f, name))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, parse := range []func([]byte) ([]Snapshot, error){parseRestic, parseBorg, parseHook} {
			all, err := parse(text)
			for _, s := range all {
				if err == nil && (s.Host == "" || s.At.IsZero()) {
					t.Fatal("a backup without host or time was taken")
				}
			}
		}
	})
}
