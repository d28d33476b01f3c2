package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/stall"
)

// upstream reads from archives: from the configured hosts and no others.
type upstream struct {
	client *http.Client
	// stall is how long an archive may send nothing.
	stall time.Duration
}

// errGone: the archive answers that it has no such file.
var errGone = errors.New("the archive no longer has it")

func newUpstream(stall time.Duration) *upstream {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = stall
	transport.MaxResponseHeaderBytes = 64 << 10
	// Bytes are wanted as they were signed, not as they were packed on the way.
	transport.DisableCompression = true
	return &upstream{stall: stall, client: &http.Client{Transport: transport, CheckRedirect: sameHost}}
}

// sameHost refuses to be sent anywhere that nobody configured: a mirror inside
// the network would fetch from there on behalf of whoever sent it.
func sameHost(next *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > 5:
		return errors.New("redirected more than five times")
	case !strings.EqualFold(next.URL.Host, first.Host) && !upgraded(first, next.URL):
		return fmt.Errorf("it redirects to the host %q, which is not configured: write the address that it sends to into the list of repositories, if you trust it", next.URL.Host)
	case first.Scheme == "https" && next.URL.Scheme != "https":
		return errors.New("it redirects from https to http")
	}
	return nil
}

// upgraded: the same host's usual door for https in the place of that for http.
func upgraded(first, next *url.URL) bool {
	usual := (first.Port() == "" || first.Port() == "80") && (next.Port() == "" || next.Port() == "443")
	return usual && first.Scheme == "http" && next.Scheme == "https" && strings.EqualFold(first.Hostname(), next.Hostname())
}

// open returns a file of an archive. It is read until ctx ends, and as long as
// something comes.
func (u *upstream) open(ctx context.Context, base *url.URL, path string) (io.ReadCloser, error) {
	if base.Scheme == "file" {
		return openBelow(base.Path, path)
	}
	// Not JoinPath, which would read a percent sign in a file's name.
	at := *base
	at.Path, at.RawPath = base.Path+"/"+path, ""
	ctx, cancel := context.WithCancelCause(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	request.Header.Set("User-Agent", "patchcycle-depot")
	response, err := u.client.Do(request)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		cancel(nil)
		if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusGone {
			return nil, fmt.Errorf("%w (%s)", errGone, response.Status)
		}
		return nil, fmt.Errorf("the archive answers %s", response.Status)
	}
	return stall.Watch(ctx, cancel, response.Body, "the archive", u.stall), nil
}

// openBelow opens a file of a local archive; links that lead out of it are refused.
func openBelow(dir, path string) (io.ReadCloser, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f, err := root.Open(path)
	_ = root.Close() // it was only looked through
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	return f, err
}
