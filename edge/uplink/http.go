package uplink

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// worthwhile is the size from which a body is compressed: package lists shrink
// to a fifth, receipts are too small to gain.
const worthwhile = 4 << 10

// zippers are kept because a gzip writer holds about 800 kB.
var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level is valid
	return z
}}

func compress(body []byte) (out []byte, zipped bool) {
	if len(body) < worthwhile {
		return body, false
	}
	var b bytes.Buffer
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(&b)
	if _, err := z.Write(body); err != nil {
		return body, false
	}
	if err := z.Close(); err != nil {
		return body, false
	}
	return b.Bytes(), true
}

// ReadRequest reads the JSON body of a request of the protocol into v, for
// servers and relays. It bounds the bytes on the wire and, so that a small
// request cannot become a large one, those after decompression. The error is an
// [*Error] with the status to answer.
func ReadRequest(w http.ResponseWriter, r *http.Request, v any) error {
	var body io.Reader = http.MaxBytesReader(w, r.Body, MaxRequest)
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return bad(err)
		}
		z.Multistream(false)
		body = z
	default:
		return &Error{Status: http.StatusUnsupportedMediaType, Words: "Content-Encoding: gzip or none"}
	}
	text, err := io.ReadAll(io.LimitReader(body, MaxRequest+1))
	if err != nil {
		return bad(err)
	}
	if len(text) > MaxRequest {
		return tooLarge()
	}
	if err := json.Unmarshal(text, v); err != nil {
		return bad(err)
	}
	return nil
}

func bad(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return tooLarge()
	}
	return &Error{Status: http.StatusBadRequest, Words: "read the request: " + err.Error()}
}

func tooLarge() error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Words: fmt.Sprintf("at most %d bytes go into one request", MaxRequest)}
}

// WriteJSON answers with v, compressed where the asker takes it and it is worth
// it. An answer that cannot be written is the asker's loss: it asks again.
func WriteJSON(w http.ResponseWriter, r *http.Request, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		WriteError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	writeBody(w, r, text)
}

// WriteText answers with a content's text.
func WriteText(w http.ResponseWriter, r *http.Request, text []byte) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	writeBody(w, r, text)
}

func writeBody(w http.ResponseWriter, r *http.Request, text []byte) {
	if acceptsGzip(r) {
		out, zipped := compress(text)
		if zipped {
			w.Header().Set("Content-Encoding", "gzip")
		}
		text = out
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text)
}

// acceptsGzip knows the one spelling that our client sends; any other asker
// gets plain text.
func acceptsGzip(r *http.Request) bool { return r.Header.Get("Accept-Encoding") == "gzip" }

// WriteError answers with an error: an [*Error] with its own status and
// patience, anything else as a fault of the server without particulars.
func WriteError(w http.ResponseWriter, err error) {
	e := &Error{Status: http.StatusInternalServerError, Words: "the server failed; try again"}
	errors.As(err, &e)
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(Problem{Error: e.Words})
}

// TooMany refuses a request that holds more than the protocol lets into one.
func TooMany(n int, what string, most int, request string) *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Words: fmt.Sprintf("%d %s, at most %d go into one %s", n, what, most, request)}
}
