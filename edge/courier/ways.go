package courier

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/patchcycle/patchcycle/edge/uplink"
)

// ask asks one way after another: relays by preference, and the server at last. By is
// the way that answered. Whatever goes over the uplink may go twice.
func (c *Courier) ask(ctx context.Context, w http.ResponseWriter, r *http.Request, e errand) (resp *http.Response, by int, err error) {
	var body []byte
	if r.Method == http.MethodPost {
		if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, uplink.MaxRequest)); err != nil {
			return nil, 0, err
		}
	}
	for _, i := range c.ways.Order() {
		one, why := c.askOne(ctx, r, c.bases[i], body)
		if why == nil && !elsewhere(one, e) {
			shut(resp)
			c.ways.Worked(i)
			return one, i, nil
		}
		if errors.Is(ctx.Err(), context.Canceled) { // who asked went away: that is not the way's fault
			shut(one)
			return resp, by, errors.Join(why, ctx.Err())
		}
		if why != nil || !e.files {
			c.ways.Failed(i)
		}
		if why == nil { // an answer is better than none, and the latest the best
			shut(resp)
			resp, by = one, i
		} else {
			err = why
		}
		if ctx.Err() != nil {
			break
		}
	}
	if resp != nil {
		return resp, by, nil
	}
	return nil, by, err
}

func shut(resp *http.Response) {
	if resp != nil {
		resp.Body.Close()
	}
}

// elsewhere reports whether another way should be asked.
func elsewhere(resp *http.Response, e errand) bool {
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusInsufficientStorage, http.StatusInternalServerError:
		return e.files
	}
	return resp.Header.Get(uplink.OfflineHeader) != ""
}

func (c *Courier) askOne(ctx context.Context, r *http.Request, base string, body []byte) (*http.Response, error) {
	var reader io.Reader
	if r.Method == http.MethodPost {
		reader = bytes.NewReader(body)
	}
	out, err := http.NewRequestWithContext(ctx, r.Method, base+r.URL.EscapedPath(), reader)
	if err != nil {
		return nil, err
	}
	out.Header.Set("User-Agent", "patchcycle-agent")
	for _, name := range goOut {
		if v := r.Header.Get(name); v != "" {
			out.Header.Set(name, v)
		}
	}
	resp, err := c.http.Do(out)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 || resp.StatusCode >= 300 && resp.StatusCode < 400 && resp.StatusCode != http.StatusNotModified {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("it answers %s and wants us elsewhere, where we do not go", resp.Status)
	}
	return resp, nil
}

// paced bounds how fast packages come by another's line.
func (c *Courier) paced(ctx context.Context, by int, e errand, body io.Reader) io.Reader {
	if by == 0 || !e.files || c.pace == nil {
		return body
	}
	return readerFunc(func(p []byte) (int, error) {
		n, err := body.Read(p[:min(len(p), c.pace.Burst())])
		if n > 0 {
			if late := c.pace.WaitN(ctx, n); late != nil && err == nil {
				err = late
			}
		}
		return n, err
	})
}

type readerFunc func([]byte) (int, error)

// Read implements [io.Reader].
func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
