package advisories

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/unpack"
)

// inMemory are files by name.
type inMemory map[string][]byte

func (m inMemory) Open(name string) (fs.File, error) {
	files := fstest.MapFS{}
	for n, text := range m {
		files[n] = &fstest.MapFile{Data: text}
	}
	return files.Open(name)
}

func unpackAll(text []byte) ([]byte, error) {
	r, err := unpack.Reader(bytes.NewReader(text), int64(len(text)), unpack.Bounds{Size: 1 << 30, Ratio: 1 << 20})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

const kevFixture = "testdata/kev/known_exploited_vulnerabilities.json"

func readAs(t *testing.T, text []byte, l Limits) (File, error) {
	t.Helper()
	return ReadFile(t.Context(), inMemory{"feed": text}, "feed", l)
}

func zipped(t *testing.T, members map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range members {
		w, err := z.Create(name)
		require.NoError(t, err)
		_, err = w.Write(text)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

func tarred(t *testing.T, members map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for name, text := range members {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}))
		_, err := w.Write(text)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestAnArchiveIsReadLikeTheDocumentsInIt(t *testing.T) {
	text, err := os.ReadFile(kevFixture)
	require.NoError(t, err)
	plain, err := readAs(t, text, DefaultLimits())
	require.NoError(t, err)
	for kind, packed := range map[string][]byte{
		"zip":    zipped(t, map[string][]byte{"a/kev.json": text, "README": []byte("hello")}),
		"tar.gz": tarred(t, map[string][]byte{"a/kev.json": text, "README": []byte("hello")}),
	} {
		f, err := readAs(t, packed, DefaultLimits())
		require.NoError(t, err, kind)
		require.Equal(t, plain.Content, f.Content, kind)
		require.Equal(t, 1, f.Documents, kind)
		require.Equal(t, 1, f.Skipped, kind)
	}
}

// Serves G4, Q7.
func TestWhatIsHostileIsRefusedWithItsReason(t *testing.T) {
	text, err := os.ReadFile(kevFixture)
	require.NoError(t, err)
	small := DefaultLimits()
	small.Packed, small.Plain, small.Documents, small.Records = 1<<20, 8<<20, 3, 8
	member := func(n int) map[string][]byte {
		all := map[string][]byte{}
		for i := range n {
			all[fmt.Sprintf("%d.json", i)] = text
		}
		return all
	}
	empty := map[string][]byte{}
	for i := range 4 {
		empty[fmt.Sprintf("%d.json", i)] = []byte(`{"catalogVersion": "1", "count": 0, "vulnerabilities": []}`)
	}
	zeros := bytes.Repeat([]byte{' '}, 64<<20)
	bomb := append([]byte(nil), text...)
	bomb = append(bomb, zeros...)
	deep := strings.Replace(string(text), `"title":`, `"deep": `+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`, "title":`, 1)
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"a file that is too large":           {append(text, make([]byte, 1<<20)...), "may have 1048576"},
		"a zip bomb":                         {zipped(t, map[string][]byte{"kev.json": bomb}), unpack.ErrBomb.Error()},
		"a bomb in a tar archive":            {tarred(t, map[string][]byte{"kev.json": bomb}), unpack.ErrBomb.Error()},
		"a bomb that is no feed, beside one": {tarred(t, map[string][]byte{"a.json": text, "b": zeros}), unpack.ErrBomb.Error()},
		"more documents than there can be":   {zipped(t, empty), "more than 3 documents"},
		"more records than there can be":     {zipped(t, member(3)), "more than 8 records"},
		"groups within groups":               {[]byte(deep), errDeep.Error()},
		"a field twice":                      {[]byte(strings.Replace(string(text), `"title":`, `"catalogVersion": "1", "title":`, 1)), `"catalogVersion" is there twice`},
		"a field twice, spelt otherwise":     {[]byte(strings.Replace(string(text), `"title":`, `"\u0074itle": "a", "title":`, 1)), `"title" is there twice`},
		"something after its end":            {append(bytes.TrimSpace(text), " {}"...), "something follows"},
		"another shape":                      {[]byte(`{"catalogVersion": "1", "vulnerabilities": {"a": 1}}`), "JSON"},
		"fewer entries than it says":         {[]byte(`{"catalogVersion": "1", "count": 9, "vulnerabilities": []}`), "has 0"},
		"what is no feed":                    {[]byte("hello"), ErrUnknown.Error()},
		"nothing":                            {nil, ErrUnknown.Error()},
		"a zip archive that is cut off":      {zipped(t, member(2))[:200], "zip"},
		"a tar archive that is cut off":      {tarred(t, member(2))[:100], "EOF"},
		"gzip that is not":                   {[]byte("\x1f\x8bnonsense and more"), "gzip"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := readAs(t, c.text, small)
			require.ErrorContains(t, err, c.says)
			require.ErrorContains(t, err, "feed: ", "the file is named")
			require.Zero(t, f.Records(), "nothing of it is kept")
		})
	}
}

func TestAnXMLDocumentMayNotDeclareAnything(t *testing.T) {
	const bomb = `<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;">]><updates><a>&c;</a></updates>`
	err := eachXML(strings.NewReader(bomb), "a", nil)
	require.ErrorContains(t, err, "a declaration (<!DOCTYPE a")
	err = eachXML(strings.NewReader(strings.Repeat("<a>", 100)), "b", nil)
	require.ErrorIs(t, err, errDeep)
	err = eachXML(strings.NewReader("<a><b></a>"), "c", nil)
	require.Error(t, err)
	require.Error(t, eachXML(strings.NewReader("<a><b>"), "c", nil))
}

func TestAFolderIsReadWithoutWhatIsRefused(t *testing.T) {
	text, err := os.ReadFile(kevFixture)
	require.NoError(t, err)
	from := fstest.MapFS{
		"a/b/kev.json": {Data: text}, "README": {Data: []byte("hello")}, "cut.json": {Data: text[:len(text)-20]},
	}
	files, refused, err := ReadFolder(t.Context(), from, DefaultLimits())
	require.NoError(t, err)
	require.Len(t, files, 2)
	require.Equal(t, File{Name: "README"}, files[0], "it is named, and says nothing")
	require.Equal(t, "a/b/kev.json", files[1].Name)
	require.Len(t, refused, 1)
	require.Equal(t, "cut.json", refused[0].Name)
}

func TestReadingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("too long"))
	_, err := ReadFile(ctx, os.DirFS("."), kevFixture, DefaultLimits())
	require.ErrorContains(t, err, "too long")
}

func TestAHeadNamesTheFieldsOfADocument(t *testing.T) {
	for text, want := range map[string][]string{
		`{"a": 1, "b": {"c": 2}, "d": [{"e": 3}], "f": "`: {"a", "b", "d", "f"},
		`[{"a": 1}]`:                        nil,
		"\xef\xbb\xbf {\"a\": \"{\", \"b\"": {"a", "b"},
		"":                                  nil,
		`{"a": `:                            {"a"},
		`{"a\"": "}", "b": "\\\"{", "c": "\\", "d": "\`: {`a\"`, "b", "c", "d"},
	} {
		require.Equal(t, want, Head{Start: []byte(text)}.Keys(), text)
	}
}

// Serves G4.
func TestFieldsOfDifferentGroupsMayHaveTheSameName(t *testing.T) {
	var into any
	require.NoError(t, decodeJSON(strings.NewReader(`{"a": {"a": 1, "b": ["a", "a", {"a": "a:a,\"a\""}, {"a": 2}]}, "b": "a"}`), &into))
	for _, text := range []string{`{"a": 1, "a": 2}`, `[{"x": {"b": 1, "c": [{}], "b": 2}}]`, `{"a": {}, "a": {}}`, `{"": 1, "": 2}`} {
		require.ErrorContains(t, decodeJSON(strings.NewReader(text), &into), "is there twice", text)
	}
	require.Error(t, decodeJSON(strings.NewReader(`}}{"a": 1}`), &into))
}
