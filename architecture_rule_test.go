package patchcycle_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the prefix of our own import paths; rules write ./ for it.
const module = "github.com/patchcycle/patchcycle"

// rule says what packages may import. A pattern is an import path, or one with
// /... for it and everything below; ours begin with ./, and "std" is the whole
// standard library.
type rule struct {
	from, except []string
	// only, if given, is all that may be imported; never may not be, unless
	// it matches unless (in test files also unlessTests).
	only, never, unless, unlessTests []string
	// uses are names that must not be mentioned, such as time.Now.
	uses []string
	// apart keeps the folders directly below from's first pattern from
	// importing each other.
	apart bool
	// noShell forbids starting a shell.
	noShell bool
	binds   binding
	because string
}

// binding is which imports a rule looks at.
type binding int

const (
	code         binding = iota // those of the files that are not tests
	codeAndTests                // those of all files
	binary                      // all that is linked into the package
	testBinary                  // all that is linked into the package's tests, if it has any
)

// file is what a rule wants to know about a source file.
type file struct {
	name    string
	test    bool
	imports []string // as in patterns: ./ for ours
	uses    []string // selectors of imported packages: time.Now
	shells  []string // shells given to os/exec, as written
}

// tree holds the files of each package by its folder, as in patterns.
type tree map[string][]file

// check returns a line for each import that breaks the rule, and the number of
// packages that the rule binds.
func (r rule) check(t tree) (broken []string, bound int) {
	for _, dir := range slices.Sorted(maps.Keys(t)) {
		if !matches(dir, r.from) || matches(dir, r.except) {
			continue
		}
		bound++
		for _, f := range r.files(t, dir) {
			for _, what := range r.breaches(dir, f) {
				broken = append(broken, fmt.Sprintf("%s %s: %s", f.name, what, r.because))
			}
		}
	}
	return broken, bound
}

// files returns what the rule looks at in a package; for binaries that is every
// file of ours that is linked into it.
func (r rule) files(t tree, dir string) []file {
	var own []file
	for _, f := range t[dir] {
		if !f.test || r.binds == codeAndTests || r.binds == testBinary {
			own = append(own, f)
		}
	}
	tests := slices.ContainsFunc(own, func(f file) bool { return f.test })
	if r.binds != binary && (r.binds != testBinary || !tests) {
		if r.binds == testBinary {
			return nil
		}
		return own
	}
	linked := own
	seen := map[string]bool{dir: true}
	for i := 0; i < len(linked); i++ {
		for _, imported := range linked[i].imports {
			if seen[imported] || !strings.HasPrefix(imported, ".") {
				continue
			}
			seen[imported] = true
			for _, f := range t[imported] {
				if !f.test {
					f.name += " (linked into " + dir + ")"
					linked = append(linked, f)
				}
			}
		}
	}
	return linked
}

func (r rule) breaches(dir string, f file) []string {
	var found []string
	for _, imported := range f.imports {
		allowed := matches(imported, r.unless) || f.test && matches(imported, r.unlessTests)
		switch {
		case len(r.only) > 0 && !matches(imported, r.only),
			matches(imported, r.never) && !allowed,
			r.apart && matches(imported, r.from) && child(imported) != child(dir):
			found = append(found, "imports "+imported)
		}
	}
	for _, used := range f.uses {
		if slices.Contains(r.uses, used) {
			found = append(found, "uses "+used)
		}
	}
	if r.noShell {
		for _, shell := range f.shells {
			found = append(found, "starts the shell "+shell)
		}
	}
	return found
}

// child is the folder below the first one: notify of ./integrations/notify/mail.
func child(dir string) string {
	parts := strings.Split(dir, "/")
	return parts[min(2, len(parts)-1)]
}

func matches(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if p == "std" {
			first, _, _ := strings.Cut(path, "/")
			return !strings.Contains(first, ".")
		}
		if below, ok := strings.CutSuffix(p, "/..."); ok {
			return path == below || strings.HasPrefix(path, below+"/")
		}
		return path == p
	})
}

// parseTree reads the Go files of this module: not those of nested modules, nor
// what the go tool ignores.
func parseTree(t *testing.T, root fs.FS) tree {
	t.Helper()
	found := tree{}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_")) {
				return fs.SkipDir
			}
			if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil && name != "." {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parseFile(name, src)
		if err != nil {
			return err
		}
		dir := "./" + path.Dir(name)
		found[dir] = append(found[dir], f)
		return nil
	})
	require.NoError(t, err)
	return found
}

func parseFile(name string, src []byte) (file, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
	if err != nil {
		return file{}, err
	}
	f := file{name: name, test: strings.HasSuffix(name, "_test.go")}
	byName := map[string]string{} // how the file calls what it imports
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return file{}, err
		}
		as := path.Base(imported)
		if spec.Name != nil {
			as = spec.Name.Name
		}
		byName[as] = imported
		if ours, ok := strings.CutPrefix(imported, module); ok {
			imported = "." + ours
		}
		f.imports = append(f.imports, imported)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && byName[x.Name] != "" {
				f.uses = append(f.uses, byName[x.Name]+"."+n.Sel.Name)
			}
		case *ast.CallExpr:
			f.shells = append(f.shells, shells(n, byName)...)
		}
		return true
	})
	return f, nil
}

// shells returns the shells among the arguments of a call of os/exec.
func shells(call *ast.CallExpr, byName map[string]string) []string {
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok || byName[x.Name] != "os/exec" {
		return nil
	}
	var found []string
	for _, arg := range call.Args {
		lit, ok := arg.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			continue
		}
		value, err := strconv.Unquote(lit.Value)
		if err == nil && slices.Contains([]string{"sh", "bash", "dash", "ash", "zsh", "ksh", "cmd", "cmd.exe", "powershell", "pwsh"}, path.Base(value)) {
			found = append(found, value)
		}
	}
	return found
}
