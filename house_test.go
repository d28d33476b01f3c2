package patchcycle_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	requirementID = regexp.MustCompile(`\b[GQLU][1-9][0-9]?\b`)
	// The comment that says which requirements a test serves.
	servesLine = regexp.MustCompile(`(?m)^\s*// Serves (.*)$`)
	// A row of docs/requirements.md.
	requirementRow = regexp.MustCompile(`(?m)^\| ([GQLU][1-9][0-9]?) \| (.+) \|$`)
	skipCall       = regexp.MustCompile(`\b[bt]b?\.Skip(f|Now)?\(`)
	// What a skip must have thought of; nothing here runs with -short.
	skipAsks = regexp.MustCompile(`"CI"|testing\.Short\(\)`)
)

// The map that it prints is what make requirements shows.
func TestEveryRequirementThatATestCitesIsListed(t *testing.T) {
	page, err := os.ReadFile("docs/requirements.md")
	require.NoError(t, err)
	listed := requirementRow.FindAllSubmatch(page, -1)
	require.NotEmpty(t, listed)

	cited := map[string][]string{} // files by requirement
	for name, src := range goFiles(t, "_test.go") {
		for _, line := range servesLine.FindAllSubmatch(src, -1) {
			for _, id := range requirementID.FindAllString(string(line[1]), -1) {
				if !slices.Contains(cited[id], name) {
					cited[id] = append(cited[id], name)
				}
			}
		}
	}
	for _, row := range listed {
		id, files := string(row[1]), cited[string(row[1])]
		delete(cited, id)
		slices.Sort(files)
		fmt.Fprintf(t.Output(), "%-4s %s\n", id, row[2])
		for _, name := range files {
			fmt.Fprintf(t.Output(), "       %s\n", name)
		}
	}
	require.Empty(t, cited, "requirements that docs/requirements.md does not know, with the tests that cite them")
}

// What a machine lacks may be skipped on a desk, but not where the commit is
// proven: there a skip would be a test that cannot fail.
func TestWhoeverSkipsATestAsksWhetherThisIsCI(t *testing.T) {
	for name, src := range goFiles(t, ".go") {
		if name != "house_test.go" && skipCall.Match(src) && !skipAsks.Match(src) {
			t.Errorf("%s skips without asking os.Getenv(\"CI\"): under CI=true a skip must fail", name)
		}
	}
}

func TestTheArchitecturePageNamesEveryFolder(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	require.NoError(t, err)
	folders := map[string]bool{}
	for name := range goFiles(t, ".go") {
		if first, _, below := strings.Cut(name, "/"); below {
			folders[first] = true
		}
	}
	require.NotEmpty(t, folders)
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		if !bytes.Contains(page, []byte("`"+folder+"/")) {
			t.Errorf("docs/architecture.md has no row for `%s/`", folder)
		}
	}
}

// goFiles returns the files of this module whose names end so, by name.
func goFiles(t *testing.T, ending string) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == "tools" || name == "bin" || name != "." && strings.HasPrefix(path.Base(name), ".")):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ending):
			return nil
		}
		src, err := os.ReadFile(name)
		found[name] = src
		return err
	})
	require.NoError(t, err)
	return found
}

var (
	parserName = regexp.MustCompile(`^(Parse|parse|Read|read|Decode|decode|Unmarshal|scan)([A-Z]|$)`)
	fuzzTarget = regexp.MustCompile(`(?s)\nfunc Fuzz\w+\(.*?\n}`)
)

// notFuzzed are functions that are called like parsers and understand nothing.
var notFuzzed = map[string]string{
	"internal/unpack.ReadAtMost":    "it counts bytes",
	"worker/snapshots.readPackage":  "internal/deb reads it, and has a target",
	"cmd/patchcycle-agent/cli.read": "it counts bytes, and gives them to parsers of other packages",
}

// Serves G4. Whoever writes a parser of what comes from outside is told here that a fuzz
// target is missing: one that calls it, for what other packages may call, and any of the
// package's for its own helpers.
func TestEveryParserHasAFuzzTarget(t *testing.T) {
	targets := map[string]string{}
	for name, src := range goFiles(t, "_test.go") {
		for _, text := range fuzzTarget.FindAll(src, -1) {
			targets[path.Dir(name)] += string(text)
		}
	}
	parsers := 0
	for name, src := range goFiles(t, ".go") {
		dir, _, _ := strings.Cut(name, "/")
		if strings.HasSuffix(name, "_test.go") || dir == "lab" || dir == "e2e" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !parserName.MatchString(f.Name.Name) || !takesText(f) {
				continue
			}
			parsers++
			at := path.Dir(name) + "." + f.Name.Name
			called := regexp.MustCompile(`\b` + f.Name.Name + `[\[(]`).MatchString(targets[path.Dir(name)])
			switch {
			case notFuzzed[at] != "", called, !f.Name.IsExported() && targets[path.Dir(name)] != "":
			default:
				t.Errorf("%s: no fuzz target of its package calls %s", name, f.Name.Name)
			}
		}
	}
	require.Greater(t, parsers, 40)
}

// takesText reports whether a function is given bytes to make sense of. To a Read method
// they are what it fills, and a method of a type that is no one else's business is called
// by the package's own parsers.
func takesText(f *ast.FuncDecl) bool {
	if f.Recv != nil && f.Name.IsExported() {
		return false
	}
	return slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool {
		switch kind := p.Type.(type) {
		case *ast.ArrayType:
			of, ok := kind.Elt.(*ast.Ident)
			return ok && kind.Len == nil && of.Name == "byte"
		case *ast.SelectorExpr:
			return kind.Sel.Name == "Reader" || kind.Sel.Name == "RawMessage"
		case *ast.Ident:
			return kind.Name == "Document" || kind.Name == "string" && strings.HasPrefix(f.Name.Name, "Parse")
		}
		return false
	})
}
