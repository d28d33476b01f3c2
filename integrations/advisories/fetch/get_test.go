package fetch_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
)

// page is a document with a strong validator that is served in ranges.
var page = strings.Repeat("0123456789", 10_000)

const tag = `"v1"`

func servePage(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", tag)
	http.ServeContent(w, r, "feed.json", time.Time{}, strings.NewReader(page))
}

// cut answers, and hangs up after so many bytes of the body.
func cut(w http.ResponseWriter, after int, headers string, text string) {
	line, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer line.Close()
	fmt.Fprintf(line, "HTTP/1.1 %s\r\n\r\n%s", headers, text[:after])
}

func TestADocumentThatDidNotChangeIsNotBroughtAgain(t *testing.T) {
	h := newHouse(t, servePage)
	got, err := h.get(fetch.Validators{})
	require.NoError(t, err)
	h.has(page)
	assert.Equal(t, fetch.Got{Validators: fetch.Validators{ETag: tag}, Bytes: int64(len(page))}, got)
	require.NoError(t, os.Remove(h.file))
	again, err := h.get(got.Validators)
	require.NoError(t, err)
	assert.Equal(t, fetch.Got{Validators: got.Validators, Unchanged: true}, again)
	assert.NoFileExists(t, h.file)
	assert.Equal(t, tag, h.asked[1].Header.Get("If-None-Match"))
}

func TestADateServesWhereThereIsNoTag(t *testing.T) {
	h := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "feed.json", time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), strings.NewReader(page))
	})
	got, err := h.get(fetch.Validators{})
	require.NoError(t, err)
	assert.Equal(t, "Fri, 20 Nov 2026 00:00:00 GMT", got.Modified)
	got, err = h.get(got.Validators)
	require.NoError(t, err)
	assert.True(t, got.Unchanged)
}

func TestAnAnswerThatNothingChangedIsWorthNothingUnasked(t *testing.T) {
	h := newHouse(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	_, err := h.get(fetch.Validators{})
	require.ErrorContains(t, err, "was not asked that")
}

func TestADownloadThatWasCutGoesOnWhereItStopped(t *testing.T) {
	var n atomic.Int32
	h := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			cut(w, 60_000, fmt.Sprintf("200 OK\r\nETag: %s\r\nContent-Length: %d", tag, len(page)), page)
			return
		}
		servePage(w, r)
	})
	h.client.Pause = time.Second
	got, err := h.get(fetch.Validators{})
	require.NoError(t, err)
	h.has(page)
	assert.Equal(t, int64(len(page)), got.Bytes, "nothing came twice")
	assert.Equal(t, "bytes=60000-", h.asked[1].Header.Get("Range"))
	assert.Equal(t, tag, h.asked[1].Header.Get("If-Range"))
	assert.NotEmpty(t, h.waits)
}

func TestADownloadThatOutlivesTheServerGoesOnToo(t *testing.T) {
	up := atomic.Bool{}
	h := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if !up.Load() {
			cut(w, 60_000, fmt.Sprintf("200 OK\r\nETag: %s\r\nContent-Length: %d", tag, len(page)), page)
			return
		}
		servePage(w, r)
	})
	broken, stop := context.WithCancel(t.Context())
	h.client.Wait = func(context.Context, time.Duration) error { stop(); return broken.Err() }
	_, err := h.get(fetch.Validators{})
	require.ErrorContains(t, err, "it broke off after 60000 bytes")
	up.Store(true)
	got, err := h.get(fetch.Validators{ETag: `"v0"`})
	require.NoError(t, err)
	h.has(page)
	assert.EqualValues(t, len(page)-60_000, got.Bytes)
}

// What comes of a wrong join looks whole.
func TestPartsThatMayNotFitTogetherAreBroughtAnew(t *testing.T) {
	whole := fmt.Sprintf("200 OK\r\nContent-Length: %d", len(page))
	for name, c := range map[string]struct {
		first string
		then  http.HandlerFunc
	}{
		"a weak tag":          {whole + "\r\nETag: W/" + tag, servePage},
		"no tag":              {whole, servePage},
		"another state since": {whole + "\r\nETag: \"v0\"", servePage},
		"a range that was not asked for": {whole + "\r\nETag: " + tag, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				servePage(w, r)
				return
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(page)-1, len(page)))
			w.Header().Set("ETag", tag)
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, page)
		}},
		"the rest of another state": {whole + "\r\nETag: " + tag, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				servePage(w, r)
				return
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 60000-%d/%d", len(page)-1, len(page)))
			w.Header().Set("ETag", `"v2"`)
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, strings.Repeat("x", len(page)-60_000))
		}},
		"a part longer than the whole": {whole + "\r\nETag: " + tag, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Range") == "" {
				servePage(w, r)
				return
			}
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		}},
	} {
		var n atomic.Int32
		h := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) == 1 {
				cut(w, 60_000, c.first, page)
				return
			}
			c.then(w, r)
		})
		_, err := h.get(fetch.Validators{})
		require.NoError(t, err, name)
		h.has(page)
	}
}

func TestADocumentIsBoundedWhateverItSaysOfItsLength(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"it says so": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, page) },
		"it does not say": func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			fmt.Fprint(w, page)
		},
	} {
		h := newHouse(t, answer)
		h.client.Size = int64(len(page)) - 1
		_, err := h.get(fetch.Validators{})
		require.ErrorContains(t, err, "it has more than 99999 bytes", name)
		assert.Empty(t, h.waits, name)
		assert.NoFileExists(t, h.file)
		info, err := os.Stat(h.file + ".part")
		require.NoError(t, err)
		assert.Zero(t, info.Size(), "%s: what is too large is not kept", name)
	}
	h := newHouse(t, func(w http.ResponseWriter, _ *http.Request) {
		cut(w, 100, "200 OK\r\nContent-Length: 4611686018427387904", page)
	})
	_, err := h.get(fetch.Validators{})
	require.ErrorContains(t, err, "it has more than", "it lies")
	h = newHouse(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Pad", strings.Repeat("x", 1<<17))
		fmt.Fprint(w, page)
	})
	_, err = h.get(fetch.Validators{})
	require.Error(t, err, "headers without an end")
}

func TestAHostThatIsBusyIsAskedAgainWhenItSays(t *testing.T) {
	var n atomic.Int32
	h := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) {
		case 1:
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.Header().Set("Retry-After", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			servePage(w, r)
		}
	})
	h.client.Pause = time.Second
	_, err := h.get(fetch.Validators{})
	require.NoError(t, err)
	h.has(page)
	require.Len(t, h.waits, 2)
	assert.InDelta(t, 7*time.Second, h.waits[0], float64(time.Second))
	assert.InDelta(t, time.Minute, h.waits[1], float64(5*time.Second))
}

func TestAHostThatStaysBusyIsAskedAFewTimesLessAndLessOften(t *testing.T) {
	h := newHouse(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	h.client.Pause = time.Second
	_, err := h.get(fetch.Validators{})
	require.ErrorContains(t, err, "503 Service Unavailable")
	assert.Len(t, h.asked, 5)
	require.Len(t, h.waits, 4)
	assert.Greater(t, h.waits[3], 5*h.waits[0])
}

// Serves Q13.
func TestAHostThatWantsToBeLeftAloneIsNotAskedAgainBefore(t *testing.T) {
	h := newHouse(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	v := fetch.New(h.client).Visit(h.source)
	defer v.Close()
	for range 3 {
		_, err := v.Get(t.Context(), h.url("/feed.json"), fetch.Validators{}, h.file)
		require.ErrorContains(t, err, "wants to be left alone until")
	}
	assert.Len(t, h.asked, 1)
	assert.Empty(t, h.waits)
}

// Serves Q13.
func TestAHostCanSilenceUsForADayAtTheMost(t *testing.T) {
	for name, want := range map[string]string{
		"seconds": "2000000000", "more seconds than can be counted": "99999999999999999999999", "a date": "Fri, 31 Dec 9999 23:59:59 GMT",
	} {
		t.Run(name, func(t *testing.T) {
			var busy atomic.Bool
			busy.Store(true)
			h := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
				if !busy.Load() {
					servePage(w, r)
					return
				}
				w.Header().Set("Retry-After", want)
				w.WriteHeader(http.StatusServiceUnavailable)
			})
			now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
			h.client.Now = func() time.Time { return now }
			v := fetch.New(h.client).Visit(h.source)
			defer v.Close()
			get := func() error {
				_, err := v.Get(t.Context(), h.url("/feed.json"), fetch.Validators{}, h.file)
				return err
			}
			require.ErrorContains(t, get(), "left alone until 21 Nov 2026 12:00 UTC")
			busy.Store(false)
			now = now.Add(23 * time.Hour)
			require.ErrorContains(t, get(), "left alone")
			assert.Len(t, h.asked, 1)
			now = now.Add(time.Hour)
			require.NoError(t, get())
		})
	}
}

// Serves Q13.
func TestAPersonMayAskAHostOnceThatWantsToBeLeftAlone(t *testing.T) {
	var busy atomic.Bool
	busy.Store(true)
	h := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if !busy.Load() {
			servePage(w, r)
			return
		}
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	c := fetch.New(h.client)
	get := func(insist bool) error {
		v := c.Visit(h.source)
		defer v.Close()
		if insist {
			v.Insist()
		}
		_, err := v.Get(t.Context(), h.url("/feed.json"), fetch.Validators{}, h.file)
		return err
	}
	for range 3 { // the first comes to it, the second insists, the third did already
		require.ErrorContains(t, get(true), "wants to be left alone until")
	}
	assert.Len(t, h.asked, 2)

	c = fetch.New(h.client)
	busy.Store(true)
	require.Error(t, get(false))
	busy.Store(false)
	require.ErrorContains(t, get(false), "wants to be left alone until", "the schedule waits")
	require.NoError(t, get(true))
	require.NoError(t, get(false), "it answers again: nobody has to wait")
}

func TestAHostThatSendsNothingOrDropsIsGivenUp(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	h := newHouse(t, hang)
	h.client.Idle = 50 * time.Millisecond
	_, err := h.get(fetch.Validators{})
	require.ErrorContains(t, err, "sent nothing for 50ms")
	h = newHouse(t, func(w http.ResponseWriter, r *http.Request) {
		for range 10_000 { // a byte now and then, for longer than anyone waits
			fmt.Fprint(w, "x")
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	h.client.Total = 300 * time.Millisecond
	_, err = h.get(fetch.Validators{})
	require.ErrorContains(t, err, "it took more than 300ms")
}

func TestOnlyOneRequestAtATimeGoesToAHost(t *testing.T) {
	var now, most atomic.Int32
	h := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		time.Sleep(5 * time.Millisecond)
		servePage(w, r)
	})
	h.client.Wait = func(context.Context, time.Duration) error { return nil }
	c := fetch.New(h.client)
	done := make(chan error)
	for i := range 8 {
		go func() {
			v := c.Visit(h.source) // another feed of the same host
			defer v.Close()
			_, err := v.Get(t.Context(), h.url("/feed.json"), fetch.Validators{}, fmt.Sprint(h.file, i))
			done <- err
		}()
	}
	for range 8 {
		require.NoError(t, <-done)
	}
	assert.EqualValues(t, 1, most.Load())
}

func TestADocumentThatIsNotThereIsToldApart(t *testing.T) {
	h := newHouse(t, http.NotFound)
	_, err := h.get(fetch.Validators{})
	require.ErrorIs(t, err, fetch.ErrGone)
	assert.Len(t, h.asked, 1)
}

func TestAHostThatIsDownIsAnErrorThatNamesIt(t *testing.T) {
	h := newHouse(t, servePage)
	at := h.url("/feed.json")
	h.server.Close()
	_, err := h.getFrom(at, fetch.Validators{})
	var op *net.OpError
	require.ErrorAs(t, err, &op)
	require.ErrorContains(t, err, at.String())
}
