package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

func (h *house) term(id patching.DecisionID, days int) patching.Term {
	return patching.Term{
		ID: id, By: "sam", Role: patching.RoleSecurityLead, At: h.now.Add(-time.Hour), Until: h.now.AddDate(0, 0, days), Reason: "the maker certifies it",
	}
}

func (h *house) except(id patching.DecisionID, about patching.Subject) {
	h.t.Helper()
	e := patching.Exception{Term: h.term(id, 90), Subject: about, Owner: "radiology"}
	e.ReviewBy = e.Until
	require.NoError(h.t, e.Check())
	require.NoError(h.t, h.PutException(h.ctx, e))
}

func (h *house) answer(id patching.DecisionID, a patching.Answer, about patching.Subject) {
	h.t.Helper()
	r := patching.Review{Term: h.term(id, 90), Subject: about, Answer: a}
	require.NoError(h.t, r.Check())
	require.NoError(h.t, h.PutReview(h.ctx, r))
}

// remedies are the rows of a plan's remediation.
func (h *house) remedies(s contract.CycleState) (plan.Remediation, map[patching.AdvisoryID]plan.Remedy) {
	h.t.Helper()
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(h.t, err)
	r, byID := looks[s.Plan.Hash].Remediation, map[patching.AdvisoryID]plan.Remedy{}
	for _, row := range r.Remedies {
		byID[row.Advisory] = row
	}
	return r, byID
}

// gets says on which machines the plan installs a package.
func (h *house) gets(c patching.CycleID, machines int, name string) (on []int) {
	h.t.Helper()
	for n := 1; n <= machines; n++ {
		if h.deployment(c, n).Bundle == "" {
			continue
		}
		for _, p := range h.patches(c, n) {
			if p.Name == name {
				on = append(on, n)
				break
			}
		}
	}
	return on
}

// Serves G2, U9: the change manager relies on it.
func TestAnExceptionKeepsThePackagesOffTheMachinesThatItTakesAndOffNoOthers(t *testing.T) {
	for name, about := range map[string]patching.Subject{
		"a package":   {Package: "openssl"},
		"an advisory": {Advisory: "DSA-1"},
		"a flaw":      {CVE: "CVE-2026-1000"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.enrol(12)
			h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
			about.Selector = `hostname in ["host001", "host003"]`
			h.except("x-1", about)
			s := h.begin(monthly, patching.Monthly)
			h.plan(&s)
			require.Equal(t, []int{2, 4, 5, 6, 7, 8, 9, 10, 11, 12}, h.gets(s.ID, 12, "openssl"))
			require.NotEmpty(t, h.patches(s.ID, 1), "its other patches come all the same")

			_, byID := h.remedies(s)
			row := byID["DSA-1"]
			require.Equal(t, 10, row.Clears)
			require.Len(t, row.Stays, 1)
			for why, n := range row.Stays {
				require.Equal(t, 2, n)
				require.Contains(t, why, "an exception of radiology until 2027-02-08")
			}
			require.Len(t, row.Decided, 1)
			require.Equal(t, 2, row.Decided[0].Machines)
		})
	}
}

// Serves G2.
func TestAnExceptionForMachinesLeavesThemOutByNameAndDate(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	h.except("x-1", patching.Subject{Selector: `hostname == "host002"`})
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	d := h.deployment(s.ID, 2)
	require.Equal(t, patching.ReasonExcepted, d.Exclude)
	require.Equal(t, "an exception of radiology until 2027-02-08 (x-1): the maker certifies it", d.Why)
	require.NotEmpty(t, d.Would)
	r, _, _, err := h.urgent().Coming(h.ctx, "servers")
	require.NoError(t, err)
	require.Equal(t, 12, r.Machines)

	require.NoError(t, h.EndDecision(h.ctx, patching.Ending{Decision: "x-1", At: h.now, By: "sam", Role: patching.RoleSecurityLead, Reason: "certified"}))
	h.plan(&s)
	require.Empty(t, h.deployment(s.ID, 2).Exclude, "it ended, and the next plan takes the machine")
}

// Serves G2: nothing is missing would be a lie.
func TestAMachineOfWhichEverythingIsHeldIsNotCalledUpToDate(t *testing.T) {
	h := newHouse(t)
	h.enrol(6)
	_, offered := sets(t, "web")
	for i, c := range offered.Candidates {
		h.except(patching.DecisionID("x-"+string(rune('a'+i))), patching.Subject{Package: c.Name, Selector: `hostname == "host001"`})
	}
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	d := h.deployment(s.ID, 1)
	require.Equal(t, patching.ReasonExcepted, d.Exclude)
	require.Contains(t, d.Why, "an exception of radiology until 2027-02-08 (x-a)")
}

// Serves G2, G20.
func TestAnAcceptedRiskHoldsNothingThatAnotherAdvisoryWants(t *testing.T) {
	h := newHouse(t)
	h.enrol(6)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	h.answer("r-1", patching.AnswerAccept, patching.Subject{Advisory: "DSA-1"})
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	require.Empty(t, h.gets(s.ID, 6, "openssl"))
	_, byID := h.remedies(s)
	require.Equal(t, map[plan.Staying]int{"accept the risk, says sam until 2027-02-08": 6}, byID["DSA-1"].Stays)

	_, offered := sets(t, "web")
	said, ok := h.remedying.Feeds.(said)
	require.True(t, ok)
	for _, c := range offered.Candidates {
		if c.Name == "openssl" {
			of := func(id patching.AdvisoryID) patching.Advisory {
				return patching.Advisory{ID: id, Kind: "security", Affected: []patching.Affected{{
					Platform: patching.Platform{ID: "debian", Release: "12"}, Package: c.Name, Ranges: []patching.VersionRange{{Fixed: c.To}},
				}}}
			}
			said.knowledge.Advisories = assess.NewIndex([]patching.Advisory{of("DSA-1"), of("DSA-7")})
		}
	}
	h.remedying.Feeds = said
	h.plan(&s)
	require.Len(t, h.gets(s.ID, 6, "openssl"), 6)
}

// Serves G4: whoever plans again gives no more time.
func TestADueDateThatCountsFromFirstSeenDoesNotMoveWithThePlan(t *testing.T) {
	h := newHouse(t)
	h.applyPolicy(servers + "urgency: {regimes: [cyber-essentials]}\n")
	h.enrol(6)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	said, ok := h.remedying.Feeds.(said)
	require.True(t, ok)
	a := *said.knowledge.Advisories.Naming("DSA-1")[0]
	a.Published = time.Time{} // so that nothing but the first sight tells a day
	a.Severity = "high"
	said.knowledge.Advisories = assess.NewIndex([]patching.Advisory{a})
	h.remedying.Feeds = said
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	_, byID := h.remedies(s)
	first := byID["DSA-1"].Deadline
	require.Equal(t, urgency.FirstSeen, first.Clock.What)
	require.Equal(t, noon, first.Clock.At)

	h.now = h.now.AddDate(0, 0, 1)
	h.plan(&s)
	_, byID = h.remedies(s)
	require.Equal(t, first.Due, byID["DSA-1"].Deadline.Due)
	on, err := h.Asset(h.ctx, asset(1))
	require.NoError(t, err)
	sheet, _, err := h.urgent().Findings(h.ctx, on)
	require.NoError(t, err)
	for _, row := range sheet.Findings {
		for _, d := range row.Deadlines {
			require.Equal(t, first.Due, *d.Due, "what one machine misses is judged by the same day")
		}
	}
}

// Serves G2, G11.
func TestADecisionToPatchNowProposesAnEmergencyAndAnAcceptedRiskNone(t *testing.T) {
	h := newHouse(t)
	h.enrol(6)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1", "postgresql-15": "DSA-2"})
	h.answer("r-1", patching.AnswerNow, patching.Subject{Advisory: "DSA-1"})
	h.answer("r-2", patching.AnswerAccept, patching.Subject{Advisory: "DSA-2"})
	r, _, _, err := h.urgent().Coming(h.ctx, "servers")
	require.NoError(t, err)
	require.Contains(t, r.Proposes(), "1 advisory cannot wait, on up to 6 machines. The first is DSA-1, emergency at once")
	require.Contains(t, r.Words(), "(patch now, says sam until 2027-02-08)")
	require.Equal(t, patching.AdvisoryID("DSA-1"), r.Remedies[0].Advisory)
}

// upToDate lets machine n have what it was offered.
func (h *house) upToDate(n int, role string) {
	has, offered := sets(h.t, role)
	fresh := patching.PackageSet{Manager: has.Manager}
	to := map[string]string{}
	for _, c := range offered.Candidates {
		to[c.Name] = c.To
	}
	for _, p := range has.Packages {
		if v, ok := to[p.Name]; ok {
			p.Version = v
		}
		fresh.Packages = append(fresh.Packages, p)
	}
	h.inventory(n, fresh, patching.CandidateSet{Manager: offered.Manager})
}

// Serves G2, G21: a work-around is not the end of it.
func TestAWorkAroundThatOutlivesItsPatchIsATaskUntilItsRecordSaysThatItIsGone(t *testing.T) {
	h := newHouse(t)
	h.enrol(6)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	step := func(id patching.DecisionID, state patching.WorkAroundState, on ...patching.AssetID) patching.WorkAroundStep {
		return patching.WorkAroundStep{WorkAround: id, State: state, At: h.now, By: "sam", Role: patching.RoleSecurityLead, Assets: on, Note: "seen with curl"}
	}
	for id, about := range map[patching.DecisionID]patching.Subject{"w-1": {Advisory: "DSA-1"}, "w-2": {Advisory: "DSA-404"}} {
		require.NoError(t, h.PutWorkAround(h.ctx, patching.WorkAround{
			ID: id, Subject: about, What: "Switch it off.", Owner: "web-team", Steps: []patching.WorkAroundStep{step(id, patching.WorkAroundProposed)},
		}))
		_, err := h.AddWorkAroundStep(h.ctx, step(id, patching.WorkAroundInPlace, asset(1), asset(2)))
		require.NoError(t, err)
	}
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.now = h.now.Add(time.Hour)
	h.upToDate(1, "web")
	report := func() []patching.Task {
		_, err := (&activities.Reports{Store: h.Store, Render: printer{}, Remedying: h.remedying}).Make(h.ctx, contract.MakeReportIn{State: s})
		require.NoError(t, err)
		all, err := h.Tasks(h.ctx, store.TaskFilter{Cycle: s.ID})
		require.NoError(t, err)
		var removals []patching.Task
		for _, task := range all {
			if task.Cause == patching.ReasonWorkAround {
				removals = append(removals, task)
			}
		}
		return removals
	}
	require.Empty(t, report(), "the cycle has not closed")
	_, err := h.cycles.Close(h.ctx, contract.CloseCycleIn{State: s})
	require.NoError(t, err)
	tasks := report()
	require.Len(t, tasks, 1, "machine 2 has no patch, and of DSA-404 nobody knows anything")
	require.Equal(t, asset(1), tasks[0].Asset)
	require.Equal(t, "web-team", tasks[0].Owner)
	require.Equal(t, tasks, report(), "once is enough")

	task := tasks[0]
	task.State, task.Asked = patching.TaskChecking, h.now
	require.NoError(t, h.SaveTask(h.ctx, task))
	require.NoError(t, h.tasks.Judge(h.ctx))
	task, err = h.Task(h.ctx, task.ID)
	require.NoError(t, err)
	require.Equal(t, patching.TaskOpen, task.State, "a click removes nothing")
	require.Contains(t, task.Note, "patchcycle workaround done w-1 --machine a001")

	h.now = h.now.Add(time.Minute)
	_, err = h.AddWorkAroundStep(h.ctx, step("w-1", patching.WorkAroundRemoved, asset(1)))
	require.NoError(t, err)
	require.NoError(t, h.tasks.Judge(h.ctx))
	task, err = h.Task(h.ctx, task.ID)
	require.NoError(t, err)
	require.Equal(t, patching.TaskDone, task.State)
}
