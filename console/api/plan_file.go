package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// planPage is how many machines of a plan are read at once.
const planPage = 1000

func (s *server) addPlanFile(api huma.API) {
	op := about("plans", "get-plan-file", http.MethodGet, cyclePath+"/plan/file", "Get all of a plan, to check far from the server what is signed")
	op.Description = "A line of JSON each: the plan's text, its machines as leaves of their rings' trees, and the texts of their bundles."
	op.Responses = map[string]*huma.Response{
		"200":     {Description: "The plan.", Content: map[string]*huma.MediaType{"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString}}}},
		"default": s.problems(api),
	}
	huma.Register(api, op, s.planFile)
}

func (s *server) planFile(ctx context.Context, in *cycleInput) (*huma.StreamResponse, error) {
	made, err := s.Store.Plan(ctx, in.ID())
	if err != nil {
		return nil, s.explain(ctx, "get-plan-file", absent(aCycle, in.ID(), err))
	}
	keys, err := s.deviceKeys(ctx)
	if err != nil {
		return nil, s.explain(ctx, "get-plan-file", err)
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", "application/x-ndjson")
		if err := s.writePlan(c.Context(), c.BodyWriter(), made, keys); err != nil {
			// The status has gone out: a file without its last line is none, and the
			// reader says so.
			s.Logger.Sugar().Warnf("plan file of %s: %v", made.Cycle, err)
		}
	}}, nil
}

func (s *server) writePlan(ctx context.Context, w io.Writer, made patching.Plan, keys map[patching.DeviceID]patching.Digest) error {
	out := json.NewEncoder(w)
	if err := out.Encode(wire.PlanFile{Plan: string(made.Canonical())}); err != nil {
		return err
	}
	var bundles []patching.Digest
	for after := patching.AssetID(""); ; {
		rows, err := s.Store.Deployments(ctx, store.DeploymentFilter{Cycle: made.Cycle, After: after, Limit: planPage})
		if err != nil {
			return err
		}
		ids := make([]patching.AssetID, len(rows))
		for i, d := range rows {
			ids[i] = d.Asset
		}
		names, err := s.hostnames(ctx, ids)
		if err != nil {
			return err
		}
		for _, d := range rows {
			if d.Ring == "" {
				continue
			}
			err := out.Encode(wire.PlanFile{Machine: &wire.PlanMachine{
				Asset: d.Asset, Hostname: names[d.Asset], Ring: d.Ring, Device: d.Device, DeviceKey: keys[d.Device],
				Rule: d.WindowRule, Bundle: d.Bundle, Rollback: d.Rollback,
			}})
			if err != nil {
				return err
			}
			bundles = append(bundles, d.Bundle, d.Rollback)
		}
		if len(rows) < planPage {
			break
		}
		after = rows[len(rows)-1].Asset
	}
	slices.Sort(bundles)
	bundles = slices.DeleteFunc(slices.Compact(bundles), func(d patching.Digest) bool { return d == "" })
	texts, err := s.Store.Contents(ctx, bundles)
	if err != nil {
		return err
	}
	for _, d := range bundles {
		if err := out.Encode(wire.PlanFile{Bundle: string(texts[d])}); err != nil {
			return err
		}
	}
	return nil
}
