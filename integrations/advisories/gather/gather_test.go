package gather_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/integrations/advisories/gather"
	"github.com/patchcycle/patchcycle/integrations/advisories/shelf"
	"github.com/patchcycle/patchcycle/integrations/advisories/sources"
	"github.com/patchcycle/patchcycle/patching"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// house is a publisher with TLS, and a shelf for one feed of it.
type house struct {
	t      *testing.T
	url    string
	pool   *x509.CertPool
	files  map[string]string // by path
	asked  []string          // what was sent as a whole
	shelf  *shelf.Shelf
	source sources.Source
	now    time.Time
	told   []patching.FeedProgress
	answer http.HandlerFunc
}

func newHouse(t *testing.T) *house {
	t.Helper()
	s, err := shelf.Open(t.TempDir(), advisories.DefaultLimits())
	require.NoError(t, err)
	h := &house{t: t, files: map[string]string{}, shelf: s, now: noon}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.answer != nil {
			h.answer(w, r)
			return
		}
		text, ok := h.files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		tag := `"` + hash(text) + `"`
		if r.Header.Get("If-None-Match") != tag {
			h.asked = append(h.asked, r.URL.Path)
		}
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}))
	t.Cleanup(srv.Close)
	h.pool = x509.NewCertPool()
	h.pool.AddCert(srv.Certificate())
	h.url = srv.URL
	h.source = sources.Source{FeedSource: patching.FeedSource{Name: "feed"}, Private: true, Authorities: h.pool}
	return h
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// sync gathers and commits.
func (h *house) sync() (shelf.Judged, error) {
	h.t.Helper()
	ask, err := h.source.Ask()
	require.NoError(h.t, err)
	v := fetch.New(fetch.Options{Pause: time.Nanosecond, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}).Visit(ask)
	defer v.Close()
	d, err := h.shelf.Draft("feed", true)
	require.NoError(h.t, err)
	defer d.Close()
	h.asked, h.told = nil, nil
	g := gather.Gatherer{Source: h.source, Visitor: v, Draft: d, Now: h.now, Tell: func(p patching.FeedProgress) { h.told = append(h.told, p) }}
	if _, err := g.Gather(h.t.Context()); err != nil {
		return shelf.Judged{Kept: d.Kept}, err
	}
	return d.Commit(h.t.Context(), shelf.Terms{Now: h.now, Keys: h.source.Keys})
}

func (h *house) mustSync() shelf.Judged {
	h.t.Helper()
	j, err := h.sync()
	require.NoError(h.t, err)
	return j
}

// scores are a day's EPSS scores of so many flaws.
func scores(day, flaws int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#model_version:v2025.03.14,score_date:2026-11-%02dT12:00:00Z\ncve,epss,percentile\n", day)
	for n := range flaws {
		fmt.Fprintf(&b, "CVE-2026-%04d,0.5,0.5\n", n+1)
	}
	return b.String()
}

func TestOnlyWhatChangedIsBroughtAgain(t *testing.T) {
	h := newHouse(t)
	for _, p := range []string{"/a.csv", "/b.csv"} {
		h.files[p] = scores(10, 3)
		h.source.Documents = append(h.source.Documents, sources.Document{URL: h.url + p})
	}
	h.files["/b.csv"] = strings.ReplaceAll(scores(10, 3), "CVE-2026", "CVE-2025")
	j := h.mustSync()
	assert.True(t, j.New)
	assert.Equal(t, map[string]int{"risks": 6}, j.Kept.Edition.Records)
	assert.Equal(t, []string{"/a.csv", "/b.csv"}, h.asked)
	assert.Equal(t, patching.FeedProgress{Documents: 2, Of: 2, Bytes: int64(len(h.files["/a.csv"]) * 2), At: h.url + "/b.csv"}, h.told[len(h.told)-1])

	j = h.mustSync()
	assert.False(t, j.New)
	assert.Empty(t, h.asked)

	h.files["/a.csv"] = scores(11, 4)
	j = h.mustSync()
	assert.True(t, j.New)
	assert.Equal(t, []string{"/a.csv"}, h.asked)
	files, _, err := h.shelf.Read(t.Context(), "feed")
	require.NoError(t, err)
	assert.Len(t, advisories.Learn(files).Risks, 7)
}

func TestADocumentThatIsMissingLeavesTheEditionBefore(t *testing.T) {
	h := newHouse(t)
	for _, p := range []string{"/a.csv", "/b.csv"} {
		h.files[p] = scores(10, 3)
		h.source.Documents = append(h.source.Documents, sources.Document{URL: h.url + p})
	}
	before := h.mustSync()
	h.files["/a.csv"] = scores(11, 3)
	delete(h.files, "/b.csv")
	j, err := h.sync()
	require.ErrorIs(t, err, fetch.ErrGone)
	assert.Equal(t, before.Kept.Edition, j.Kept.Edition)
	assert.Equal(t, before.Kept.Edition, h.shelf.Kept("feed").Edition)
}

func TestTwoAddressesThatWouldBeKeptUnderOneNameAreRefused(t *testing.T) {
	h := newHouse(t)
	for _, p := range []string{"/a", "/a/"} {
		h.files[p] = scores(10, 3)
		h.source.Documents = append(h.source.Documents, sources.Document{URL: h.url + p})
	}
	_, err := h.sync()
	require.ErrorContains(t, err, "two documents would be kept as")
}

func TestTheNewestMonthMayNotBeThereYetAndEachOtherHasTo(t *testing.T) {
	h := newHouse(t)
	h.source.Documents = []sources.Document{{URL: h.url + "/{year}-{Mon}", From: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)}}
	h.files["/2026-Sep"], h.files["/2026-Oct"] = scores(1, 1), scores(2, 1)
	assert.Len(t, h.mustSync().Kept.Documents, 2)
	h.files["/2026-Nov"] = scores(3, 1)
	assert.Len(t, h.mustSync().Kept.Documents, 3)
	delete(h.files, "/2026-Oct")
	_, err := h.sync()
	require.ErrorIs(t, err, fetch.ErrGone)
}

// database answers as NVD's API 2.0 does.
type database struct {
	modified map[int]time.Time // by flaw
	score    map[int]float64
	asked    []url.Values
	lie      func(page map[string]any)
}

func (d *database) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	d.asked = append(d.asked, q)
	start, _ := strconv.Atoi(q.Get("startIndex"))
	var all []any
	for n := 1; n <= len(d.modified); n++ {
		if since := q.Get("lastModStartDate"); since != "" {
			from, err := time.Parse(time.RFC3339, since)
			until, err2 := time.Parse(time.RFC3339, q.Get("lastModEndDate"))
			if err != nil || err2 != nil || until.Sub(from) > 120*24*time.Hour {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			if d.modified[n].Before(from) || d.modified[n].After(until) {
				continue
			}
		}
		all = append(all, map[string]any{"cve": map[string]any{
			"id": fmt.Sprintf("CVE-2026-%04d", n), "vulnStatus": "Analyzed",
			"metrics": map[string]any{"cvssMetricV31": []any{map[string]any{"source": "nvd@nist.gov", "cvssData": map[string]any{
				"version": "3.1", "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "baseScore": d.score[n],
			}}}},
		}})
	}
	some := all[min(start, len(all)):min(start+2, len(all))]
	page := map[string]any{
		"resultsPerPage": len(some), "startIndex": start, "totalResults": len(all), "format": "NVD_CVE", "version": "2.0",
		"timestamp": "2026-11-20T00:00:00.000", "vulnerabilities": append([]any{}, some...),
	}
	if d.lie != nil {
		d.lie(page)
	}
	_ = json.NewEncoder(w).Encode(page)
}

func (h *house) database(flaws int) *database {
	d := &database{modified: map[int]time.Time{}, score: map[int]float64{}}
	for n := 1; n <= flaws; n++ {
		d.modified[n], d.score[n] = noon.AddDate(0, -6, 0), 9.8
	}
	h.answer = d.ServeHTTP
	h.source.Pages = h.url + "/cves?resultsPerPage=2&startIndex={start}"
	return d
}

func TestAllPagesAreBrought(t *testing.T) {
	h := newHouse(t)
	d := h.database(5)
	assert.Equal(t, map[string]int{"risks": 5}, h.mustSync().Kept.Edition.Records)
	assert.Len(t, d.asked, 3)
	assert.Equal(t, 3, h.told[len(h.told)-1].Of)
}

func TestAfterTheFirstTimeOnlyChangesAreAskedForAndTheNewestCounts(t *testing.T) {
	h := newHouse(t)
	d := h.database(5)
	h.source.Changes = "lastModStartDate={since}&lastModEndDate={until}"
	h.mustSync()
	scored := func(cve patching.CVE) float64 {
		files, _, err := h.shelf.Read(t.Context(), "feed")
		require.NoError(t, err)
		risks := advisories.Learn(files).Risks[cve]
		require.Len(t, risks, 1, "what was said before does not count beside it")
		return risks[0].CVSS[0].Score
	}
	h.now = h.now.Add(2 * time.Hour)
	j := h.mustSync()
	assert.False(t, j.New, "nothing changed")
	assert.Equal(t, h.now, j.Kept.Through)

	d.modified[2], d.score[2] = h.now.Add(time.Minute), 9.1
	d.modified[6], d.score[6] = h.now.Add(time.Minute), 7
	h.now = h.now.Add(2 * time.Hour)
	d.asked = nil
	j = h.mustSync()
	assert.True(t, j.New)
	assert.Equal(t, map[string]int{"risks": 6}, j.Kept.Edition.Records)
	require.Len(t, d.asked, 1)
	assert.Equal(t, "2026-11-20T13:00:00.000Z", d.asked[0].Get("lastModStartDate"), "an hour is asked for twice")
	assert.InDelta(t, 9.1, scored("CVE-2026-0002"), 0.01)
	assert.InDelta(t, 9.8, scored("CVE-2026-0001"), 0.01)

	for _, away := range []int{31, 200} { // too many changes to keep, and more than NVD takes at once
		h.now = h.now.AddDate(0, 0, away)
		d.asked = nil
		h.mustSync()
		assert.Len(t, d.asked, 3)
		assert.Empty(t, d.asked[0].Get("lastModStartDate"))
	}
	assert.InDelta(t, 9.1, scored("CVE-2026-0002"), 0.01)
}

func TestPagesThatDoNotFitTogetherAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(map[string]any)
		says string
	}{
		"another page than the one asked for": {func(p map[string]any) { p["startIndex"] = 0 }, "and sends record 0"},
		"a page of none":                      {func(p map[string]any) { p["resultsPerPage"], p["vulnerabilities"] = 0, []any{} }, "a page of none"},
		"no count":                            {func(p map[string]any) { delete(p, "totalResults") }, "are not all there"},
		"less than nothing":                   {func(p map[string]any) { p["resultsPerPage"] = -2 }, "is no number"},
		"a page that is cut":                  {func(p map[string]any) { p["vulnerabilities"] = []any{} }, "it was cut or changed"},
	} {
		h := newHouse(t)
		h.database(5).lie = c.lie
		_, err := h.sync()
		require.ErrorContains(t, err, c.says, name)
		var refused *shelf.Refused
		require.ErrorAs(t, err, &refused, name)
	}
}

// archive makes the house one of Debian packages, signed at that time.
func (h *house) archive(key *openpgp.Entity, made time.Time, packages string) {
	h.t.Helper()
	for path := range h.files {
		delete(h.files, path)
	}
	h.files["/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/"+hash(packages)] = packages
	text := fmt.Sprintf("Origin: Debian\nSuite: stable\nCodename: bookworm\nDate: %s\nValid-Until: %s\nAcquire-By-Hash: yes\nSHA256:\n %s %d main/binary-amd64/Packages\n",
		made.Format(time.RFC1123), made.AddDate(0, 0, 7).Format(time.RFC1123), hash(packages), len(packages))
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, key.PrivateKey, &packet.Config{DefaultHash: crypto.SHA256, Time: func() time.Time { return made }})
	require.NoError(h.t, err)
	_, err = w.Write([]byte(text))
	require.NoError(h.t, err)
	require.NoError(h.t, w.Close())
	h.files["/debian/dists/bookworm/InRelease"] = b.String() + "\n"
}

func newKey(t *testing.T) (*openpgp.Entity, string) {
	t.Helper()
	at := func() time.Time { return noon.AddDate(-1, 0, 0) }
	key, err := openpgp.NewEntity("Archive", "", "archive@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: at})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "archive.asc")
	f, err := os.Create(file)
	require.NoError(t, err)
	w, err := armor.Encode(f, openpgp.PublicKeyType, nil)
	require.NoError(t, err)
	require.NoError(t, key.Serialize(w))
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	return key, file
}

func stanza(version string) string {
	return "Package: openssl\nVersion: " + version + "\nArchitecture: amd64\nFilename: pool/openssl.deb\nSize: 1\nSHA256: " + hash("deb") + "\n\n"
}

// Serves L3.
func TestAnArchiveIsBroughtDownFromItsSignatureAndWhatIsNotSignedSoIsRefused(t *testing.T) {
	h := newHouse(t)
	key, file := newKey(t)
	c, err := sources.Parse("feeds.yaml", fmt.Appendf(nil, `
feeds:
  - {name: feed, owner: ana, url: %s/debian/, private: true, suites: [bookworm], components: [main], architectures: [amd64], keyring: %s}`, h.url, file))
	require.NoError(t, err)
	h.source = c.Feeds[0]
	h.source.Authorities = h.pool
	h.archive(key, noon.AddDate(0, 0, -1), stanza("3.0.15-1"))
	j := h.mustSync()
	assert.True(t, j.Kept.Edition.Signed)
	assert.Equal(t, map[string]int{"offers": 1}, j.Kept.Edition.Records)
	files, _, err := h.shelf.Read(t.Context(), "feed")
	require.NoError(t, err)
	offers := advisories.Learn(files).Offers
	require.Len(t, offers, 1)
	assert.Equal(t, "bookworm", offers[0].Suite)
	assert.True(t, offers[0].Signed)

	assert.False(t, h.mustSync().New)
	assert.Empty(t, h.asked, "nothing changed, so nothing was sent")

	refused := func(says string) {
		t.Helper()
		_, err := h.sync()
		var r *shelf.Refused
		require.ErrorAs(t, err, &r)
		require.ErrorContains(t, err, says)
		assert.Equal(t, j.Kept.Edition, h.shelf.Kept("feed").Edition)
	}
	other, _ := newKey(t)
	h.archive(other, noon, stanza("3.0.16-1"))
	refused("none of our keys has signed it")
	assert.Equal(t, []string{"/debian/dists/bookworm/InRelease"}, h.asked, "nothing that it names was asked for")

	h.archive(key, noon, stanza("3.0.16-1"))
	h.files["/debian/dists/bookworm/main/binary-amd64/by-hash/SHA256/"+hash(stanza("3.0.16-1"))] = stanza("6.6.6-1")
	refused("is not what the InRelease names")

	h.archive(key, noon.AddDate(0, 0, -2), stanza("3.0.14-1"))
	refused("before the one that is kept")

	h.archive(key, noon.AddDate(0, 0, -8), stanza("3.0.14-1"))
	refused("it has expired")

	h.archive(key, noon, stanza("3.0.16-1"))
	assert.True(t, h.mustSync().New)
}
