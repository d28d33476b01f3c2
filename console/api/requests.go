package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Keyed is the header by which an act that is repeated counts once.
type Keyed struct {
	Key string `header:"Idempotency-Key" maxLength:"200" doc:"Names the act. Sent again with the same key after a lost answer, it counts once. None: the server makes one."`
}

// record puts an act on record before it is done, so that what a cycle acts
// upon can always be traced to whom the API authenticated. The id comes from
// account and key: nobody can name another's act. again says that it was on
// record before.
func (s *server) record(ctx context.Context, key string, r store.Request) (id string, again bool, err error) {
	who := account(ctx)
	if key == "" {
		key = rand.Text()
	}
	sum := patching.DigestOf([]byte("request v1\n" + string(who.Name) + "\n" + key))
	r.ID = "r-" + strings.TrimPrefix(string(sum), "sha256:")[:32]
	r.Account, r.At = who.Name, s.Now().UTC()
	if _, err := s.Store.Request(ctx, r.ID); err == nil {
		again = true
	} else if !errors.Is(err, store.ErrNotFound) {
		return "", false, err
	}
	if err := s.Store.PutRequest(ctx, r); err != nil {
		return "", false, err
	}
	// What stands there now may be another's that came first with the same key.
	is, err := s.Store.Request(ctx, r.ID)
	if err != nil {
		return "", false, err
	}
	if is.Verb != r.Verb || is.Cycle != r.Cycle || is.Plan != r.Plan || is.Body != r.Body || is.Reason != r.Reason {
		return "", again, &wire.Problem{
			Status: http.StatusConflict, Code: wire.CodeKeyReused,
			Detail: fmt.Sprintf("The key names another act of yours: %s of %s.", is.Verb, is.At.Format("2006-01-02 15:04 MST")),
			WayOut: "Take a new key for a new act.",
		}
	}
	return r.ID, again, nil
}

// body is what else of an act goes on record.
func body(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return hex.EncodeToString([]byte(err.Error())) // wire shapes always marshal
	}
	return string(text)
}

// change puts on record what somebody changes, then does it, and says so if it
// could not be done.
func (s *server) change(ctx context.Context, verb, subject, words string, do func() error) error {
	if err := s.note(ctx, verb, subject, words); err != nil {
		return err
	}
	err := do()
	if err != nil {
		err = errors.Join(err, s.note(context.WithoutCancel(ctx), verb+" failed", subject, words+": "+err.Error()))
	}
	return err
}

// note appends what somebody did to the chain of decisions.
func (s *server) note(ctx context.Context, verb, subject, words string) error {
	_, err := s.Store.AppendAudit(ctx, patching.AuditEntry{
		At: s.Now().UTC(), Actor: string(account(ctx).Name), Verb: verb, Subject: subject, Body: words,
	})
	return err
}
