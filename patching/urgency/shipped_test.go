package urgency_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/urgency"
)

func shipped(t require.TestingT, id string) urgency.Table {
	all, err := urgency.Shipped()
	require.NoError(t, err)
	one, err := urgency.Select(all, id)
	require.NoError(t, err)
	return one[0]
}

// Serves G2, G20.
func TestEveryShippedTableAnswersEveryCombinationAndSaysWhereItIsFrom(t *testing.T) {
	all, err := urgency.Shipped()
	require.NoError(t, err)
	rows := map[string]int{}
	for _, table := range all {
		rows[table.ID] = len(table.Rows)
		assert.Equal(t, urgency.Confirm, table.Confirm, table.ID)
		assert.True(t, strings.HasPrefix(table.Address, "https://"), table.ID)
		assert.FileExists(t, "tables/"+table.ID+".csv")
	}
	assert.Equal(t, map[string]int{
		"cisa-bod-26-04": 16, "ssvc-deployer": 72, "pci-dss": 2, "cyber-essentials": 10,
		"essential-eight": 8, "essential-eight-ml3": 8,
	}, rows)
}

// sharedFeeds is where the published files lie, if they are on this machine.
func sharedFeeds(name string) string {
	folder := os.Getenv("PATCHCYCLE_SHARED")
	if folder == "" {
		folder = "../../../shared"
	}
	return filepath.Join(folder, "feeds", name)
}

// The files of CERT/CC (repository CERTCC/SSVC, data/csv) are not copied. Written in
// their form, our rows have the digest of theirs, which holds without the files; where
// these are at hand, the lines themselves are compared, to see the difference.
//
// Serves G20.
func TestThePublishedTablesAreReproducedToTheByte(t *testing.T) {
	for id, published := range map[string]struct{ file, digest, header string }{
		"cisa-bod-26-04": {
			"ssvc/cisa_bod_26_04_1_0_0.csv", "78b0e9531cd5f1af9ebd1916c37a147e74da1017ddd133ffcf3c14e095b155f6",
			"In KEV v1.0.0 (cisa)|Publicly Exposed v1.0.0 (cisa)|Automatable v2.0.0|Technical Impact v1.0.0|CISA BOD 26-04 Remediation Timelines v1.0.0 (cisa)",
		},
		"ssvc-deployer": {
			"ssvc/deployer_patch_application_priority_1_0_0.csv", "68491dc72505bf0703f32d8a278fc59cdaee4f515922633312bf4cc67f1b1aab",
			"Exploitation v1.1.0|System Exposure v1.0.1|Automatable v2.0.0|Human Impact v2.0.2|Defer, Scheduled, Out-of-Cycle, Immediate v1.0.0",
		},
	} {
		t.Run(id, func(t *testing.T) {
			var ours bytes.Buffer
			w := csv.NewWriter(&ours)
			require.NoError(t, w.Write(append([]string{"row"}, strings.Split(published.header, "|")...)))
			for _, r := range shipped(t, id).Rows {
				require.NoError(t, w.Write(append(append([]string{r.ID}, r.Values...), r.Outcome)))
			}
			w.Flush()
			if theirs, err := os.ReadFile(sharedFeeds(published.file)); err == nil {
				require.Equal(t, string(theirs), ours.String())
			} else {
				require.Empty(t, os.Getenv("PATCHCYCLE_SHARED"), "%v", err)
			}
			digest := sha256.Sum256(ours.Bytes())
			require.Equal(t, published.digest, hex.EncodeToString(digest[:]))
		})
	}
}

// CISA's catalogue gives every entry since June 2026 a due date under BOD 26-04, 3 or
// 14 days after the day it was added. Ours count to the same day.
//
// Serves G20.
func TestDaysCountAsTheCatalogueOfKEVCountsThem(t *testing.T) {
	type entry struct {
		Added  string `json:"dateAdded"`
		Due    string `json:"dueDate"`
		Action string `json:"requiredAction"`
	}
	entries := []entry{ // of CVE-2026-73570, CVE-2026-72530
		{"2026-08-21", "2026-08-24", "BOD 26-04"}, {"2026-08-20", "2026-09-03", "BOD 26-04"},
	}
	if text, err := os.ReadFile(sharedFeeds("kev/known_exploited_vulnerabilities.json")); err == nil {
		var catalogue struct{ Vulnerabilities []entry }
		require.NoError(t, json.Unmarshal(text, &catalogue))
		entries = append(entries, catalogue.Vulnerabilities...)
	}
	counted := 0
	for _, e := range entries {
		if !strings.Contains(e.Action, "BOD 26-04") {
			continue
		}
		added, err := time.Parse(time.DateOnly, e.Added)
		require.NoError(t, err)
		short, long := urgency.Within{Days: 3}.From(added), urgency.Within{Days: 14}.From(added)
		require.Contains(t, []string{short.Format(time.DateOnly), long.Format(time.DateOnly)}, e.Due)
		counted++
	}
	require.GreaterOrEqual(t, counted, 2)
}

func TestATableOfOnesOwnReplacesTheOneOfTheSameID(t *testing.T) {
	all, err := urgency.Shipped()
	require.NoError(t, err)
	own, err := urgency.Parse([]byte(tiny))
	require.NoError(t, err)
	own.ID = "pci-dss"

	replaced := urgency.Replace(all, own)
	require.Len(t, replaced, len(all))
	one, err := urgency.Select(replaced, "pci-dss")
	require.NoError(t, err)
	require.Equal(t, own.Title, one[0].Title)

	own.ID = "house"
	require.Len(t, urgency.Replace(all, own), len(all)+1)
	_, err = urgency.Select(all, "hipaa")
	require.ErrorContains(t, err, `no regime "hipaa"; there are: cisa-bod-26-04, cyber-essentials`)
}
