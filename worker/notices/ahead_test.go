package notices_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
)

// fleet is what machines miss, and counts how often it was looked at.
type fleet struct {
	feeds []patching.FeedState
	alike []notice.Alike
	late  int
	fails error
	looks int
}

func (f *fleet) Feeds() []patching.FeedState { return f.feeds }

func (f *fleet) Ahead(_ context.Context, p patching.PolicyName) (notice.Ahead, error) {
	f.looks++
	a := notice.Ahead{Policy: p, Owner: "it", Next: noon.AddDate(0, 0, 20), Alike: f.alike, Remediation: plan.Remediation{AsOf: noon}}
	if f.late > 0 {
		a.Remediation.Late = 1
		a.Remediation.Remedies = []plan.Remedy{{Advisory: "DSA-9", Late: f.late, Deadline: &urgency.Deadline{Due: noon.AddDate(0, 0, 1)}}}
	}
	return a, f.fails
}

func (*fleet) Outlived(context.Context, []patching.WorkAround) (map[patching.DecisionID]int, error) {
	return nil, nil
}

// edition lets a feed have said something new.
func (f *fleet) edition(d patching.Digest, asked time.Time) {
	f.feeds = []patching.FeedState{{
		FeedSource: patching.FeedSource{Name: "osv", URL: "https://feeds.example/osv", Every: 4 * time.Hour, StaleAfter: 48 * time.Hour, Owner: "sam"},
		Edition:    patching.FeedEdition{Digest: d, Got: asked}, Asked: asked, Result: patching.FeedNew,
	}}
}

const everything = "  roles: [security-lead]\n  alert_every: 1m\n  every: 1m\n"

func kindsOf(all []notify.Payload) map[notice.Kind]int {
	n := map[notice.Kind]int{}
	for _, m := range all {
		for _, g := range m.Data.Groups {
			n[g.Kind] += g.Total
		}
	}
	return n
}

func (h *house) policy(name patching.PolicyName, text string) {
	h.t.Helper()
	require.NoError(h.t, h.store.ApplyPolicy(h.t.Context(), store.PolicyVersion{Name: name, Source: []byte(text), Applied: h.now, By: "ana"}))
}

// Serves G4.
func TestWhatMachinesMissIsToldWhenItIsNewAndNotAgainAfterTheServerStarted(t *testing.T) {
	h := newHouse(t)
	h.policy("servers", "one")
	h.tell(map[string]string{"lead": everything})
	is := &fleet{alike: []notice.Alike{{Site: "berlin", Machines: 3, Has: []patching.AdvisoryID{"DSA-1"}}}}
	is.edition("e1", h.now)
	k := h.keeper(h.store)
	k.Lookout = is
	h.rounds(k, 20)
	require.Equal(t, 1, is.looks)
	require.Empty(t, h.arrived(), "what was so before is no news")

	is.alike[0].Has = append(is.alike[0].Has, "DSA-2")
	is.edition("e2", h.now)
	h.rounds(k, 20)
	require.Equal(t, 2, is.looks)
	require.Equal(t, map[notice.Kind]int{notice.NewAdvisory: 1}, kindsOf(h.arrived()))
	k = h.keeper(h.store)
	k.Lookout = is
	h.rounds(k, 20)
	require.Equal(t, 3, is.looks, "a server that starts looks once")
	require.Len(t, h.arrived(), 1)
}

// Serves G4: an advisory entered by hand counts like any other.
func TestTheFirstThatIsEverKnownIsToldInOneNoticeASite(t *testing.T) {
	h := newHouse(t)
	h.policy("servers", "one")
	h.tell(map[string]string{"lead": everything})
	is := &fleet{alike: []notice.Alike{{Site: "berlin", Machines: 3}, {Site: "tokyo", Machines: 2}}}
	k := h.keeper(h.store)
	k.Lookout = is
	h.rounds(k, 2)
	for i := range 500 {
		id := patching.AdvisoryID(fmt.Sprint("HOUSE-", i))
		is.alike[0].Has, is.alike[1].Has = append(is.alike[0].Has, id), append(is.alike[1].Has, id)
	}
	h.rounds(k, 90) // no edition changed: what people entered is seen within the hour
	require.Equal(t, map[notice.Kind]int{notice.NewAdvisory: 2}, kindsOf(h.arrived()))
}

func TestTheFleetIsLookedAtWhenAnEditionOrAPolicyChangedAndElseOnceAnHour(t *testing.T) {
	h := newHouse(t)
	h.policy("servers", "one")
	h.tell(map[string]string{"lead": everything})
	is := &fleet{}
	is.edition("e0", h.now)
	k := h.keeper(h.store)
	k.Lookout = is
	h.rounds(k, 60)
	require.Equal(t, 1, is.looks)
	h.rounds(k, 1)
	require.Equal(t, 2, is.looks)
	for i := range 20 {
		is.edition(patching.Digest(rune('a'+i)), h.now)
		h.rounds(k, 1)
	}
	require.Equal(t, 6, is.looks, "many feeds come at once, and are waited for")
	h.rounds(k, 10)
	looks := is.looks
	h.policy("servers", "two")
	h.rounds(k, 10)
	require.Equal(t, looks+1, is.looks)
}

// Serves G4, G11.
func TestAProposedEmergencyIsAnAlertAndOverOnlyWhenAllPoliciesWereLookedAt(t *testing.T) {
	h := newHouse(t)
	h.policy("servers", "one")
	h.tell(map[string]string{"lead": everything, "owner": "  owners: [it]\n  alert_every: 1m\n"})
	is := &fleet{late: 4}
	is.edition("e1", h.now)
	k := h.keeper(h.store)
	k.Lookout = is
	h.rounds(k, 200)
	require.Len(t, h.arrived(), 2, "once to the security lead, once to the policy's owner")
	require.Contains(t, h.arrived()[0].Subject, "URGENT: 1 proposed emergency")

	over := func() (n int) {
		all, err := h.store.Notices(t.Context(), 0, 100)
		require.NoError(t, err)
		for _, q := range all {
			if q.Kind == notice.EmergencyProposed && !q.Over.IsZero() {
				n++
			}
		}
		return n
	}
	is.late, is.fails = 0, errors.New("the record is away")
	h.now = h.now.Add(time.Hour)
	require.ErrorContains(t, k.Round(t.Context()), "policy servers miss: the record is away")
	require.Zero(t, over(), "nobody looked")
	is.fails = nil
	h.now = h.now.Add(time.Hour)
	h.rounds(k, 1)
	require.Equal(t, 1, over())
}

// Serves G4, G11.
func TestFeedsThatAreStaleAndDecisionsThatEndAreTold(t *testing.T) {
	h := newHouse(t)
	h.tell(map[string]string{"lead": everything})
	require.NoError(t, h.store.PutReview(t.Context(), patching.Review{
		Term:    patching.Term{ID: "review-1", By: "sam", Role: patching.RoleSecurityLead, At: h.now, Until: h.now.AddDate(0, 0, 10), Reason: "r"},
		Subject: patching.Subject{Advisory: "DSA-1"}, Answer: patching.AnswerMonthly,
	}))
	is := &fleet{}
	is.edition("e1", h.now.AddDate(0, 0, -3))
	k := h.keeper(h.store)
	k.Lookout = is
	h.rounds(k, 30)
	require.Equal(t, map[notice.Kind]int{notice.FeedStale: 1, notice.ExceptionEnds: 1}, kindsOf(h.arrived()))
	is.edition("e1", h.now)
	h.rounds(k, 3)
	is.edition("e1", h.now.AddDate(0, 0, -3).Add(time.Minute))
	h.rounds(k, 30)
	require.Equal(t, map[notice.Kind]int{notice.FeedStale: 2, notice.ExceptionEnds: 1}, kindsOf(h.arrived()), "stale another time")
}

// What was found is put on record before it counts as told: killed between the two, the
// server finds it again, and knows that it is on record.
func TestNewsThatCouldNotBeNotedAsToldIsNeitherLostNorToldTwice(t *testing.T) {
	h := newHouse(t)
	h.policy("servers", "one")
	h.tell(map[string]string{"lead": everything})
	is := &fleet{alike: []notice.Alike{{Site: "berlin", Machines: 3, Has: []patching.AdvisoryID{"DSA-1"}}}}
	is.edition("e1", h.now)
	k := h.keeper(h.store)
	k.Lookout = is
	h.rounds(k, 1)
	is.alike[0].Has = append(is.alike[0].Has, "DSA-2")
	k = h.keeper(forgetful{h.store})
	k.Lookout = is
	require.Error(t, k.Round(t.Context()))
	k = h.keeper(h.store)
	k.Lookout = is
	h.rounds(k, 30)
	require.Equal(t, map[notice.Kind]int{notice.NewAdvisory: 1}, kindsOf(h.arrived()))
}

// forgetful keeps no settings.
type forgetful struct{ *store.Store }

func (forgetful) SetSetting(context.Context, string, string) error {
	return errors.New("the disk is full")
}
