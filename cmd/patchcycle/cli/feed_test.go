package cli

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// catalogue is a KEV catalogue of that day with so many flaws.
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

// publisher serves a catalogue by TLS, and is in the list of feeds as "kev".
func (h *house) publisher() *atomic.Value {
	h.t.Helper()
	text := &atomic.Value{}
	text.Store(catalogue(10, 100))
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := text.Load().(string)
		w.Header().Set("ETag", `"`+patching.DigestOf([]byte(body)).Short()+`"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(body))
	}))
	h.t.Cleanup(srv.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	require.NoError(h.t, os.WriteFile(filepath.Join(h.feeds, "ca.pem"), ca, 0o600))
	h.listed("feeds:\n- {name: kev, url: " + srv.URL + "/kev.json, owner: ana, private: true, ca_file: ca.pem}\n")
	return text
}

func (h *house) listed(text string) {
	h.t.Helper()
	require.NoError(h.t, os.WriteFile(filepath.Join(h.feeds, "feeds.yaml"), []byte(text), 0o600))
}

// Serves G4.
func TestAFeedIsBroughtAndWhatCameOfItIsTold(t *testing.T) {
	h := newHouse(t)
	r := h.run("feed", "list")
	assert.Equal(t, ExitOK, r.code)
	assert.Contains(t, r.errs, "There are no feeds")
	r = h.run("feed", "sync")
	assert.Equal(t, ExitOK, r.code)
	assert.Contains(t, r.errs, "No feed has an address")

	text := h.publisher()
	assert.Equal(t, "kev: new: revision 2026.11.10, made 10 Nov 2026 00:00 UTC, 100 risks\n", h.ok("feed", "sync"))
	assert.Equal(t, "kev: unchanged: revision 2026.11.10, made 10 Nov 2026 00:00 UTC, 100 risks\n", h.ok("feed", "sync", "kev"))
	text.Store(catalogue(11, 101))
	assert.Equal(t, "kev: new: revision 2026.11.11, made 11 Nov 2026 00:00 UTC, 101 risks; before: revision 2026.11.10, made 10 Nov 2026 00:00 UTC, 100 risks\n", h.ok("feed", "sync"))

	text.Store(catalogue(12, 3))
	r = h.run("feed", "sync")
	assert.Equal(t, ExitFailed, r.code)
	assert.Equal(t, "kev: refused: It has less than half of the risks: 3, and the one before had 101. The edition before stays: revision 2026.11.11, made 11 Nov 2026 00:00 UTC, 101 risks.\n", r.out)
	r = h.run("feed", "sync", "--json")
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.out, `"result": "refused"`)

	assert.Regexp(t, `kev +in trouble +2026\.11\.11 +2026-11-11 01:00 CET +\S.* +101 risks +ana`, h.ok("feed", "list"))
	all := decode[wire.Feeds](h, "feed", "list")
	require.Len(t, all.Items, 1)
	assert.Contains(t, all.Items[0].Trouble, "less than half")
	out := h.ok("feed", "show", "kev")
	assert.Contains(t, out, "less than half")
	assert.Contains(t, out, "Every:        24 hours")
	assert.Len(t, decode[wire.FeedDetail](h, "feed", "show", "kev").Syncs, 5)
	assert.Equal(t, ExitNotFound, h.run("feed", "show", "epss").code)
	r = h.run("feed", "sync", "epss")
	assert.Equal(t, ExitNotFound, r.code)
	assert.Contains(t, r.errs, "There is no feed epss.")
	for _, bad := range [][]string{{"sync", "KEV"}, {"sync", "kev", "../kev"}, {"import", "feeds.yaml", os.DevNull}} {
		r = h.run(append([]string{"feed"}, bad...)...)
		assert.Equal(t, ExitUsage, r.code, bad)
		assert.Contains(t, r.errs, "cannot name a feed", bad)
	}

	h.listed("feeds:\n- {name: kev, owner: ana, every: often}\n")
	r = h.run("feed", "sync", "kev")
	assert.Equal(t, ExitFailed, r.code, "the list before is in force")
	assert.Contains(t, h.run("feed", "list").errs, `feeds.yaml:2: every "often"`)
}

// Serves G4.
func TestASyncForWhichAMistakeInTheListLeavesNothingToAskFailsAndNamesIt(t *testing.T) {
	h := newHouse(t)
	h.listed("feeds:\n- {name: kev, owner: ana, every: often}\n")
	for _, args := range [][]string{{"feed", "sync"}, {"feed", "sync", "--json"}} {
		r := h.run(args...)
		assert.Equal(t, ExitFailed, r.code)
		assert.Contains(t, r.errs, `feeds.yaml:2: every "often"`)
	}
}

// Serves G4, G6.
func TestFilesAreImportedAsAWholeAndAWorseOneNeedsAReason(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "kev.json")
	put := func(text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	put(catalogue(10, 100))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README"), []byte("about it"), 0o600))
	elsewhere := filepath.Join(t.TempDir(), "other.json")
	require.NoError(t, os.WriteFile(elsewhere, []byte(catalogue(9, 50)), 0o600))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, "link.json")))
	require.NoError(t, os.Symlink(file, filepath.Join(dir, "copy.json")))
	assert.Equal(t, "kev: new: revision 2026.11.10, made 10 Nov 2026 00:00 UTC, 100 risks\n", h.ok("feed", "import", "kev", file))
	assert.Equal(t, "folder: new: revision 2026.11.10, made 10 Nov 2026 00:00 UTC, 150 risks\n", h.ok("feed", "import", "folder", dir), "a link to a file is the file, and a copy counts once")

	put(catalogue(11, 3))
	r := h.run("feed", "import", "kev", file)
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.out, "less than half")
	h.as("olga", patching.RoleOperator)
	r = h.run("feed", "import", "kev", file, "--accept-smaller", "it was split")
	assert.Equal(t, ExitNotAllowed, r.code)
	h.as("sara", patching.RoleSecurityLead)
	assert.Equal(t, ExitUsage, h.run("feed", "import", "kev", file, "--accept-smaller", " ").code)
	sync := decode[wire.FeedSync](h, "feed", "import", "kev", file, "--accept-smaller", "it was split")
	assert.Equal(t, patching.FeedNew, sync.Result)
	assert.Equal(t, "it was split", sync.Accepted)
	assert.Equal(t, patching.AccountName("sara"), sync.By)
	assert.Equal(t, file, sync.From)
	assert.Contains(t, h.ok("feed", "show", "kev"), "Accepted: it was split")

	put(catalogue(12, 100)[:300])
	r = h.run("feed", "import", "kev", file, "--accept-smaller", "whatever")
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.out, "It cannot be read")
	for _, paths := range [][]string{{filepath.Join(dir, "none")}, {t.TempDir()}, {os.DevNull}} {
		assert.Equal(t, ExitUsage, h.run(append([]string{"feed", "import", "kev"}, paths...)...).code, paths)
	}
	assert.Equal(t, ExitUsage, h.run("feed", "import", "kev").code)
	h.as("ida", patching.RoleAuditor)
	assert.Equal(t, ExitNotAllowed, h.run("feed", "import", "kev", dir).code)
	assert.Equal(t, ExitNotAllowed, h.run("feed", "sync").code)
	assert.Equal(t, ExitOK, h.run("feed", "list").code)
}

// Serves G4.
func TestFilesOfOneNameInSeveralFoldersAreImportedTogether(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	for folder, first := range map[string]int{"A/x": 0, "B/x": 100, "B/y": 200} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, folder), 0o700))
		text := strings.ReplaceAll(catalogue(10, 100), "CVE-2026-", fmt.Sprintf("CVE-2026-%d", first+1))
		require.NoError(t, os.WriteFile(filepath.Join(dir, folder, "all.json"), []byte(text), 0o600))
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	out := h.ok("feed", "import", "kev", at("A/x/all.json"), at("B/x/all.json"), at("B/y/all.json"))
	assert.Contains(t, out, "300 risks")
	out = h.ok("feed", "import", "kev", at("A/x"), at("B/x"), at("B/y"))
	assert.Contains(t, out, "300 risks", "folders too")
	r := h.run("feed", "import", "kev", at("A/x/all.json"), at("A/x/all.json"))
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.out+r.errs, "is there twice", "one and the same file is a mistake")
}
