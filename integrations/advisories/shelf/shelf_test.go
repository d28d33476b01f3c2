package shelf_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/integrations/advisories/shelf"
	"github.com/patchcycle/patchcycle/internal/disk"
	"github.com/patchcycle/patchcycle/patching"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// catalogue is a KEV catalogue of that day with so many flaws, which are worth so many
// bytes each.
func catalogue(day, flaws int) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"catalogVersion":"2026.11.%02d","dateReleased":"2026-11-%02dT00:00:00Z","count":%d,"vulnerabilities":[`, day, day, flaws)
	for n := range flaws {
		fmt.Fprintf(&b, "%s\n"+`{"cveID":"CVE-2026-%04d","dateAdded":"2026-11-01","dueDate":"2026-11-22","knownRansomwareCampaignUse":"Unknown","requiredAction":"Apply."}`,
			strings.Repeat(",", min(n, 1)), n+1)
	}
	b.WriteString("]}")
	return b.String()
}

func open(t testing.TB, dir string) *shelf.Shelf {
	t.Helper()
	s, err := shelf.Open(dir, advisories.DefaultLimits())
	require.NoError(t, err)
	return s
}

// put drafts an edition of files, by name and text in turn, and commits it.
func put(ctx context.Context, s *shelf.Shelf, terms shelf.Terms, fetched bool, files ...string) (shelf.Judged, error) {
	d, err := s.Draft("kev", fetched)
	if err != nil {
		return shelf.Judged{}, err
	}
	defer d.Close()
	for i := 0; i < len(files); i += 2 {
		path, err := d.Path(files[i])
		if err != nil {
			return shelf.Judged{}, err
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			return shelf.Judged{}, err
		}
		if _, err := d.Add(shelf.Document{Name: files[i]}); err != nil {
			return shelf.Judged{}, err
		}
	}
	return d.Commit(ctx, terms)
}

// has says how many flaws the shelf tells of, after it was opened anew.
func has(t testing.TB, dir string) int {
	t.Helper()
	s := open(t, dir)
	var files []advisories.File
	for _, name := range s.Names() {
		some, e, err := s.Read(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, s.Kept(name).Edition, e)
		files = append(files, some...)
	}
	return len(advisories.Learn(files).Risks)
}

// Serves G4.
func TestAnEditionThatIsWorseOrUnreadableLeavesTheOneBefore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	terms := shelf.Terms{Now: noon}
	j, err := put(t.Context(), s, terms, true, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	require.True(t, j.New)
	assert.Equal(t, patching.FeedEdition{
		Digest: j.Kept.Edition.Digest, Revision: "2026.11.10", Made: time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC), Got: noon, Records: map[string]int{"risks": 100}, Formats: map[string]map[string]int{"kev": {"risks": 100}},
	}, j.Kept.Edition)
	for name, c := range map[string]struct {
		text, says string
		judged     bool
	}{
		"it shrank by half":   {catalogue(11, 49), "less than half", true},
		"it went back":        {catalogue(9, 100), "before the one that is kept", true},
		"it is truncated":     {catalogue(11, 100)[:5000], "It cannot be read", false},
		"it is an error page": {"<html><body>Sign in", "is the address right?", false},
		"it is empty":         {"", "is the address right?", false},
		"it lies of itself":   {strings.Replace(catalogue(11, 100), `"count":100`, `"count":500`, 1), "it was cut or changed", false},
	} {
		_, err := put(t.Context(), s, terms, true, "kev.json", c.text)
		var refused *shelf.Refused
		require.ErrorAs(t, err, &refused, name)
		assert.Contains(t, refused.Why, c.says, name)
		assert.Equal(t, c.judged, refused.Judged, name)
		assert.Equal(t, 100, has(t, dir), name)
		_, err = put(t.Context(), s, shelf.Terms{Now: noon, Accept: true}, true, "kev.json", c.text)
		if !c.judged {
			require.ErrorAs(t, err, &refused, "%s: nobody can accept what cannot be read", name)
		}
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "kev")))
		s = open(t, dir)
		_, err = put(t.Context(), s, terms, true, "kev.json", catalogue(10, 100))
		require.NoError(t, err)
	}
}

func TestABombIsRefusedAndTheOneBeforeStays(t *testing.T) {
	dir := t.TempDir()
	limits := advisories.DefaultLimits()
	limits.Plain = 2 << 20
	s, err := shelf.Open(dir, limits)
	require.NoError(t, err)
	_, err = put(t.Context(), s, shelf.Terms{Now: noon}, true, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, err = io.WriteString(w, catalogue(11, 100)+strings.Repeat(" ", 4<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = put(t.Context(), s, shelf.Terms{Now: noon, Accept: true}, true, "kev.json", bomb.String())
	var refused *shelf.Refused
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, refused.Why, "it unpacks to more than is right")
	assert.Equal(t, 100, has(t, dir))
}

func TestWhatAPersonAcceptsIsSaid(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	j, err := put(t.Context(), s, shelf.Terms{Now: noon, Accept: true}, false, "kev.json", catalogue(11, 3))
	require.NoError(t, err)
	assert.True(t, j.New)
	assert.Contains(t, j.Accepted, "less than half of the risks: 3")
	assert.Equal(t, 3, has(t, dir))
	j, err = put(t.Context(), s, shelf.Terms{Now: noon, Accept: true}, false, "kev.json", catalogue(12, 3))
	require.NoError(t, err)
	assert.Empty(t, j.Accepted, "nothing had to be accepted")
}

// scores are EPSS's of so many flaws, made on that day.
func scores(day, flaws int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#model_version:v2026.06.15,score_date:2026-11-%02dT12:00:00Z\ncve,epss,percentile\n", day)
	for n := range flaws {
		fmt.Fprintf(&b, "CVE-2026-%04d,0.5,0.5\n", n+1)
	}
	return b.String()
}

// Serves G4.
func TestTheFileOfAnotherFeedDoesNotTakeThePlaceOfOneThatCountsTheSameKind(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	_, err = put(t.Context(), s, shelf.Terms{Now: noon}, false, "epss.csv", scores(19, 500))
	var refused *shelf.Refused
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, refused.Why, "nothing in the format kev")
	assert.True(t, refused.Judged, "a person may mean it")
	j, err := put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(11, 100))
	require.NoError(t, err)
	assert.True(t, j.New, "the feed's own next edition is not refused")
	j, err = put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(12, 100), "epss.csv", scores(19, 500))
	require.NoError(t, err)
	assert.Equal(t, map[string]map[string]int{"kev": {"risks": 100}, "epss": {"risks": 500}}, j.Kept.Edition.Formats)
	_, err = put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(13, 3), "epss.csv", scores(19, 900))
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, refused.Why, "less than half of the risks in the format kev: 3", "however many the other has")
}

func TestCopiesOfAFileDoNotMakeUpForWhatIsMissing(t *testing.T) {
	s := open(t, t.TempDir())
	_, err := put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	few := catalogue(11, 30)
	_, err = put(t.Context(), s, shelf.Terms{Now: noon}, false, "a.json", few, "b.json", few)
	var refused *shelf.Refused
	require.ErrorAs(t, err, &refused)
	assert.Contains(t, refused.Why, ": 30, and the one before had 100")
}

// Serves G4.
func TestNobodyCanAcceptAnEditionThatSaysNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, before := range []int{0, 100} {
		if before > 0 {
			_, err := put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, before))
			require.NoError(t, err)
		}
		for name, text := range map[string]string{"kev.json": catalogue(11, 0), "README": "no feed"} {
			_, err := put(t.Context(), s, shelf.Terms{Now: noon, Accept: true}, false, name, text)
			var refused *shelf.Refused
			require.ErrorAs(t, err, &refused, name)
			assert.False(t, refused.Judged, "%s: there is nothing to accept", name)
			assert.Equal(t, before, has(t, dir))
		}
	}
}

func TestTheSameFilesAreNoNewEdition(t *testing.T) {
	s := open(t, t.TempDir())
	first, err := put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	again, err := put(t.Context(), s, shelf.Terms{Now: noon.Add(time.Hour)}, false, "kev.json", catalogue(10, 100), "README", "about this folder")
	require.NoError(t, err)
	assert.False(t, again.New)
	assert.Equal(t, first.Kept.Edition, again.Kept.Edition)
}

func TestAFeedHasOneDraftAtATime(t *testing.T) {
	s := open(t, t.TempDir())
	d, err := s.Draft("kev", true)
	require.NoError(t, err)
	_, err = s.Draft("kev", true)
	require.ErrorIs(t, err, patching.ErrFeedBusy)
	d.Close()
	d, err = s.Draft("kev", true)
	require.NoError(t, err)
	d.Close()
	for _, name := range []patching.FeedName{"../kev", "feeds.yaml"} {
		_, err = s.Draft(name, true)
		require.ErrorContains(t, err, "names no feed", name)
	}
}

func TestADocumentStaysBelowItsFolder(t *testing.T) {
	s := open(t, t.TempDir())
	d, err := s.Draft("kev", false)
	require.NoError(t, err)
	defer d.Close()
	for _, name := range []string{"../kev.json", "/etc/passwd", "a/../../b", "", ".", "a//b", "a\\b", "a.part", strings.Repeat("a", 2000)} {
		_, err := d.Path(name)
		require.Error(t, err, name)
	}
}

// Serves Q15.
func TestAFileThatWasChangedOnTheDiskIsNotRead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	_, err := put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	files, err := filepath.Glob(filepath.Join(dir, "kev", "kept", "*", "kev.json"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.WriteFile(files[0], []byte(catalogue(10, 99)), 0o600))
	_, _, err = s.Read(t.Context(), "kev")
	require.ErrorContains(t, err, "kev.json is not what was kept")
	require.NoError(t, os.Remove(files[0]))
	_, _, err = s.Read(t.Context(), "kev")
	require.ErrorContains(t, err, "it has 0 files where 1 were kept")
	j, err := put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	assert.True(t, j.New, "the same edition, brought again, mends it")
	assert.Equal(t, 100, has(t, dir))
	_, _, err = s.Read(t.Context(), "kev")
	require.NoError(t, err)
}

// archive packs a file of so many bytes, of which the last may be missing.
func archive(t *testing.T, name string, size, missing int) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Size: int64(size), Mode: 0o600, Typeflag: tar.TypeReg}))
	_, err := w.Write(bytes.Repeat([]byte("x"), size))
	require.NoError(t, err)
	return bytes.NewReader(b.Bytes()[:b.Len()-missing])
}

// below lists all that lies below a folder.
func below(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if path != dir {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	return names
}

// Serves G4.
func TestAnImportThatFailsOrBreaksOffLeavesNothingOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for name, in := range map[string]io.Reader{
		"it broke off":       archive(t, "a/b/kev.json", 1<<20, 1<<19),
		"it is no feed":      archive(t, "a/b/kev.json", 1<<10, 0),
		"it leads elsewhere": archive(t, "../kev.json", 1<<10, 0),
	} {
		d, err := s.Draft("kev", false)
		require.NoError(t, err)
		if _, err = d.Unpack(in); err == nil {
			_, err = d.Commit(t.Context(), shelf.Terms{Now: noon})
		}
		require.Error(t, err, name)
		d.Close()
		assert.Empty(t, below(t, dir), name)
	}
	_, err := put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	before := below(t, dir)
	_, err = put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(11, 3))
	require.Error(t, err)
	_, err = put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
	assert.Equal(t, before, below(t, dir), "neither does one that is refused, or is nothing new")
}

func TestWhatACrashLeftOfAnImportIsClearedAwayAtTheStart(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "kev", "next", "a", "kev.json"), catalogue(10, 100))
	write(t, filepath.Join(dir, "kev", ".kept.json.1"), "{")
	write(t, filepath.Join(dir, "osv", "next", "all.zip.part"), "PK")
	write(t, filepath.Join(dir, "gone", "next", "old.zip.part"), "PK")
	old := time.Now().AddDate(0, -1, 0)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "gone", "next", "old.zip.part"), old, old))
	open(t, dir)
	assert.Equal(t, []string{"osv", "osv/next", "osv/next/all.zip.part"}, below(t, dir), "a download goes on, unless nobody did for long")
}

// Serves Q15.
func TestAnImportDoesNotFillTheDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	free := int64(300 << 20)
	s.Room = func(string) (disk.Room, error) { return disk.Room{Free: free, Total: 1 << 40}, nil }
	d, err := s.Draft("kev", false)
	require.NoError(t, err)
	_, err = d.Unpack(archive(t, "kev.json", 64<<20, 0))
	require.ErrorContains(t, err, "has no room for it")
	d.Close()
	assert.Empty(t, below(t, dir))
	free = 200 << 20
	_, err = s.Draft("kev", true)
	require.ErrorContains(t, err, "free space there", "nor does a sync begin")
	free = 1 << 30
	_, err = put(t.Context(), s, shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
	require.NoError(t, err)
}

// Each is what the disk looks like when the power goes between two steps.
func TestWhereverTheShelfStopsOneEditionIsThereAsAWhole(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, feed string)
		flaws int
	}{
		"while a document is written": {func(t *testing.T, feed string) {
			write(t, filepath.Join(feed, "next", "kev.json"), catalogue(11, 200)[:100])
		}, 100},
		"before the note is replaced": {func(t *testing.T, feed string) {
			write(t, filepath.Join(feed, "kept", strings.Repeat("0", 64), "kev.json"), catalogue(11, 200))
		}, 100},
		"while the note is written": {func(t *testing.T, feed string) {
			write(t, filepath.Join(feed, "kept", strings.Repeat("0", 64), "kev.json"), catalogue(11, 200))
			write(t, filepath.Join(feed, ".kept.json.123"), `{"edition":`)
		}, 100},
		"before the first note": {func(t *testing.T, feed string) {
			require.NoError(t, os.Remove(filepath.Join(feed, "kept.json")))
		}, 0},
	} {
		dir := t.TempDir()
		_, err := put(t.Context(), open(t, dir), shelf.Terms{Now: noon}, false, "kev.json", catalogue(10, 100))
		require.NoError(t, err)
		c.spoil(t, filepath.Join(dir, "kev"))
		assert.Equal(t, c.flaws, has(t, dir), name)
		left, err := filepath.Glob(filepath.Join(dir, "kev", "kept", "*"))
		require.NoError(t, err)
		assert.Len(t, left, min(c.flaws, 1), "%s: what does not count is cleared away", name)
		j, err := put(t.Context(), open(t, dir), shelf.Terms{Now: noon}, false, "kev.json", catalogue(12, 300))
		require.NoError(t, err, name)
		assert.True(t, j.New)
		assert.Equal(t, 300, has(t, dir), name)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
}

const victim = "PATCHCYCLE_TEST_SHELF"

// A process that puts one edition after the other, until it is killed. It prints the
// number of each that was acknowledged.
func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		putUntilKilled(dir)
		return
	}
	m.Run()
}

func putUntilKilled(dir string) {
	s, err := shelf.Open(dir, advisories.DefaultLimits())
	for n := 1; err == nil && n < 1000; n++ {
		_, err = put(context.Background(), s, shelf.Terms{Now: noon, Accept: true}, true, "kev.json", catalogue(10, n))
		fmt.Fprintln(os.Stdout, n)
	}
	fmt.Fprintln(os.Stderr, err)
}

// Serves G4.
func TestAServerThatIsKilledHasTheLastEditionThatItAcknowledgedOrTheNext(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	dir := t.TempDir()
	for kill := range 8 {
		c := exec.Command(self)
		c.Env = append(os.Environ(), victim+"="+dir)
		out, err := c.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, c.Start())
		said := make([]byte, 0, 1<<16)
		buffer := make([]byte, 512)
		for bytes.Count(said, []byte("\n")) < 3+kill*2 {
			n, err := out.Read(buffer)
			said = append(said, buffer[:n]...)
			require.NoError(t, err, "it ended by itself")
		}
		time.Sleep(time.Duration(kill*700) * time.Microsecond) // somewhere in the next ones
		require.NoError(t, c.Process.Kill())
		rest := bytes.NewBuffer(said)
		_, _ = rest.ReadFrom(out)
		_ = c.Wait()
		last := bytes.Count(rest.Bytes(), []byte("\n"))
		got := has(t, dir)
		assert.True(t, got == last || got == last+1, "kill %d: edition %d was acknowledged, %d is there", kill, last, got)
		left, err := filepath.Glob(filepath.Join(dir, "kev", "kept", "*"))
		require.NoError(t, err)
		assert.Len(t, left, 1)
	}
}
