package e2e_test

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/patching"
)

// A whole server brings a feed when it starts, from a publisher with TLS, says when it is
// refused, and has the last good edition after its next start.
//
// Serves G4, Q13.
func TestAServerKeepsItsFeedsByItself(t *testing.T) {
	catalogue := func(day, flaws int) string {
		entry := `{"cveID":"CVE-2026-%04d","dateAdded":"2026-11-01","dueDate":"2026-11-22","knownRansomwareCampaignUse":"Unknown","requiredAction":"Apply."}`
		var all []string
		for n := range flaws {
			all = append(all, fmt.Sprintf(entry, n+1))
		}
		return fmt.Sprintf(`{"catalogVersion":"2026.11.%02d","dateReleased":"2026-11-%02dT00:00:00Z","count":%d,"vulnerabilities":[%s]}`, day, day, flaws, strings.Join(all, ","))
	}
	var text atomic.Value
	text.Store(catalogue(10, 100))
	publisher := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text.Load().(string)) }))
	defer publisher.Close()
	h := newHouse(t, func(c *serve.Config) {
		c.UI = ""
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: publisher.Certificate().Raw})
		require.NoError(t, os.WriteFile(filepath.Join(c.Dir, "ca.pem"), ca, 0o600))
		list := "feeds:\n- {name: kev, url: " + publisher.URL + "/kev.json, owner: ana, private: true, ca_file: ca.pem}\n"
		require.NoError(t, os.WriteFile(filepath.Join(c.Dir, "feeds.yaml"), []byte(list), 0o600))
	})
	until(t, time.Minute, "the first sync", func() bool {
		f, err := h.admin.Feed(t.Context(), "kev")
		require.NoError(t, err)
		return f.Edition != nil && f.Running == nil
	})
	check, _ := h.check(t, "feeds")
	require.True(t, check.OK, check.Words)

	files := func(text string) io.Reader {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "kev.json", Size: int64(len(text)), Typeflag: tar.TypeReg}))
		_, err := io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return &b
	}
	sync, err := h.admin.ImportFeed(t.Context(), "kev", "a stick", "", files(catalogue(11, 3)))
	require.NoError(t, err)
	require.Equal(t, patching.FeedRefused, sync.Result)
	check, _ = h.check(t, "feeds")
	require.False(t, check.OK)
	require.Contains(t, check.Words, "kev (ana): It has less than half of the risks")

	h.Stop()
	h.start(t)
	f, err := h.admin.Feed(t.Context(), "kev")
	require.NoError(t, err)
	require.Equal(t, map[string]int{"risks": 100}, f.Edition.Records)
	require.Contains(t, f.Trouble, "less than half")
	sync, err = h.admin.ImportFeed(t.Context(), "kev", "a stick", "", files(catalogue(11, 101)))
	require.NoError(t, err)
	require.Equal(t, patching.FeedNew, sync.Result)
	check, _ = h.check(t, "feeds")
	require.True(t, check.OK, check.Words)
}
