package contract_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// requirements.md, words that people read: one table of verbs says what each
// does to machines, whether it can be taken back, and who may. Serves U1, G6.
func TestEveryVerbSaysWhoMayWhatHappensAndWhetherItCanBeTakenBack(t *testing.T) {
	seen := map[contract.Verb]bool{}
	for _, r := range contract.Verbs() {
		t.Run(string(r.Verb), func(t *testing.T) {
			require.False(t, seen[r.Verb], "it stands in the table once")
			seen[r.Verb] = true
			require.NotEmpty(t, r.Short)
			require.NotEmpty(t, r.NotStarted)
			require.NotEmpty(t, r.AtWork)
			require.NotEmpty(t, r.Done)
			require.NotEmpty(t, r.Undo)
			require.NotEmpty(t, r.May)
			for _, role := range r.May {
				require.Contains(t, patching.Roles(), role)
			}
			require.NotContains(t, r.May, patching.RoleAuditor, "an auditor changes nothing (U5)")
			found, ok := contract.RuleOf(r.Verb)
			require.True(t, ok)
			require.Equal(t, r, found)
		})
	}
}

func TestEveryVerbThatIsDeclaredStandsInTheTable(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "verbs.go", nil, 0)
	require.NoError(t, err)
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && len(spec.Values) == 1 && strings.HasPrefix(spec.Names[0].Name, "Verb") {
			declared = append(declared, strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	require.NotEmpty(t, declared)
	require.Equal(t, declared, contract.VerbNames())
}

// What is taken back by a verb is taken back by one that exists.
func TestWhatTakesAVerbBackExists(t *testing.T) {
	for _, r := range contract.Verbs() {
		if strings.HasPrefix(r.Undo, "no") { // "no; start another cycle", "not needed: ..."
			continue
		}
		_, ok := contract.RuleOf(contract.Verb(r.Undo))
		require.True(t, ok, "%s is undone by %q", r.Verb, r.Undo)
	}
}

// design.md 2.5: anyone may stop, two must agree to start.
func TestStoppingTakesOnePersonAndAddingTakesAnApproval(t *testing.T) {
	for _, verb := range []contract.Verb{contract.VerbPause, contract.VerbStop, contract.VerbRollBack, contract.VerbAmend, contract.VerbClose} {
		r, _ := contract.RuleOf(verb)
		require.Contains(t, r.May, patching.RoleOperator, verb)
		require.True(t, r.NeedsReason, "%s: whoever takes away says why", verb)
		require.False(t, r.NeedsPlan, verb)
		require.Empty(t, r.Phases, "%s: at any time", verb)
	}
	for _, verb := range []contract.Verb{contract.VerbApprove, contract.VerbReject, contract.VerbSendBack} {
		r, _ := contract.RuleOf(verb)
		require.Equal(t, []patching.Role{patching.RoleApprover}, r.May, verb)
		require.True(t, r.NeedsPlan, "%s: that plan and no other", verb)
		require.Equal(t, []patching.Phase{patching.PhaseApproval}, r.Phases, verb)
	}
}

// Serves U6, G6: a scope of sites is enough for what names machines, of these.
func TestWhoeverIsLimitedToSitesActsOnTheirMachinesAlone(t *testing.T) {
	sites := map[patching.AssetID]patching.SiteName{"web-1": "berlin", "web-2": "berlin", "web-3": "tokyo"}
	siteOf := func(id patching.AssetID) (patching.SiteName, bool) { s, ok := sites[id]; return s, ok }
	account := func(scopes ...string) patching.Account { return patching.Account{Name: "sue", Scopes: scopes} }
	ids := func(names ...patching.AssetID) []patching.AssetID { return names }
	for _, c := range []struct {
		verb   contract.Verb
		who    patching.Account
		assets []patching.AssetID
		says   string
	}{
		{contract.VerbAmend, account("*"), ids("web-3", "nobody's"), ""},
		{contract.VerbAmend, account("policy:servers"), ids("web-3"), ""},
		{contract.VerbAmend, account("site:berlin"), ids("web-1", "web-2"), ""},
		{contract.VerbAmend, account("site:berlin", "site:tokyo"), ids("web-1", "web-3"), ""},
		{contract.VerbAmend, account("policy:desktops", "site:tokyo"), ids("web-3"), ""},
		{contract.VerbAmend, account("site:berlin"), ids("web-1", "web-3"), "sue is limited to site:berlin, and this machine is not there: web-3."},
		{contract.VerbAmend, account("site:berlin"), ids("nobody's"), "sue is limited to site:berlin, and this machine is not there: nobody's."},
		{contract.VerbAmend, account("site:paris"), ids("web-1", "web-3"), "sue is limited to site:paris, and these machines are not there: web-1, web-3."},
		{contract.VerbAmend, account("policy:desktops"), ids("web-1"), "policy servers is outside of what sue is limited to: policy:desktops."},
		{contract.VerbAmend, account(), ids("web-1"), "policy servers is outside of what sue is limited to: nothing."},
		{contract.VerbStop, account("site:berlin"), ids("web-1"), "policy servers is outside of what sue is limited to: site:berlin."},
		{contract.VerbStop, account("*"), nil, ""},
	} {
		rule, _ := contract.RuleOf(c.verb)
		require.Equal(t, c.says, rule.Outside(c.who, "servers", c.assets, siteOf), "%s by %v of %v", c.verb, c.who.Scopes, c.assets)
	}
	for _, r := range contract.Verbs() {
		require.Equal(t, r.Verb == contract.VerbAmend || r.Verb == contract.VerbAdmit, r.OfMachines, "%s: what it names decides, and it names no machine", r.Verb)
	}
}

func TestAVerbIsAllowedInItsPhasesAndNoneWhileACycleClosesOrAfterwards(t *testing.T) {
	phases := []patching.Phase{
		patching.PhaseMonitor, patching.PhaseAssess, patching.PhasePlan, patching.PhaseTest, patching.PhaseApproval,
		patching.PhaseDeploy, patching.PhaseRollBack, patching.PhaseVerify, patching.PhaseCleanUp, patching.PhaseReport, patching.PhaseClosed,
	}
	for _, r := range contract.Verbs() {
		for _, p := range phases {
			want := len(r.Phases) == 0 || slices.Contains(r.Phases, p)
			want = want && p != patching.PhaseReport && p != patching.PhaseClosed
			require.Equal(t, want, r.Allowed(p), "%s in %s", r.Verb, p)
		}
	}
	_, ok := contract.RuleOf("reboot-everything")
	require.False(t, ok)
}
