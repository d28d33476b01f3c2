package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// limit bounds the time of a request.
func (s *server) limit(c huma.Context, next func(huma.Context)) {
	within := answerIn
	switch c.Operation().OperationID {
	case "watch-cycle":
		within += watchAtMax
	case "import-feed":
		within = importIn
	case "import-assets":
		within += importAtMost
	}
	ctx, cancel := context.WithTimeout(c.Context(), within)
	defer cancel()
	next(huma.WithContext(c, ctx))
}

type (
	accountKey struct{}
	tokenKey   struct{}
)

// account returns who asks.
func account(ctx context.Context) patching.Account {
	a, _ := ctx.Value(accountKey{}).(patching.Account)
	return a
}

// admit finds out who asks, by the bearer token, and lets pass what the table
// allows. It runs before anything of the request but its path is read.
func (s *server) admit(c huma.Context, next func(huma.Context)) {
	id := c.Operation().OperationID
	if id == "get-health" {
		next(c)
		return
	}
	who, token, problem := s.authenticate(c)
	if problem != nil {
		_, w := unwrap(c)
		w.Header().Set("WWW-Authenticate", "Bearer")
		write(w, problem)
		return
	}
	words := "nobody may do that." // for an operation without a row
	if rule, ok := s.rules[id]; ok {
		words = rule.refuse(who, patching.PolicyName(c.Param("policy")))
	}
	if words != "" {
		s.noteRefused(c, who, words)
		_, w := unwrap(c)
		write(w, notAllowed(words))
		return
	}
	next(huma.WithValue(huma.WithValue(c, accountKey{}, who), tokenKey{}, token))
}

func (s *server) authenticate(c huma.Context) (who patching.Account, token string, problem *wire.Problem) {
	scheme, token, _ := strings.Cut(c.Header("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "bearer") || token == "" {
		return who, "", &wire.Problem{
			Status: http.StatusUnauthorized, Code: wire.CodeUnknown, Detail: "The request carries no token.",
			WayOut: "Send \"Authorization: Bearer <token>\". An administrator makes tokens with: patchcycle user add.",
		}
	}
	who, err := s.Store.AccountByToken(c.Context(), patching.DigestOf([]byte(token)))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return who, "", &wire.Problem{
			Status: http.StatusUnauthorized, Code: wire.CodeUnknown, Detail: "Nobody has that token, or it was revoked.",
			WayOut: "An administrator makes tokens with: patchcycle user add.",
		}
	case err != nil:
		return who, "", s.explain(c.Context(), c.Operation().OperationID, err)
	}
	return who, token, nil
}

// noteRefused puts on record that somebody tried a verb that they may not do:
// it does not get as far as the cycle, which records the others.
func (s *server) noteRefused(c huma.Context, who patching.Account, words string) {
	verb, isCycle := strings.CutSuffix(c.Operation().OperationID, "-cycle")
	if _, known := contract.RuleOf(contract.Verb(verb)); known && isCycle {
		s.recordRefused(c.Context(), who, verb, c.Param("kind")+"/"+c.Param("policy")+"/"+c.Param("run"), words)
	}
}

func (s *server) recordRefused(ctx context.Context, who patching.Account, verb, subject, words string) {
	_, err := s.Store.AppendAudit(ctx, patching.AuditEntry{
		At: s.Now().UTC(), Actor: string(who.Name), Verb: verb, Subject: subject, Body: "refused by the API: " + words,
	})
	if err != nil {
		s.Logger.Error("a refused act could not be put on record", zap.String("account", string(who.Name)), zap.Error(err))
	}
}
