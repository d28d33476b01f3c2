package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api"
	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// operation is one that the API's own description lists: a new one cannot be
// forgotten here.
type operation struct{ id, method, path string }

func operations(t *testing.T) []operation {
	t.Helper()
	text, err := api.Describe()
	require.NoError(t, err)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	require.NoError(t, json.Unmarshal(text, &doc))
	var all []operation
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			all = append(all, operation{doc.Paths[path][method].OperationID, strings.ToUpper(method), path})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return all
}

// bodies are what operations take besides their path; the rest take an act, or nothing.
var bodies = map[string]string{
	"done-task": `{"note":"done"}`, "make-enrol-token": `{"site":"amsterdam"}`, "revoke-device": `{"reason":"lost"}`, "replace-device": `{"device":"d-1","reason":"a new disk"}`,
	"import-assets":   `{"source":"cmdb.csv","rows":[{"line":2,"hostname":"nas"}]}`,
	"set-asset-facts": `{"owner":"somebody"}`, "add-account": `{"name":"new-one","roles":["auditor"]}`, "revoke-account": `{"reason":"left"}`,
	"start-cycle": `{}`, "start-emergency": `{"slug":"openssl","reason":"it burns"}`, "set-schedule": `{}`,
	"pause-schedule": `{"reason":"holidays"}`, "resume-schedule": `{"reason":"back"}`, "lint-policy": `policy: x`, "apply-policy": `policy: x`,
	"add-review": `{"advisory":"DSA-1","answer":"accept","reason":"because","until":"2026-12-31T22:00:00Z"}`, "end-review": `{"reason":"over"}`,
	"add-exception":    `{"advisory":"DSA-1","owner":"it","reason":"because","until":"2026-12-31T22:00:00Z"}`,
	"expire-exception": `{"reason":"over"}`, "withdraw-advisory": `{"reason":"a mistake"}`,
	"add-workaround":  `{"advisory":"DSA-1","what":"switch it off","owner":"it","reason":"no fix yet"}`,
	"step-workaround": `{"state":"in place","assets":["a-1"],"note":"seen"}`,
	"add-advisories":  "advisories:\n  - id: LOCAL-2\n    title: A test\n    platform: debian\n    package: agent\n",
	"sync-feeds":      `{}`, "import-feed": `a tar archive`,
}

// call sends an operation with parts that exist and a body that fits.
func (h *house) call(op operation, token string) (int, wire.Problem) {
	h.t.Helper()
	path := strings.NewReplacer("{kind}", "cycle", "{policy}", "demo", "{run}", "2026-11.1", "{asset}", "a-1", "{device}", "d-a-1",
		"{task}", "t-1", "{account}", "nobody", "{version}", "12345678", "{decision}", "workaround-1", "{advisory}", "LOCAL-1",
		"{recipient}", "ops", "{feed}", "kev", "{place}", "berlin").Replace(op.path)
	body, ok := bodies[op.id]
	if !ok && strings.HasSuffix(op.id, "-cycle") {
		body = `{"reason":"because","assets":["a-1"],"plan":"` + string(patching.DigestOf(nil)) + `"}`
	}
	r, err := http.NewRequestWithContext(h.t.Context(), op.method, h.url+path, strings.NewReader(body))
	require.NoError(h.t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(r)
	require.NoError(h.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	var p wire.Problem
	if res.StatusCode >= 300 {
		require.NoError(h.t, json.Unmarshal(text, &p), "%s: %s", op.id, text)
		require.Equal(h.t, "application/problem+json", res.Header.Get("Content-Type"))
		require.NotEmpty(h.t, p.Detail)
	}
	return res.StatusCode, p
}

// Every operation is tried with every role. The golden file is the table as it
// works, for people to review.
//
// Serves G6, U5.
func TestEveryRoleMayDoWhatTheTableSaysAndNothingElse(t *testing.T) {
	var table bytes.Buffer
	fmt.Fprintf(&table, "%-20s", "")
	for _, r := range patching.Roles() {
		fmt.Fprintf(&table, " %-13s", r)
	}
	fmt.Fprintln(&table, " without a token")
	h := newHouse(t)
	h.cycle()
	h.task()
	h.workAround()
	h.engine.answer.Accepted = true
	h.token("nobody", "*", patching.RoleOperator)
	for _, op := range operations(t) {
		fmt.Fprintf(&table, "%-20s", op.id)
		for _, role := range patching.Roles() {
			status, problem := h.call(op, h.token("one-"+string(role), "*", role))
			if status == http.StatusForbidden && strings.Contains(problem.Detail, "this takes one of") {
				fmt.Fprintf(&table, " %-13s", "-")
				continue
			}
			assert.NotEqual(t, http.StatusUnauthorized, status)
			assert.Less(t, status, 500, "%s as %s: %s", op.id, role, problem.Detail)
			if status == http.StatusUnprocessableEntity {
				assert.Contains(t, []string{"apply-policy"}, op.id, "the test's body does not fit: %s %v", problem.Detail, problem.Errors)
			}
			fmt.Fprintf(&table, " %-13s", "may")
			reads := op.method == http.MethodGet || op.id == "lint-policy" || op.id == "enter-ui"
			assert.True(t, reads || role != patching.RoleAuditor, "an auditor changes something: %s", op.id)
		}
		status, _ := h.call(op, "")
		word := "-"
		if status != http.StatusUnauthorized {
			word = "may"
		}
		fmt.Fprintf(&table, " %s\n", word)
	}
	golden(t, "testdata/access.golden", table.Bytes())
}

// Serves G6.
func TestNobodyReachesBeyondTheirScope(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.task()
	h.workAround()
	everyRole := patching.Roles()
	elsewhere := h.token("elsewhere", "policy:other", everyRole...)
	otherSite := h.token("other-site", "site:tokyo", everyRole...)
	toPolicy := func(path string) bool { return strings.Contains(path, "{policy}") }
	for _, op := range operations(t) {
		status, p := h.call(op, elsewhere)
		switch {
		case toPolicy(op.path), op.id == "list-accounts", op.id == "list-audit", op.id == "verify-audit", op.id == "add-account", op.id == "revoke-account",
			slices.Contains([]string{"add-review", "end-review", "add-exception", "expire-exception", "add-advisories", "withdraw-advisory", "list-notify", "test-notify"}, op.id):
			assert.Equal(t, http.StatusForbidden, status, "%s with the scope of another policy: %s", op.id, p.Detail)
		}
		status, p = h.call(op, otherSite)
		switch op.id {
		case "get-cycle", "watch-cycle", "get-plan", "list-deployments", "list-decisions", "list-approvals":
			assert.Equal(t, http.StatusOK, status, "%s by a site: %s", op.id, p.Detail)
		case "get-grants":
			assert.Equal(t, http.StatusNotFound, status, "this house has no trust root: %s", p.Detail)
		case "get-machine", "get-asset", "set-asset-facts", "accept-device", "replace-device", "revoke-device", "get-task", "take-task", "done-task", "make-enrol-token", "step-workaround":
			assert.Equal(t, http.StatusForbidden, status, "%s of another site's: %s", op.id, p.Detail)
		default:
			if toPolicy(op.path) {
				assert.Equal(t, http.StatusForbidden, status, "%s with the scope of a site: %s", op.id, p.Detail)
			}
		}
	}
}

func TestListsShowWhatIsInScope(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.task()
	ctx := t.Context()
	tokyo, other := h.as("tok", "site:tokyo", patching.RoleSiteAdmin), h.as("oth", "policy:other", patching.RoleAuditor)

	machines, err := tokyo.Deployments(ctx, cycleID, client.DeploymentQuery{})
	require.NoError(t, err)
	require.Len(t, machines.Items, 1)
	assert.Equal(t, patching.AssetID("a-3"), machines.Items[0].Asset)

	assets, err := tokyo.Assets(ctx, client.AssetQuery{})
	require.NoError(t, err)
	require.Len(t, assets.Items, 1)

	tasks, err := tokyo.Tasks(ctx, client.TaskQuery{})
	require.NoError(t, err)
	assert.Empty(t, tasks.Items)

	cycles, err := other.Cycles(ctx, client.CycleQuery{})
	require.NoError(t, err)
	assert.Empty(t, cycles.Items)
	policies, err := other.Policies(ctx)
	require.NoError(t, err)
	assert.Empty(t, policies.Items)
}

// Serves U6: site admins see and defend one site.
func TestASiteAdminTakesOutTheMachinesOfTheSiteAndNoOthers(t *testing.T) {
	h := newHouse(t)
	h.cycle() // a-1 and a-2 are in Amsterdam, a-3 is in Tokyo
	h.engine.answer = contract.Answer{Accepted: true, Words: "1 of 1 machines were taken out by sue."}
	sue := h.as("sue", "site:amsterdam", patching.RoleSiteAdmin)
	seen, err := sue.Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	assert.Equal(t, []string{"amend", "admit"}, seen.Verbs, "she is told so")

	amend := func(ids ...patching.AssetID) error {
		_, err := sue.Do(t.Context(), cycleID, "amend", wire.Act{Reason: "payroll runs tonight", Assets: ids}, "")
		return err
	}
	require.NoError(t, amend("a-1", "a-2"))
	require.Len(t, h.engine.acts, 1)
	assert.Equal(t, []patching.AssetID{"a-1", "a-2"}, h.engine.acts[0].Assets)
	for words, ids := range map[string][]patching.AssetID{
		"this machine is not there: a-3.":              {"a-1", "a-3"},
		"this machine is not there: nobody's.":         {"nobody's"},
		"these machines are not there: a-3, nobody's.": {"a-3", "a-2", "nobody's"},
	} {
		p := problem(t, amend(ids...), http.StatusForbidden, wire.CodeNotAllowed)
		assert.Equal(t, "sue is limited to site:amsterdam, and "+words, p.Detail)
	}
	require.Len(t, h.engine.acts, 1, "what is not allowed does not reach the cycle")
	audit, err := h.store.Audit(t.Context(), 0, 0)
	require.NoError(t, err)
	refused := slices.DeleteFunc(audit, func(e patching.AuditEntry) bool {
		return !strings.HasPrefix(e.Body, "refused by the API: sue is limited")
	})
	require.Len(t, refused, 3, "and is on record")
	assert.Equal(t, "sue", refused[0].Actor)
	assert.Equal(t, string(cycleID), refused[0].Subject)
}

func TestATokenThatWasRevokedOpensNothing(t *testing.T) {
	h := newHouse(t)
	admin := h.as("root", "*", patching.RoleAdmin)
	added, err := admin.AddAccount(t.Context(), wire.NewAccount{Name: "eve", Roles: []patching.Role{patching.RoleAuditor}})
	require.NoError(t, err)
	eve := h.with(added.Token)
	me, err := eve.Server(t.Context())
	require.NoError(t, err)
	require.Equal(t, patching.AccountName("eve"), me.You.Name)

	_, err = admin.RevokeAccount(t.Context(), "eve", "left")
	require.NoError(t, err)
	_, err = eve.Server(t.Context())
	var p *wire.Problem
	require.ErrorAs(t, err, &p)
	assert.Equal(t, wire.CodeUnknown, p.Code)
}

// A verb that the table does not allow never reaches the cycle, which keeps the
// record of the others: so the API does.
//
// Serves G6.
func TestAVerbThatIsNotAllowedIsOnRecordAndDoesNotReachTheCycle(t *testing.T) {
	h := newHouse(t)
	plan := h.cycle()
	for _, v := range contract.Verbs() {
		_, err := h.as("aud", "*", patching.RoleAuditor).Do(t.Context(), cycleID, string(v.Verb), wire.Act{Plan: plan.Hash(), Reason: "x", Assets: []patching.AssetID{"a-1"}}, "")
		var p *wire.Problem
		require.ErrorAs(t, err, &p)
		assert.Equal(t, wire.CodeNotAllowed, p.Code)
	}
	assert.Empty(t, h.engine.acts)
	audit, err := h.store.Audit(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, audit, len(contract.Verbs()))
	for i, v := range contract.Verbs() {
		assert.Equal(t, "aud", audit[i].Actor)
		assert.Equal(t, string(v.Verb), audit[i].Verb)
		assert.Equal(t, string(cycleID), audit[i].Subject)
		assert.Contains(t, audit[i].Body, "refused by the API")
	}
}
