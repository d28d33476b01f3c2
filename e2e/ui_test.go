package e2e_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves U2.
func provesPages(t *testing.T, h *house) {
	b := newBrowser(t)
	s := h.newSite(t, "pages", truth.Profile{Machines: 10}, nil)
	id := s.begin(t)
	c := h.await(t, id, patching.PhaseApproval)
	link, err := h.as(t, ben).EnterUI(t.Context())
	require.NoError(t, err)
	at, err := url.Parse(link.URL)
	require.NoError(t, err)
	site := "http://" + at.Host

	b.open(t, link.URL)
	b.see(t, "1-signed-in", "Workflows")
	b.open(t, site+"/namespaces/patchcycle/workflows?query="+url.QueryEscape(`PcPhase="approval" AND PcPolicy="pages"`))
	b.see(t, "2-found", string(id), "RUNNING", "1–1")

	page := site + "/namespaces/patchcycle/workflows/" + url.PathEscape(string(id))
	b.open(t, page)
	b.see(t, "3-timeline", string(id), "More Actions", "reminder of the approval, until", "ring test: 4 machines")
	at, err = url.Parse(b.location(t))
	require.NoError(t, err)
	run := strings.TrimSuffix(at.EscapedPath(), "/timeline")
	b.open(t, site+run+"/user-metadata")
	b.see(t, "4-words", "monthly cycle of policy pages", "Waiting for approval of plan", "by someone other than its author, ana",
		"An approver has to act by", "To approve: send the signal", "ring test, 4 machines")
	b.open(t, site+run+"/history?per-page=250")
	b.see(t, "5-history", "reminder of the approval, until", "close by, until", "keep the state: approval", "decide who gets what, when")
	b.open(t, site+run+"/search-attributes")
	b.see(t, "6-search-attributes", "PcPhase", "approval", "PcGate", "waiting-approval", "PcDeadline")

	// The link has worked; whoever finds it in a log is a stranger.
	stranger := newBrowser(t)
	stranger.open(t, link.URL)
	stranger.see(t, "7-stranger", "patchcycle engine ui")

	link, err = h.as(t, aud).EnterUI(t.Context())
	require.NoError(t, err)
	stranger.open(t, link.URL)
	stranger.open(t, page)
	stranger.see(t, "8-auditor", string(id))
	refused := stranger.signal(t, id, "approve", c.Plan)
	require.Contains(t, refused, "403")
	require.Contains(t, refused, "aud")
	require.Contains(t, b.signal(t, id, "approve", c.Plan), "200")
	h.await(t, id, patching.PhaseClosed)
	b.open(t, site+run+"/user-metadata")
	b.see(t, "9-closed", "COMPLETED", "Closed: successful")
	votes, err := h.Store.Approvals(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, votes, 1)
	require.Equal(t, ben, votes[0].Account)
	require.Equal(t, "signal", votes[0].Via)
}

// browser is a real one, with a profile of its own.
type browser struct {
	ctx   context.Context
	shots string
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	program := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil && program == "" {
			program = path
		}
	}
	if program == "" {
		require.NotEqual(t, "true", os.Getenv("CI"), "no browser: apt-get install chromium")
		t.Skip("needs a browser; the cure: apt-get install chromium")
	}
	b := &browser{shots: os.Getenv("E2E_SCREENSHOTS")}
	if b.shots == "" {
		b.shots = t.TempDir()
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1900, 1500),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-sync", true), chromedp.NoFirstRun)...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() { cancel(); stop() }) // before the profile's folder goes
	b.ctx = ctx
	require.NoError(t, chromedp.Do(ctx), "start %s", program)
	return b
}

// open opens a page. Where the last one was still about to move on by itself, it
// is tried again.
func (b *browser) open(t *testing.T, url string) {
	t.Helper()
	var err error
	for range 5 {
		if _, err = act(b, chromedp.Navigate(url)); err == nil || !strings.Contains(err.Error(), "ERR_ABORTED") {
			break
		}
		time.Sleep(time.Second)
	}
	require.NoError(t, err, "open %s", url)
}

func (b *browser) location(t *testing.T) string {
	t.Helper()
	at, err := act(b, chromedp.Location())
	require.NoError(t, err)
	return at
}

// signal sends a signal as the pages do, with the cookie of who signed in, and
// returns the answer's status and text.
func (b *browser) signal(t *testing.T, id patching.CycleID, name string, plan patching.Digest) string {
	t.Helper()
	payload := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"plan": %q}`, plan))
	body := fmt.Sprintf(`{"signalName": %q, "input": {"payloads": [{"metadata": {"encoding": %q}, "data": %q}]}}`,
		name, base64.StdEncoding.EncodeToString([]byte("json/plain")), payload)
	path := "/api/v1/namespaces/patchcycle/workflows/" + url.PathEscape(string(id)) + "/signal/" + name
	answer, err := act(b, chromedp.Evaluate[string](fmt.Sprintf(
		`fetch(%q, {method: "POST", headers: {"Content-Type": "application/json"}, body: %q}).then(async r => r.status + " " + await r.text())`, path, body),
		chromedp.EvalAwaitPromise))
	require.NoError(t, err)
	return answer
}

// act acts in the browser, for a minute at most.
func act[T any](b *browser, a chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute)
	defer cancel()
	return chromedp.Run(ctx, a)
}

// see waits until the page shows the words, and keeps a picture.
func (b *browser) see(t *testing.T, name string, words ...string) {
	t.Helper()
	end := time.Now().Add(30 * time.Second)
	for {
		page, err := act(b, chromedp.Evaluate[string](`[document.body?.innerText ?? "", ...[...document.querySelectorAll("svg text")].map(e => e.textContent), ...[...document.querySelectorAll("iframe")].map(f => (f.contentDocument?.body?.innerText ?? "") + "\n" + decodeURIComponent(f.src))].join("\n")`))
		require.NoError(t, err, name)
		missing := ""
		for _, w := range words {
			if !strings.Contains(page, w) {
				missing = w
			}
		}
		if missing == "" || time.Now().After(end) {
			picture, err := act(b, chromedp.FullScreenshot(100))
			require.NoError(t, err, name)
			require.NoError(t, os.WriteFile(filepath.Join(b.shots, name+".png"), picture, 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(b.shots, name+".txt"), []byte(page), 0o600))
			require.Empty(t, missing, "the page %s does not show it; it shows:\n%s", name, page)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}
