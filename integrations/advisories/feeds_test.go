package advisories

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fixtures are the recorded documents of each feed, by its name.
func fixtures(t testing.TB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	folders, err := os.ReadDir("testdata")
	require.NoError(t, err)
	for _, folder := range folders {
		if !folder.IsDir() || folder.Name() == "fuzz" {
			continue
		}
		require.NoError(t, filepath.WalkDir(filepath.Join("testdata", folder.Name()), func(name string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.HasSuffix(name, ".golden") {
				all[folder.Name()] = append(all[folder.Name()], filepath.ToSlash(name))
			}
			return err
		}))
	}
	return all
}

// recognised are the files in which a feed is.
func recognised(files []File) []File {
	return slices.DeleteFunc(files, func(f File) bool { return len(f.Feeds) == 0 })
}

// Serves G4.
func TestEveryFeedIsListedWithFixturesOfItsOwn(t *testing.T) {
	var declared []string
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				for _, v := range s.(*ast.ValueSpec).Values {
					if lit, ok := v.(*ast.CompositeLit); ok {
						if id, ok := lit.Type.(*ast.Ident); ok && id.Name == "Feed" {
							declared = append(declared, strings.TrimSuffix(name, ".go"))
						}
					}
				}
			}
		}
	}
	recorded := fixtures(t)
	var listed []string
	for _, f := range Feeds() {
		listed = append(listed, f.Name)
		require.NotEmpty(t, f.Title, f.Name)
		require.NotEmpty(t, recorded[f.Name], "testdata/%s has no fixture", f.Name)
		delete(recorded, f.Name)
	}
	require.ElementsMatch(t, declared, listed, "one file and one line in the list each")
	require.Empty(t, recorded, "fixtures of no feed")
	text, err := os.ReadFile("testdata/README.md")
	require.NoError(t, err)
	for _, name := range listed {
		require.Contains(t, string(text), "| `"+name+"`", "testdata/README.md says where fixtures are from")
	}
}

func TestEveryFixtureIsRecognisedByItsOwnFeedAlone(t *testing.T) {
	for feed, names := range fixtures(t) {
		for _, name := range names {
			f, err := ReadFile(t.Context(), os.DirFS("."), name, DefaultLimits())
			require.NoError(t, err)
			require.Equal(t, []string{feed}, f.Feeds, name)
			require.Positive(t, f.Records(), name)
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			head := Head{Name: name, Start: text[:min(len(text), headBytes)]}
			for _, other := range Feeds() {
				require.True(t, other.Name == feed || !other.Mine(head), "%s is taken for %s", name, other.Name)
			}
		}
	}
}

func TestEveryFixtureSaysWhatItSays(t *testing.T) {
	for _, names := range fixtures(t) {
		for _, name := range names {
			f, err := ReadFile(t.Context(), os.DirFS("."), name, DefaultLimits())
			require.NoError(t, err)
			got, err := json.MarshalIndent(f.Content, "", " ")
			require.NoError(t, err)
			golden := name + ".golden"
			if os.Getenv("UPDATE_GOLDEN") != "" {
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got)+"\n", "UPDATE_GOLDEN=1 writes it")
		}
	}
}

// plainText unpacks a fixture.
func plainText(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	r, err := unpackAll(text)
	require.NoError(t, err)
	return r
}

// A feed that was cut off says less than was published, and nobody would notice.
func TestADocumentThatWasCutOffIsRefused(t *testing.T) {
	for feed, names := range fixtures(t) {
		for _, name := range names {
			text := bytes.TrimSpace(plainText(t, name))
			for _, share := range []int{50, 90, 99} {
				cut := text[:len(text)*share/100]
				_, err := ReadFile(t.Context(), inMemory{name: cut}, name, DefaultLimits())
				if lined(feed) && err == nil {
					continue // lines that are gone leave no trace
				}
				require.Error(t, err, "%s, %d %%", name, share)
			}
		}
	}
}

// lined are formats that end with any line.
func lined(feed string) bool {
	return slices.Contains([]string{"epss", "packages", "distroinfo", "hand", "winget"}, feed)
}

// FuzzFeeds looks for documents that bring a parser down. What they say is nobody's
// business here.
func FuzzFeeds(f *testing.F) {
	for _, names := range fixtures(f) {
		for _, name := range names {
			f.Add(plainText(f, name))
		}
	}
	f.Fuzz(func(_ *testing.T, text []byte) {
		// One that keeps a parser busy for ever brings it down as well.
		late := time.AfterFunc(30*time.Second, func() { panic("a document of a few kilobytes takes longer than 30 seconds") })
		defer late.Stop()
		head := Head{Name: "fuzz", Start: text[:min(len(text), headBytes)]}
		for _, feed := range Feeds() {
			if feed.Mine(head) {
				_ = feed.Read(Document{head, bytes.NewReader(text)}, &Content{})
			}
		}
		_, _ = ReadChangelog("fuzz", text, "12")
		_, _ = ReadHand(text)
	})
}

var _ io.Reader = Document{}
