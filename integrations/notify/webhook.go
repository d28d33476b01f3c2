package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching/notice"
)

// Webhook posts messages to a program. It keeps to the Standard Webhooks
// (standardwebhooks.com), for which there are libraries that verify what they get.
type Webhook struct {
	Name string
	URL  *url.URL
	// Roots are who may vouch for its certificate; nil: whoever the system trusts.
	Roots *x509.CertPool
	// Secret signs; both sides know it.
	Secret []byte
	// Now is the clock: receivers refuse what was signed long ago.
	Now func() time.Time
}

var _ Channel = Webhook{}

// Payload is what is posted.
type Payload struct {
	// Type is always "patchcycle.notices".
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	// Data is the message, Subject and Text the same as people read it in a mail.
	Data    notice.Digest `json:"data"`
	Subject string        `json:"subject"`
	Text    string        `json:"text"`
}

// The headers of the Standard Webhooks. The id is the same each time that a message
// is sent: whoever has seen it has got it.
const (
	HeaderID        = "webhook-id"
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

// Words names the webhook and its host; a path may be as good as a password.
func (w Webhook) Words() string { return fmt.Sprintf("webhook %s at %s", w.Name, w.URL.Host) }

// maxReply is how much of an answer is looked at.
const maxReply = 64 << 10

// Send posts the message. Only an answer of 2xx means that it was taken; one that
// leads elsewhere is not followed.
func (w Webhook) Send(ctx context.Context, d notice.Digest) error {
	body, err := json.Marshal(Payload{Type: "patchcycle.notices", Timestamp: d.Made, Data: d, Subject: d.Subject(), Text: d.Text()})
	if err != nil {
		return fmt.Errorf("%s: %w", w.Words(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: the address cannot be used", w.Words())
	}
	now := w.Now()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "patchcycle")
	request.Header.Set(HeaderID, string(d.ID))
	request.Header.Set(HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	request.Header.Set(HeaderSignature, Sign(w.Secret, string(d.ID), now, body))
	answer, err := w.client().Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", w.Words(), withoutURL(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode/100 == 2 {
		return nil
	}
	words := ""
	if text, err := unpack.ReadAtMost(answer.Body, maxReply); err == nil {
		words = ": " + notice.Line(string(text))
	}
	return fmt.Errorf("%s: it answers %d %s%s", w.Words(), answer.StatusCode, http.StatusText(answer.StatusCode), words)
}

// client has a transport of its own, closed after each message: hours lie between two,
// and no proxy of the environment is to see what was not addressed to it.
func (w Webhook) client() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: w.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxReply, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// withoutURL takes the address out of an error: a path may be as good as a password,
// and errors are shown to whoever may read the record.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// Sign returns the signature of a body that is sent under an id at a time.
func Sign(secret []byte, id string, at time.Time, body []byte) string {
	sum := hmac.New(sha256.New, secret)
	fmt.Fprintf(sum, "%s.%d.", id, at.Unix())
	sum.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(sum.Sum(nil))
}
