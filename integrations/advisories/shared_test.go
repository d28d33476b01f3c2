package advisories

import (
	"os"
	"path/filepath"
	"testing"
)

// sharedFeeds is a folder of whole feeds, which are too large for the project or may not
// be passed on: below PATCHCYCLE_SHARED, or where it lies beside the project.
func sharedFeeds(t testing.TB) string {
	t.Helper()
	root, named := os.LookupEnv("PATCHCYCLE_SHARED")
	if !named {
		root = "../../../shared"
	}
	folder := filepath.Join(root, "feeds")
	_, err := os.Stat(folder)
	switch {
	case err == nil:
	case named:
		t.Fatalf("PATCHCYCLE_SHARED: %v", err)
	default:
		// They are no part of the project: unlike elsewhere, "CI" makes no difference.
		t.Skipf("needs whole feeds, which are not part of the project; the cure: PATCHCYCLE_SHARED=their folder (%v)", err)
	}
	return folder
}
