// Package gate stands before the embedded engine: it knows who calls, decides
// what a caller may do, and lets people into the workflow UI as themselves.
//
// It works on plain values and does not link the engine, so that the CLI can
// use its tokens and its tests take milliseconds.
package gate

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"strings"
)

// NewToken returns a random bearer token of 260 bits in letters and digits.
func NewToken() string { return rand.Text() + rand.Text() }

// Hash is what is kept of a token. Tokens are random, so a plain hash does.
func Hash(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// Bearer sends a token with every call of a Temporal SDK client: set it as
// client.Options.HeadersProvider. (API key credentials would switch the
// connection to TLS, which the loopback address does not speak.)
type Bearer string

// GetHeaders implements the SDK's HeadersProvider.
func (b Bearer) GetHeaders(context.Context) (map[string]string, error) {
	return map[string]string{"authorization": b.header()}, nil
}

// String hides the token from logs.
func (b Bearer) String() string { return "Bearer (hidden)" }

// GoString hides the token from logs.
func (b Bearer) GoString() string { return b.String() }

func (b Bearer) header() string { return "Bearer " + string(b) }

// credential returns the token of an authorization header; empty if there is
// none, ok false if the header carries something else than a bearer token.
func credential(header string) (token string, ok bool) {
	if header == "" {
		return "", true
	}
	scheme, token, _ := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "bearer") && token != ""
}
