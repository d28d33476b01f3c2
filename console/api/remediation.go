package api

import (
	"context"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

func remediationShape(r plan.Remediation) *wire.Remediation {
	out := &wire.Remediation{
		Words: r.Words(), Proposes: r.Proposes(), AsOf: r.AsOf, Regimes: append([]string{}, r.Regimes...), Unknown: r.Unknown,
		Feeds: feedLines(r.Feeds), Remedies: []wire.Remedy{}, More: r.More, Cleared: r.Cleared, Staying: r.Staying, Late: r.Late,
		CVEs: r.CVEs, Exploited: r.Exploited, Machines: r.Machines, Unexposed: r.Unexposed, Lanes: []wire.LaneCount{},
		Blind: []wire.Blindness{}, Ends: []wire.SupportEnd{}, Warnings: append([]string{}, r.Warnings()...),
		Review: []wire.ToReview{}, Unlisted: r.MoreReview,
	}
	out.Review = append(out.Review, agendaShape(r.Review)...)
	for i := range r.Remedies {
		out.Remedies = append(out.Remedies, remedyShape(&r.Remedies[i]))
	}
	for _, lane := range slices.Backward(urgency.Lanes()) {
		if n := r.Lanes[lane]; n > 0 {
			out.Lanes = append(out.Lanes, wire.LaneCount{Lane: lane, Machines: n})
		}
	}
	for _, b := range r.Blind {
		out.Blind = append(out.Blind, wire.Blindness{What: b.What, Why: b.Why, Packages: b.Packages, Machines: b.Machines, Owners: append([]string{}, b.Owners...)})
	}
	for _, e := range r.Ends {
		out.Ends = append(out.Ends, wire.SupportEnd{
			Product: e.Product, Release: e.Release, Ends: e.Ends, Extended: e.Extended, Ended: e.Ended, Feed: e.Feed,
			Machines: e.Machines, Owners: append([]string{}, e.Owners...),
		})
	}
	return out
}

func remedyShape(r *plan.Remedy) wire.Remedy {
	out := wire.Remedy{
		Advisory: r.Advisory, Feed: r.Feed, Title: r.Title, Severity: r.Severity, CVEs: append([]patching.CVE{}, r.CVEs...),
		KEV: r.KEV, EPSS: r.EPSS, CVSS: r.CVSS, By: []wire.RemedyPatch{}, Clears: r.Clears, Late: r.Late, Stays: []wire.StayCount{},
		Decided: []wire.DecidedOn{}, MoreRuled: r.MoreDecided,
	}
	if h := r.Holds; h != nil {
		out.HoldsLane, out.HoldsDue = &h.Lane, moment(h.Due)
	}
	for _, d := range r.Decided {
		out.Decided = append(out.Decided, wire.DecidedOn{
			ID: d.ID, Answer: d.Answer, By: d.By, Role: d.Role, Owner: d.Owner, Until: d.Until, Words: d.Words(),
			Machines: d.Machines, Overdue: d.Overdue,
		})
	}
	if d := r.Deadline; d != nil {
		out.Lane, out.Due, out.Condition, out.Regime, out.Row = &d.Lane, moment(d.Due), d.Condition, d.Regime, d.Row
		out.Clock, out.ClockAt = d.Clock.What, moment(d.Clock.At)
	}
	for _, p := range r.By {
		out.By = append(out.By, wire.RemedyPatch(p))
	}
	for _, why := range r.Reasons() {
		out.Stays = append(out.Stays, wire.StayCount{Why: string(why), Machines: r.Stays[why]})
	}
	return out
}

func agendaShape(all []patching.AgendaItem) []wire.ToReview {
	out := []wire.ToReview{}
	for _, i := range all {
		out = append(out, wire.ToReview{ID: i.ID, Kind: i.Kind, About: i.Words(), Owner: i.Owner, Why: i.Why, At: i.At})
	}
	return out
}

// moment is nil for a time that is not.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func feedLines(all []plan.FeedLine) []wire.PlanFeed {
	out := []wire.PlanFeed{}
	for _, f := range all {
		out = append(out, wire.PlanFeed{
			Name: f.Name, Owner: f.Owner, Revision: f.Revision, Made: moment(f.Made), Age: int64(f.Age / time.Second),
			Records: f.Records, Stale: f.Stale, Trouble: f.Trouble,
		})
	}
	return out
}

func (s *server) findings(ctx context.Context, in *assetInput) (wire.Findings, error) {
	a, err := s.Store.Asset(ctx, in.Asset)
	if err != nil {
		return wire.Findings{}, absent(aMachine, in.Asset, err)
	}
	if who := account(ctx); !seesSite(who, a.Site) {
		return wire.Findings{}, outsideSite(who, a.Site)
	}
	sheet, feeds, err := s.Urgent.Findings(ctx, a)
	return wire.Findings{
		Asset: a.ID, Hostname: a.Hostname, Owner: a.Owner, Sheet: sheet, Feeds: feedLines(feeds),
	}, err
}

func (s *server) urgency(ctx context.Context, in *policyInput) (wire.Urgency, error) {
	r, next, running, err := s.Urgent.Coming(ctx, in.Policy)
	if err != nil {
		return wire.Urgency{}, absent(aPolicy, in.Policy, err)
	}
	return wire.Urgency{Remediation: *remediationShape(r), Next: next, Running: running}, nil
}
