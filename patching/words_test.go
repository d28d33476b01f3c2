package patching_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// constants returns the values of all string constants of a type that a source
// file declares, by name.
func constants(t *testing.T, file, of string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	found := map[string]string{}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != len(spec.Names) {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != of {
			return true
		}
		for i, name := range spec.Names {
			literal, ok := spec.Values[i].(*ast.BasicLit)
			require.True(t, ok, "%s is not written as a text", name.Name)
			value, err := strconv.Unquote(literal.Value)
			require.NoError(t, err)
			found[name.Name] = value
		}
		return true
	})
	require.NotEmpty(t, found, "no %s in %s", of, file)
	return found
}

// Serves G10: one reason vocabulary that console, CLI and reports print.
func TestEveryReasonHasWordsOfItsOwn(t *testing.T) {
	declared := constants(t, "reason.go", "Reason")
	causes := map[patching.Cause]bool{}
	for _, c := range constants(t, "reason.go", "Cause") {
		causes[patching.Cause(c)] = true
	}
	said := map[string]string{}
	for name, code := range declared {
		r := patching.Reason(code)
		require.True(t, r.Valid(), "%s has no line in the table", name)
		assert.True(t, patching.ValidName(code), "%s: %q becomes part of file names and addresses", name, code)
		words := r.Words()
		assert.Empty(t, said[words], "%s says the same as %s", name, said[words])
		said[words] = name
		assert.True(t, strings.HasSuffix(words, ".") && words[:1] == strings.ToUpper(words[:1]), "%s: %q is no sentence", name, words)
		assert.True(t, causes[r.Cause()], "%s is laid to %q, which is no cause", name, r.Cause())
	}
	assert.Len(t, patching.AllReasons(), len(declared), "a line in the table without a constant, or two constants of one value")
	assert.IsIncreasing(t, patching.AllReasons())
}

func TestAReasonThatIsNotInTheVocabularyShowsItself(t *testing.T) {
	assert.Equal(t, "sunspots", patching.Reason("sunspots").Words())
	assert.False(t, patching.Reason("sunspots").Valid())
	assert.False(t, patching.Reason("").Valid())
}

// Serves G10, G21: every outcome is in the list, in words of its own.
func TestEveryOutcomeIsListedAndSaysWhatPeopleRead(t *testing.T) {
	declared := constants(t, "outcome.go", "Outcome")
	assert.Len(t, patching.Outcomes(), len(declared))
	said := map[string]bool{"": true, patching.Outcome("").Words(): true}
	for name, value := range declared {
		o := patching.Outcome(value)
		assert.True(t, o.Valid(), name)
		assert.False(t, said[o.Words()], "%s: %q is said twice", name, o.Words())
		said[o.Words()] = true
	}
	assert.Equal(t, "manual work needed", patching.NeedsHands.Words())
	assert.Equal(t, "in progress", patching.Outcome("").Words())
	assert.False(t, patching.Outcome("").Valid())
}

// Serves G21: silence is no evidence about a patch.
func TestSilenceNeedsAPersonButSpeaksAgainstNoPatch(t *testing.T) {
	for _, o := range patching.Outcomes() {
		bad := o == patching.Failed || o == patching.NeedsHands || o == patching.RolledBack
		assert.Equal(t, bad, o.Bad(), o)
		task := o == patching.Failed || o == patching.NeedsHands || o == patching.Unreachable
		assert.Equal(t, task, o.NeedsTask(), o)
	}
}

func TestEveryRoleIsListed(t *testing.T) {
	declared := constants(t, "people.go", "Role")
	assert.Len(t, patching.Roles(), len(declared))
	for name, value := range declared {
		assert.True(t, patching.Role(value).Valid(), name)
	}
	assert.False(t, patching.Role("root").Valid())
}

func TestFewStatesAreFinal(t *testing.T) {
	final := func(file, kind string, terminal func(string) bool) (names []string) {
		for _, value := range constants(t, file, kind) {
			if terminal(value) {
				names = append(names, value)
			}
		}
		return names
	}
	assert.ElementsMatch(t, []string{"done"}, final("deployment.go", "DeploymentState", func(s string) bool { return patching.DeploymentState(s).Terminal() }))
	assert.ElementsMatch(t, []string{"finished", "refused"}, final("deployment.go", "Stage", func(s string) bool { return patching.Stage(s).Terminal() }))
	assert.ElementsMatch(t, []string{"closed"}, final("outcome.go", "Phase", func(s string) bool { return patching.Phase(s).Terminal() }))
	assert.ElementsMatch(t, []string{"done"}, final("task.go", "TaskState", func(s string) bool { return patching.TaskState(s).Terminal() }))
	assert.ElementsMatch(t, []string{"revoked"}, final("asset.go", "DeviceState", func(s string) bool { return patching.DeviceState(s).Terminal() }))
}

// A late message must not move a deployment back.
func TestEveryStateOfADeploymentHasItsRank(t *testing.T) {
	seen := map[int]string{}
	for name, value := range constants(t, "deployment.go", "DeploymentState") {
		rank := patching.DeploymentState(value).Rank()
		assert.GreaterOrEqual(t, rank, 0, name)
		assert.Empty(t, seen[rank], "%s has the rank of %s", name, seen[rank])
		seen[rank] = name
	}
	assert.Less(t, patching.DeploymentReleased.Rank(), patching.DeploymentStarted.Rank())
	assert.Equal(t, -1, patching.DeploymentState("lost").Rank())
}

// Serves G6, U6: a role counts inside its scope only.
func TestARoleCountsInsideItsScope(t *testing.T) {
	ana := patching.Account{Roles: []patching.Role{patching.RoleApprover}, Scopes: []string{"policy:servers", "site:tokyo"}}
	assert.True(t, ana.Has(patching.RoleOperator, patching.RoleApprover))
	assert.False(t, ana.Has(patching.RoleOperator))
	assert.True(t, ana.Covers("servers"))
	assert.False(t, ana.Covers("desktops"))
	assert.True(t, ana.CoversSite("tokyo"))
	assert.False(t, ana.CoversSite("servers"))
	all := patching.Account{Scopes: []string{"*"}}
	assert.True(t, all.Covers("desktops") && all.CoversSite("moon"))
}

func TestEveryReasonToBeLeftOutHasAnOutcome(t *testing.T) {
	for _, r := range patching.AllReasons() {
		o, ok := r.LeavesAs()
		assert.Equal(t, ok, o.Valid(), "%s", r)
		seen := r == patching.ReasonHalfInstalled // in the inventory, before anything is done
		assert.False(t, o.Bad() && !seen || o == patching.Patched, "%s: a plan cannot know that", r)
	}
	_, ok := patching.ReasonInstallFailed.LeavesAs()
	assert.False(t, ok)
}
