package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/store"
)

type auditInput struct {
	After int64 `query:"after" minimum:"0" doc:"Entries after this number."`
	Limit int   `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (s *server) addAudit(api huma.API) {
	handle(s, api, about("audit", "list-audit", http.MethodGet, "/audit", "Read the chain of decisions"), s.listAudit)
	handle(s, api, about("audit", "verify-audit", http.MethodGet, "/audit/verify", "Compute the chain of decisions anew"), s.verifyAudit)
}

func (s *server) listAudit(ctx context.Context, in *auditInput) (wire.AuditPage, error) {
	out := wire.AuditPage{Items: []wire.AuditEntry{}}
	all, err := s.Store.Audit(ctx, in.After, in.Limit+1)
	if len(all) > in.Limit {
		all = all[:in.Limit]
		out.Next = all[in.Limit-1].Seq
	}
	for _, e := range all {
		out.Items = append(out.Items, wire.AuditEntry{
			Seq: e.Seq, At: e.At, Actor: e.Actor, Verb: e.Verb, Subject: e.Subject, Body: e.Body, Prev: e.Prev, Hash: e.Hash,
		})
	}
	return out, err
}

func (s *server) verifyAudit(ctx context.Context, _ *struct{}) (wire.AuditCheck, error) {
	n, err := s.Store.VerifyAudit(ctx)
	switch {
	case errors.Is(err, store.ErrBrokenChain):
		return wire.AuditCheck{Entries: n, Words: fmt.Sprintf("The record was changed by other hands: %s.", err)}, nil
	case err != nil:
		return wire.AuditCheck{}, err
	}
	return wire.AuditCheck{OK: true, Entries: n, Words: fmt.Sprintf("All %d entries follow on each other.", n)}, nil
}
