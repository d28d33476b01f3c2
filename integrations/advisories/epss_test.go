package advisories

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
)

// readNamed reads a document of a given name.
func readNamed(t *testing.T, name, text string) (File, error) {
	t.Helper()
	return ReadFile(t.Context(), inMemory{name: []byte(text)}, name, DefaultLimits())
}

func TestScoresAreReadUnderEveryHeaderThatThereWas(t *testing.T) {
	half := 0.5
	day := time.Date(2026, 9, 29, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		file, head, row string
		want            patching.EPSS
	}{
		"without percentiles, dated by its name":   {"epss_scores-2021-04-14.csv", "cve,epss\n", "CVE-2020-5902,0.25", patching.EPSS{Score: 0.25, Date: time.Date(2021, 4, 14, 0, 0, 0, 0, time.UTC)}},
		"of an unknown day":                        {"a.csv", "cve,epss,percentile\n", "CVE-2020-5902,0.25,0.5", patching.EPSS{Score: 0.25, Percentile: &half}},
		"with a name that is no date":              {"epss_scores-2021-44-14.csv", "cve,epss\n", "CVE-2020-5902,0.25", patching.EPSS{Score: 0.25}},
		"the zone +0000":                           {"a.csv", "#model_version:v1,score_date:2026-09-29T00:00:00+0000\ncve,epss,percentile\n", "CVE-2020-5902,0.25,0.5", patching.EPSS{Score: 0.25, Percentile: &half, Model: "v1", Date: day}},
		"the zone Z":                               {"a.csv", "#model_version:v1,score_date:2026-09-29T12:00:22Z\ncve,epss,percentile\n", "CVE-2020-5902,0.25,0.5", patching.EPSS{Score: 0.25, Percentile: &half, Model: "v1", Date: day.Add(12*time.Hour + 22*time.Second)}},
		"a day, which counts more than the name's": {"epss_scores-2021-04-14.csv", "#score_date:2026-09-29,model_version:v1\ncve,epss\n", "CVE-2020-5902,0.25", patching.EPSS{Score: 0.25, Model: "v1", Date: day}},
		"columns in another order":                 {"a.csv", "percentile,cve,epss\n", "0.5,CVE-2020-5902,0.25", patching.EPSS{Score: 0.25, Percentile: &half}},
		"a small number as programs write it":      {"a.csv", "cve,epss\n", "CVE-2020-5902,9e-05", patching.EPSS{Score: 9e-05}},
		"lines of Windows":                         {"a.csv", "\xef\xbb\xbfcve,epss\r\n", "CVE-2020-5902,1\r", patching.EPSS{Score: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := readNamed(t, c.file, c.head+c.row+"\n")
			require.NoError(t, err)
			c.want.Feed = "epss"
			require.Equal(t, []patching.Risk{{CVE: "CVE-2020-5902", EPSS: &c.want}}, f.Risks)
			require.Equal(t, c.want.Date, f.Made)
		})
	}
}

func TestScoresThatCannotBeRightAreRefusedByTheirLine(t *testing.T) {
	const origin = "#model_version:v1,score_date:2026-09-29T12:00:22Z\n"
	for name, c := range map[string]struct{ text, says string }{
		"a score above one":             {"cve,epss\nCVE-2020-5902,0.1\nCVE-2020-5903,1.1\n", `line 3: CVE-2020-5903: epss: "1.1" is not between`},
		"a score below nought":          {"cve,epss\nCVE-2020-5902,-0.1\n", "line 2"},
		"a score that is no number":     {"cve,epss\nCVE-2020-5902,NaN\n", "not between 0 and 1"},
		"no score":                      {"cve,epss,percentile\nCVE-2020-5902,,0.1\n", "not between 0 and 1"},
		"a percentile above one":        {"cve,epss,percentile\nCVE-2020-5902,0.1,99\n", "percentile"},
		"a name that is none":           {"cve,epss\nCVE-20-1,0.1\n", `line 2: "CVE-20-1" is no CVE`},
		"a name twice":                  {"cve,epss\nCVE-2020-5902,0.1\nCVE-2020-5903,0.1\nCVE-2020-5902,0.1\n", "line 4: CVE-2020-5902 is there twice"},
		"a field too few":               {"cve,epss,percentile\nCVE-2020-5902,0.1\n", "line 2: it has 2 fields: want 3"},
		"a field too many":              {"cve,epss\nCVE-2020-5902,0.1,0.2\n", "line 2: it has 3 fields: want 2"},
		"another column":                {"cve,epss,lev\nCVE-2020-5902,0.1,0.2\n", "line 1: the columns are"},
		"a column twice":                {"cve,epss,epss\nCVE-2020-5902,0.1,0.2\n", "the columns are"},
		"no header":                     {origin + "CVE-2020-5902,0.1\n", "line 2: the columns are"},
		"no model":                      {"#model_version:,score_date:2026-09-29\ncve,epss\n", "line 1"},
		"a date that is none":           {"#model_version:v1,score_date:tomorrow\ncve,epss\n", "score_date"},
		"no scores":                     {origin + "cve,epss,percentile\n", "it has no scores"},
		"a last line that was cut off":  {"cve,epss\nCVE-2020-5902,0.1\nCVE-2020-5903,0.9", errUnended.Error()},
		"a line that is longer than is": {"cve,epss\n" + string(bytes.Repeat([]byte("1"), maxLine+1)), "line 2: it is longer"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := readNamed(t, "a.csv", c.text)
			require.ErrorContains(t, err, c.says)
			require.Zero(t, f.Records())
		})
	}
}

func TestATableOfSomebodyElseWithScoresInItIsNotTakenForThem(t *testing.T) {
	_, err := readNamed(t, "epss.csv", "CVE,CVSS3,EPSS,EPSS Percentile\nCVE-2025-62593,8.8,0.01015,0.60644\n")
	require.ErrorIs(t, err, ErrUnknown)
}

func TestAllSharedScoresAreRead(t *testing.T) {
	folder := filepath.Join(inplace.Path(t, "feeds"), "epss")
	files, refused, err := ReadFolder(t.Context(), os.DirFS(folder), DefaultLimits())
	require.NoError(t, err)
	files = recognised(files)
	require.Empty(t, refused)
	records := map[string]int{}
	for _, f := range files {
		require.Equal(t, []string{"epss"}, f.Feeds)
		require.False(t, f.Made.IsZero())
		records[filepath.Base(f.Name)] = f.Records()
	}
	require.Equal(t, map[string]int{
		"epss_scores-2021-04-14.csv.gz": 2, "epss_scores-2021-09-01.csv.gz": 2, "epss_scores-2022-02-04.csv.gz": 2,
		"epss_scores-2026-08-22.kev-subset.csv.gz": 1556, "epss_scores-2026-09-29.head.csv": 9,
	}, records)
}

func BenchmarkEPSS(b *testing.B) {
	var text bytes.Buffer
	text.WriteString("#model_version:v1,score_date:2026-09-29T12:00:22Z\ncve,epss,percentile\n")
	for i := range 300_000 {
		fmt.Fprintf(&text, "CVE-20%02d-%d,0.%05d,0.%05d\n", i%27, 1000+i, i%100_000, i%99_999)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		var c Content
		if err := readEPSS(Document{Reader: bytes.NewReader(text.Bytes())}, &c); err != nil {
			b.Fatal(err)
		}
	}
}
