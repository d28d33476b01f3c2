package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/stall"
)

// Validators are what a server calls a state of a document.
type Validators struct {
	ETag     string `json:"etag,omitempty"`
	Modified string `json:"modified,omitempty"` // as it was written
}

// strong reports whether parts of two answers with that tag fit together.
func (v Validators) strong() bool { return v.ETag != "" && !strings.HasPrefix(v.ETag, "W/") }

// Got is what came.
type Got struct {
	Validators
	// Unchanged: the document is in the state that we had, and nothing was written.
	Unchanged bool
	// Bytes crossed the network.
	Bytes int64
}

// attempts at one document, of which each goes on where the one before broke off, if the
// server lets us.
const attempts = 5

// passing is a failure that may be over in a while.
type passing struct {
	error
	after time.Duration // 0: it does not say
}

func (p *passing) Unwrap() error { return p.error }

// Get writes the document at an address into a file, unless it is in the state that we
// have. When it returns an error, what came so far lies beside the file, and the next
// call goes on there.
func (v *Visitor) Get(ctx context.Context, at *url.URL, have Validators, file string) (got Got, err error) {
	if err := v.mayAsk(at); err != nil {
		return got, fmt.Errorf("%s: %w", at.Redacted(), err)
	}
	c := v.client
	ctx, cancel := context.WithTimeoutCause(ctx, c.Total, fmt.Errorf("it took more than %s", c.Total))
	defer cancel()
	h, end, err := c.turn(ctx, HostPort(at), v.source.Pause, v.insists)
	if err != nil {
		return got, fmt.Errorf("%s: %w", at, err)
	}
	defer end()
	for attempt := 1; ; attempt++ {
		bytes := got.Bytes
		got, err = v.try(ctx, at, have, file)
		got.Bytes += bytes
		if err == nil {
			return got, nil
		}
		var p *passing
		if !errors.As(err, &p) || attempt == attempts || ctx.Err() != nil {
			return got, fmt.Errorf("%s: %w", at, err)
		}
		pause := max(p.after, c.Pause<<(attempt-1), v.source.Pause)
		h.next = c.Now().Add(pause)
		if werr := c.until(ctx, HostPort(at), h.next); werr != nil {
			return got, fmt.Errorf("%s: %w; %w", at, err, werr)
		}
	}
}

// try asks once.
func (v *Visitor) try(ctx context.Context, at *url.URL, have Validators, file string) (got Got, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p, err := openPart(file, at.String())
	if err != nil {
		return got, err
	}
	defer p.close()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return got, err
	}
	v.ask(request, have, p)
	response, err := v.http.Do(request) //nolint:bodyclose // closed as the body that is watched
	if err != nil {
		return got, v.noAnswer(ctx, err)
	}
	body := stall.Watch(ctx, cancel, response.Body, at.Host, v.client.Idle)
	defer body.Close()
	switch response.StatusCode {
	case http.StatusNotModified:
		if have == (Validators{}) || p.size > 0 {
			return got, errors.New("it answers that nothing changed, and was not asked that")
		}
		return Got{Validators: have, Unchanged: true}, nil
	case http.StatusPartialContent:
		if err := p.fits(response.Header); err != nil {
			return got, errors.Join(&passing{error: err}, p.drop())
		}
	case http.StatusOK:
		if err := p.restart(Validators{response.Header.Get("ETag"), response.Header.Get("Last-Modified")}); err != nil {
			return got, err
		}
	default:
		if response.StatusCode == http.StatusRequestedRangeNotSatisfiable {
			return got, errors.Join(&passing{error: errors.New("what it has is shorter than what came of it before")}, p.drop())
		}
		return got, v.refusal(response)
	}
	return v.keep(ctx, p, response, body)
}

func (v *Visitor) ask(r *http.Request, have Validators, p *part) {
	r.Header.Set("User-Agent", v.client.Agent)
	if v.source.Header != "" {
		r.Header.Set(v.source.Header, string(v.source.Key))
	}
	switch {
	case p.size > 0:
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", p.size))
		r.Header.Set("If-Range", p.ETag)
	case have.ETag != "":
		r.Header.Set("If-None-Match", have.ETag)
	case have.Modified != "":
		r.Header.Set("If-Modified-Since", have.Modified)
	}
}

// keep writes what comes behind what has come before.
func (v *Visitor) keep(ctx context.Context, p *part, response *http.Response, body io.Reader) (Got, error) {
	room := v.client.Size - p.size
	if response.ContentLength > room {
		return Got{}, errors.Join(v.tooLarge(), p.drop())
	}
	n, err := io.Copy(p.file, io.LimitReader(body, room+1))
	got := Got{Validators: p.Validators, Bytes: n}
	switch {
	case n > room:
		return got, errors.Join(v.tooLarge(), p.drop())
	case err != nil && ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		return got, &passing{error: err}
	case err != nil:
		return got, &passing{error: fmt.Errorf("it broke off after %d bytes: %w", p.size+n, err)}
	}
	return got, p.finish()
}

func (v *Visitor) tooLarge() error {
	return fmt.Errorf("it has more than %d bytes", v.client.Size)
}

// noAnswer sorts why there was none.
func (v *Visitor) noAnswer(ctx context.Context, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the address is said already
	}
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, errForbidden):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &certificate):
		return err // waiting mends no certificate
	}
	return &passing{error: err}
}

// refusal is an answer that is no document.
func (v *Visitor) refusal(r *http.Response) error {
	err := fmt.Errorf("it answers %.60q", r.Status)
	switch r.StatusCode {
	case http.StatusNotFound, http.StatusGone:
		return fmt.Errorf("%w: %w", ErrGone, err)
	case http.StatusUnauthorized, http.StatusForbidden:
		if v.source.Header == "" {
			return fmt.Errorf("%w; does it want a key?", err)
		}
		return fmt.Errorf("%w; is the key in the key file the right one?", err)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &passing{error: err, after: retryAfter(r.Header.Get("Retry-After"), v.client.Now())}
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusRequestTimeout:
		return &passing{error: err}
	}
	return err
}

// maxRetryAfter bounds what a host can ask for: it may delay us, not silence all feeds of
// it for years.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads seconds or a date: RFC 9110, section 10.2.3.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(0, at.Sub(now)), maxRetryAfter)
}
