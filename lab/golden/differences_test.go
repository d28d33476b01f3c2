package golden

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/patching"
)

// differences are two answers about the same machine, and why one of them says what the
// other does not.
type differences struct {
	both int
	// onlyThey and onlyWe count by explanation. What has none is listed.
	onlyThey, onlyWe map[string]int
	unexplained      []string
}

// compare explains what only one side says. An explanation is a sentence; empty: there is
// none.
func compare[K comparable](they, we map[K]bool, onlyThey, onlyWe func(K) string) differences {
	d := differences{onlyThey: map[string]int{}, onlyWe: map[string]int{}}
	note := func(side string, in map[string]int, k K, why string) {
		if why == "" {
			d.unexplained = append(d.unexplained, fmt.Sprintf("%s: %v", side, k))
			return
		}
		in[why]++
	}
	for k := range they {
		if we[k] {
			d.both++
		} else {
			note("only they", d.onlyThey, k, onlyThey(k))
		}
	}
	for k := range we {
		if !they[k] {
			note("only we", d.onlyWe, k, onlyWe(k))
		}
	}
	slices.Sort(d.unexplained)
	return d
}

// publish prints the figures, and fails where a difference has no explanation.
func (d differences) publish(t *testing.T) {
	t.Helper()
	t.Logf("both %d", d.both)
	for side, in := range map[string]map[string]int{"only they": d.onlyThey, "only we": d.onlyWe} {
		for _, why := range slices.Sorted(maps.Keys(in)) {
			t.Logf("%s %d: %s", side, in[why], why)
		}
	}
	require.Empty(t, d.unexplained, "differences that nobody explained")
}

// flaw is a package and a CVE.
type flaw struct{ name, cve string }

// asFeed reads documents as if they lay in a folder.
func asFeed(t *testing.T, documents map[string][]byte) []patching.Advisory {
	t.Helper()
	folder := map[string][]byte{}
	maps.Copy(folder, documents)
	files, refused, err := advisories.ReadFolder(t.Context(), asFolder(folder), advisories.DefaultLimits())
	require.NoError(t, err)
	require.Empty(t, refused)
	var all []patching.Advisory
	for _, f := range files {
		require.NotEmpty(t, f.Feeds, f.Name)
		all = append(all, f.Advisories...)
	}
	return all
}

// withoutDot is a file's name without what follows its first dot.
func withoutDot(name string) string { name, _, _ = strings.Cut(name, "."); return name }

func asFolder(documents map[string][]byte) fs.FS {
	folder := fstest.MapFS{}
	for name, text := range documents {
		folder[name] = &fstest.MapFile{Data: text}
	}
	return folder
}
