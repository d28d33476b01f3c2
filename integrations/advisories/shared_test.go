package advisories

import (
	"os"
	"path/filepath"
	"testing"
)

// sharedFeeds is a folder of real feeds that are too large for the repository, or not
// free to be in it: PATCHCYCLE_SHARED, or "shared" beside the project. Tests that need
// it are skipped without it.
func sharedFeeds(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("PATCHCYCLE_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	dir = filepath.Join(dir, "feeds")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the recorded feeds are not here (%v): set PATCHCYCLE_SHARED to the folder that has feeds/", err)
	}
	return dir
}
