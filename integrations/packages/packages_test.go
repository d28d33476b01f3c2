package packages

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves L1.
func TestEveryManagerIsListed(t *testing.T) {
	listed := map[string]bool{"None": true}
	for _, m := range managers {
		one := m.open(Options{})
		listed[reflect.Indirect(reflect.ValueOf(one)).Type().Name()] = true
		require.NotEmpty(t, one.Name())
		require.NotEmpty(t, m.family)
		require.NotEmpty(t, m.program)
	}
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	found := 0
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Candidates" {
				continue
			}
			found++
			of := f.Recv.List[0].Type
			if star, ok := of.(*ast.StarExpr); ok {
				of = star.X
			}
			require.True(t, listed[of.(*ast.Ident).Name], "%s has a manager without a line in the list of packages.go", name)
		}
	}
	require.Len(t, listed, found)
}

// Serves L1.
func TestAMachineWithoutAKnownManagerHasNone(t *testing.T) {
	has := func(string) bool { return true }
	require.Equal(t, "apt", choose(patching.OS{Family: "debian"}, Options{}, has).Name())
	require.Equal(t, None{}, choose(patching.OS{Family: "debian"}, Options{}, func(string) bool { return false }), "an image without apt")
	require.Equal(t, None{}, choose(patching.OS{Family: "windows"}, Options{}, has))
	require.Empty(t, None{}.Name(), "so that the planner says that it knows no manager there")
	_, err := None{}.Simulate(t.Context(), nil)
	var known *Error
	require.ErrorAs(t, err, &known)
	require.Equal(t, patching.ReasonManagerUnknown, known.Reason)
}
