package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
)

type advisoryInput struct {
	Advisory patching.AdvisoryID `path:"advisory" maxLength:"100"`
}

type addAdvisoriesInput struct {
	File    string `query:"file" maxLength:"300" doc:"The file's name, for messages."`
	RawBody []byte `contentType:"application/yaml"`
}

type withdrawInput struct {
	Advisory patching.AdvisoryID `path:"advisory" maxLength:"100"`
	Body     wire.Because
}

func (s *server) addHandAdvisories(api huma.API) {
	handle(s, api, about("advisories", "list-advisories", http.MethodGet, "/advisories", "List the advisories that were entered by hand"), s.listAdvisories)
	handle(s, api, about("advisories", "get-advisory", http.MethodGet, "/advisories/{advisory}", "Show an advisory that was entered by hand, and its past"), s.getAdvisory)
	op := about("advisories", "add-advisories", http.MethodPost, "/advisories", "Enter advisories by hand")
	op.Description = "The document is taken as a whole or not at all; docs/advisories.md describes it. An advisory of the same id is replaced, and stays on record."
	op.MaxBodyBytes = maxPolicy
	handle(s, api, op, s.enterAdvisories)
	handle(s, api, about("advisories", "withdraw-advisory", http.MethodPost, "/advisories/{advisory}/withdraw", "Take back an advisory that was entered by hand"), s.withdrawAdvisory)
}

func (s *server) listAdvisories(ctx context.Context, in *decisionsInput) (wire.Advisories, error) {
	out := wire.Advisories{Items: []wire.Advisory{}}
	all, err := s.Store.HandAdvisories(ctx)
	for _, a := range all {
		if in.All || a.Withdrawn.IsZero() {
			out.Items = append(out.Items, advisoryShape(a))
		}
	}
	return out, err
}

func (s *server) getAdvisory(ctx context.Context, in *advisoryInput) (wire.AdvisoryDetail, error) {
	versions, err := s.Store.HandAdvisoryVersions(ctx, in.Advisory)
	if err != nil {
		return wire.AdvisoryDetail{}, absent(anAdvisory, in.Advisory, err)
	}
	out := wire.AdvisoryDetail{Advisory: advisoryShape(versions[0])}
	for _, v := range versions {
		out.Versions = append(out.Versions, advisoryShape(v))
	}
	text, err := s.Store.Contents(ctx, []patching.Digest{versions[0].Source})
	out.Source = string(text[versions[0].Source])
	return out, err
}

func (s *server) enterAdvisories(ctx context.Context, in *addAdvisoriesInput) (wire.EnteredAdvisories, error) {
	out := wire.EnteredAdvisories{Items: []wire.Advisory{}}
	entered, err := s.ReadAdvisories(in.RawBody)
	if err != nil {
		return out, &wire.Problem{
			Status: http.StatusUnprocessableEntity, Code: wire.CodeInvalid,
			Detail: "The advisories are not taken, and what was in force stays:\n  " + strings.ReplaceAll(err.Error(), "\n", "\n  "),
			WayOut: "Mend the file and send it again; docs/advisories.md describes it.",
		}
	}
	var ids []string
	for _, a := range entered {
		ids = append(ids, string(a.ID))
	}
	said := fmt.Sprintf("of %s; document %s", in.File, patching.DigestOf(in.RawBody))
	var changed []store.HandAdvisory
	err = s.change(ctx, "add advisories", phrase.Few(ids, 20), said, func() (err error) {
		changed, err = s.Store.PutHandAdvisories(ctx, in.RawBody, entered, account(ctx).Name, s.Now().UTC())
		return err
	})
	if err != nil {
		return out, err
	}
	for _, c := range changed {
		out.Items = append(out.Items, advisoryShape(c))
	}
	out.Same = len(entered) - len(changed)
	switch {
	case len(changed) == 0:
		out.Words = "They were in force already: nothing changed."
	case out.Same > 0:
		out.Words = fmt.Sprintf("%s in force; %d were already.", isOrAre(len(changed)), out.Same)
	default:
		out.Words = isOrAre(len(changed)) + " in force."
	}
	return out, nil
}

func isOrAre(n int) string {
	if n == 1 {
		return "1 advisory is"
	}
	return fmt.Sprintf("%d advisories are", n)
}

func (s *server) withdrawAdvisory(ctx context.Context, in *withdrawInput) (wire.Advisory, error) {
	versions, err := s.Store.HandAdvisoryVersions(ctx, in.Advisory)
	if err != nil {
		return wire.Advisory{}, absent(anAdvisory, in.Advisory, err)
	}
	if was := versions[0]; !was.Withdrawn.IsZero() {
		return wire.Advisory{}, conflict(fmt.Sprintf("Advisory %s is withdrawn since %s.", was.ID, was.Withdrawn.Format("2006-01-02 15:04 MST")), "")
	}
	if err := (patching.Ending{Reason: in.Body.Reason}).Check(); err != nil {
		return wire.Advisory{}, misfits(err)
	}
	var gone store.HandAdvisory
	err = s.change(ctx, "withdraw advisory", string(in.Advisory), in.Body.Reason, func() (err error) {
		gone, err = s.Store.WithdrawHandAdvisory(ctx, in.Advisory, account(ctx).Name, s.Now().UTC(), in.Body.Reason)
		return err
	})
	return advisoryShape(gone), err
}

func advisoryShape(h store.HandAdvisory) wire.Advisory {
	out := wire.Advisory{
		ID: h.ID, Title: h.Title, Kind: h.Kind, Severity: h.Severity, CVEs: h.CVEs, Published: h.Published, Affected: []wire.Affected{},
		KnownIssues: h.KnownIssues, NeedsReboot: h.NeedsReboot, Version: h.Version, At: h.At, By: h.By, Withdrawn: h.Withdrawn, Reason: h.Reason, Digest: h.Source,
	}
	for _, a := range h.Affected {
		shape := wire.Affected{Platform: strings.TrimSpace(a.Platform.ID + " " + a.Release), Package: a.Package, Source: a.Source}
		for _, r := range a.Ranges {
			shape.Fixed = r.Fixed
		}
		out.Affected = append(out.Affected, shape)
	}
	return out
}
