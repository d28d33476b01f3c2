package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/patchcycle/patchcycle/patching"
)

// Selector says which machines are meant. It is a CEL expression without loops
// inside loops, without time and without arithmetic, so that it costs little,
// and means the same tomorrow.
type Selector struct {
	text    string
	program cel.Program // nil takes every machine
	// names are those that it compares a machine's with; known: it asks no more of it.
	names []string
	known bool
}

// SelectorError says where an expression is wrong. Offset and Length count
// characters of the expression, Offset from 0.
type SelectorError struct {
	Text   string
	Offset int
	Length int
	What   string
	Way    string
}

func (e *SelectorError) Error() string {
	return fmt.Sprintf("selector %q: at character %d: %s: %s", short(e.Text), e.Offset+1, e.What, e.Way)
}

// Compile reads an expression and checks names and types. The empty one takes
// every machine. Its errors are of type [*SelectorError].
func Compile(text string) (*Selector, error) {
	s, _, err := compile(text)
	return s, err
}

// costLimit is far more than an expression of the permitted length costs on a
// machine with a thousand tags.
const costLimit = 200_000

// Match reports whether the machine is meant. It fails where an expression
// costs more than it may; an asset that lacks a fact has the empty text there.
func (s *Selector) Match(a *patching.Asset) (bool, error) {
	if s.program == nil {
		return true, nil
	}
	out, _, err := s.program.Eval(facts{a})
	if err != nil {
		return false, fmt.Errorf("selector %q on %s: %w", short(s.text), a.Hostname, err)
	}
	return out == types.True, nil
}

// Names are the machines for which the expression may say something else than for others
// of their [Likeness]. It reports false where that cannot be told: it asks for more of a
// name than whether it is one of some.
func (s *Selector) Names() (names []string, known bool) { return s.names, s.known }

// namesIn are the names that an expression compares the machine's with.
func namesIn(checked *cel.Ast) (names []string, known bool) {
	asked, compared := 0, 0
	visit := ast.NewExprVisitor(func(e ast.Expr) {
		isName := func(a ast.Expr) bool { return a.Kind() == ast.IdentKind && a.AsIdent() == hostname }
		if isName(e) {
			asked++
		}
		if e.Kind() != ast.CallKind || !slices.ContainsFunc(e.AsCall().Args(), isName) {
			return
		}
		args := e.AsCall().Args()
		texts, plain := plainTexts(args)
		if slices.Contains([]string{operators.Equals, operators.NotEquals, operators.In}, e.AsCall().FunctionName()) && len(args) == 2 && plain {
			compared++
			names = append(names, texts...)
		}
	})
	ast.PostOrderVisit(checked.NativeRep().Expr(), visit)
	return names, asked == compared
}

// plainTexts are the texts of arguments one of which is a name; it reports false where
// another is no text, and no list of texts.
func plainTexts(args []ast.Expr) (texts []string, plain bool) {
	for _, l := range literals(args) {
		text, ok := l.AsLiteral().Value().(string)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	for _, a := range args {
		switch a.Kind() {
		case ast.IdentKind, ast.LiteralKind:
		case ast.ListKind:
			if len(literals(a.AsList().Elements())) != a.AsList().Size() {
				return nil, false
			}
		default:
			return nil, false
		}
	}
	return texts, len(texts) > 0 || slices.ContainsFunc(args, func(a ast.Expr) bool { return a.Kind() == ast.ListKind })
}

// Likeness is all that selectors can ask of a machine beside its name: in a large fleet
// many machines have the same.
func Likeness(a *patching.Asset) string {
	var all strings.Builder
	for _, v := range variables {
		if v.name == hostname {
			continue
		}
		switch value := v.of(a).(type) {
		case string:
			fmt.Fprintf(&all, "%d:%s", len(value), value)
		case []string:
			fmt.Fprintf(&all, "%d[", len(value))
			for _, one := range value {
				fmt.Fprintf(&all, "%d:%s", len(one), one)
			}
		}
	}
	return all.String()
}

const hostname = "hostname"

// variable is a fact of a machine that selectors know.
type variable struct {
	name string
	list bool
	of   func(*patching.Asset) any
	// words are all the values that there are; nil: any.
	words []string
}

var variables = []variable{
	{name: hostname, of: func(a *patching.Asset) any { return a.Hostname }},
	{name: "site", of: func(a *patching.Asset) any { return string(cmp.Or(a.Site, patching.Roaming)) }},
	{name: "os.family", of: func(a *patching.Asset) any { return a.OS.Family }},
	{name: "os.release", of: func(a *patching.Asset) any { return a.OS.Release }},
	{name: "os.arch", of: func(a *patching.Asset) any { return a.OS.Arch }},
	{name: "tags", list: true, of: func(a *patching.Asset) any { return a.Tags }},
	{
		name: "criticality", of: func(a *patching.Asset) any { return string(cmp.Or(a.Criticality, patching.CriticalityUnknown)) },
		words: []string{string(patching.CriticalityUnknown), string(patching.Low), string(patching.Medium), string(patching.High), string(patching.MissionCritical)},
	},
	{
		name: "exposure", of: func(a *patching.Asset) any { return string(cmp.Or(a.Exposure, patching.ExposureUnknown)) },
		words: []string{string(patching.ExposureUnknown), string(patching.Internet), string(patching.Internal), string(patching.Isolated)},
	},
	{name: "business_unit", of: func(a *patching.Asset) any { return a.BusinessUnit }},
	{name: "owner", of: func(a *patching.Asset) any { return a.Owner }},
	{name: "services", list: true, of: func(a *patching.Asset) any { return a.Services }},
	{name: "manager", of: func(a *patching.Asset) any { return a.Manager }},
}

// facts gives an expression its variables.
type facts struct{ *patching.Asset }

func (f facts) ResolveName(name string) (any, bool) {
	i := slices.IndexFunc(variables, func(v variable) bool { return v.name == name })
	if i < 0 {
		return nil, false
	}
	return variables[i].of(f.Asset), true
}

func (facts) Parent() cel.Activation { return nil }

// environment knows the variables and a closed list of functions. Comparing
// texts by < is left out on purpose: criticality > "low" would mean the
// alphabet.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	numbers := func(name string, overload string) *env.Function {
		return env.NewFunction(name, &env.Overload{ID: overload})
	}
	whole := func(name string) *env.Function { return env.NewFunction(name) }
	subset := env.NewLibrarySubset().AddIncludedMacros("all", "exists", "exists_one").AddIncludedFunctions(
		whole(operators.Conditional), whole(operators.LogicalAnd), whole(operators.LogicalOr), whole(operators.LogicalNot),
		whole(operators.NotStrictlyFalse), whole(operators.Equals), whole(operators.NotEquals), whole(operators.In),
		numbers(operators.Add, "add_int64"), // exists_one counts with it
		numbers(operators.Less, "less_int64"), numbers(operators.LessEquals, "less_equals_int64"),
		numbers(operators.Greater, "greater_int64"), numbers(operators.GreaterEquals, "greater_equals_int64"),
		whole("size"), whole("contains"), whole("startsWith"), whole("endsWith"), whole("matches"),
	)
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(subset)),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateHomogeneousAggregateLiterals(), cel.ValidateComprehensionNestingLimit(1)),
		cel.ParserExpressionSizeLimit(4096),
		cel.ParserRecursionLimit(64),
		cel.ParserErrorRecoveryLimit(1),
	}
	for _, v := range variables {
		kind := cel.StringType
		if v.list {
			kind = cel.ListType(cel.StringType)
		}
		options = append(options, cel.Variable(v.name, kind))
	}
	return cel.NewCustomEnv(options...)
})

// compile also returns the checked expression, for [strangers]; nil for the
// empty one.
func compile(text string) (*Selector, *cel.Ast, error) {
	if strings.TrimSpace(text) == "" {
		return &Selector{text: text, known: true}, nil, nil
	}
	environment, err := environment()
	if err != nil {
		return nil, nil, fmt.Errorf("set up selectors: %w", err)
	}
	checked, issues := environment.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, nil, explain(text, issues.Errors()[0])
	}
	if checked.OutputType() != cel.BoolType {
		return nil, nil, &SelectorError{
			Text: text, What: "says " + plain(checked.OutputType().String()) + ", not yes or no",
			Way: `compare it: site == "amsterdam", or "web" in tags`,
		}
	}
	program, err := environment.Program(checked, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit))
	if err != nil {
		return nil, nil, &SelectorError{Text: text, What: err.Error(), Way: "write it in another way"}
	}
	s := &Selector{text: text, program: program}
	s.names, s.known = namesIn(checked)
	return s, checked, nil
}

var (
	undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	overload   = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '([^']*)'`)
	unexpected = regexp.MustCompile(`(?s)^Syntax error: (?:token recognition error at|mismatched input|extraneous input|no viable alternative at input):? '(.*?)'`)
)

// explain turns what CEL says into what to do.
func explain(text string, issue *cel.Error) *SelectorError {
	e := &SelectorError{
		Text: text, Offset: offset(text, issue.Location.Line(), issue.Location.Column()),
		What: issue.Message, Way: `write for instance site == "amsterdam" && "web" in tags`,
	}
	if m := undeclared.FindStringSubmatch(issue.Message); m != nil {
		e.explainName(m[1])
		return e
	}
	if m := overload.FindStringSubmatch(issue.Message); m != nil {
		e.What, e.Way = explainTypes(strings.Trim(m[1], "_"), plain(m[2]))
		return e
	}
	if m := unexpected.FindStringSubmatch(issue.Message); m != nil {
		e.What, e.Way = explainSign(m[1], e.Way)
		return e
	}
	switch {
	case strings.Contains(issue.Message, "invalid matches argument"):
		e.What, e.Way = "is not a regular expression", "write one as RE2 reads them"
	case strings.Contains(issue.Message, "nesting limit"):
		e.What, e.Way = "a loop inside a loop", "use exists and all on one list at a time"
	case strings.Contains(issue.Message, "limit exceeded"), strings.Contains(issue.Message, "exceeds limit"):
		e.What, e.Way = "longer or deeper than a selector may be", "give the machines a tag, and select by it"
	}
	return e
}

// dotted is a name with its dots, of which CEL tells the first part only.
var dotted = regexp.MustCompile(`^[A-Za-z_]+\.[A-Za-z_]+`)

func (e *SelectorError) explainName(name string) {
	var known []string
	for _, v := range variables {
		known = append(known, v.name)
	}
	group := func(v string) bool { return strings.HasPrefix(v, name+".") }
	if whole := dotted.FindString(string([]rune(e.Text)[e.Offset:])); whole != "" && slices.ContainsFunc(known, group) {
		name = whole
	}
	e.Length = len(name)
	e.What = fmt.Sprintf("%q is nothing that is known of a machine", short(name))
	e.Way = "the facts are " + strings.Join(known, ", ")
	if best := nearest(name, known); best != "" {
		e.Way = "write " + best
	}
}

func explainTypes(sign, operands string) (what, way string) {
	what = fmt.Sprintf("%s does not go with %s", sign, operands)
	switch sign {
	case "<", "<=", ">", ">=":
		return what, `name the values that are meant: criticality in ["high", "critical"]`
	case "@in":
		return "in does not go with " + operands, `write "web" in tags, or site in ["amsterdam", "tokyo"]`
	case "==", "!=":
		return what, `compare like with like: site == "amsterdam", "web" in tags`
	case "&&", "||", "!":
		return what, `join comparisons: site == "amsterdam" && "web" in tags`
	}
	return what, "see docs/policy.md for what a selector can say"
}

func explainSign(found, way string) (what, better string) {
	switch word := strings.TrimSpace(found); {
	case word == "<EOF>":
		return "ends too early", "finish the comparison, or close the bracket or quote"
	case word == "=":
		return "one = compares nothing", "write =="
	case word == "and":
		return `"and" is not a sign`, "write &&"
	case word == "or":
		return `"or" is not a sign`, "write ||"
	case word == "not":
		return `"not" is not a sign`, "write !"
	case strings.HasPrefix(word, `"`), strings.HasPrefix(word, "'"):
		return "not expected here: " + short(word), "close the quote before it, or join with && or ||"
	default:
		return fmt.Sprintf("%q is not expected here", short(word)), way
	}
}

// plain words for CEL's types.
func plain(celTypes string) string {
	return strings.NewReplacer("(", "", ")", "", "list(string)", "a list", "list", "a list", "string", "text", "bool", "yes or no", "int", "a number", ", ", " and ").Replace(celTypes)
}

// offset turns CEL's line and column into characters from the beginning.
func offset(text string, line, column int) int {
	n := 0
	for i, l := range strings.Split(text, "\n") {
		if i == line-1 {
			return n + max(0, column)
		}
		n += len([]rune(l)) + 1
	}
	return 0
}

// stranger is a value that a fact never has.
type stranger struct {
	offset      int
	fact, value string
	words       []string
}

// strangers finds comparisons that can never hold: criticality == "hihg", or a
// site that the policy does not name. Such a selector is right in grammar and
// takes no machine.
func strangers(text string, checked *cel.Ast, sites []string) []stranger {
	if checked == nil {
		return nil
	}
	var found []stranger
	native := checked.NativeRep()
	visit := ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		if !slices.Contains([]string{operators.Equals, operators.NotEquals, operators.In}, call.FunctionName()) || len(call.Args()) != 2 {
			return
		}
		fact, words := vocabulary(call.Args(), sites)
		for _, literal := range literals(call.Args()) {
			value, ok := literal.AsLiteral().Value().(string)
			if words == nil || !ok || slices.Contains(words, value) {
				continue
			}
			at := native.SourceInfo().GetStartLocation(literal.ID())
			found = append(found, stranger{offset(text, at.Line(), at.Column()), fact, value, words})
		}
	})
	ast.PostOrderVisit(native.Expr(), visit)
	return found
}

func vocabulary(args []ast.Expr, sites []string) (fact string, words []string) {
	for _, a := range args {
		if a.Kind() != ast.IdentKind {
			continue
		}
		if a.AsIdent() == "site" {
			return "site", sites
		}
		for _, v := range variables {
			if v.name == a.AsIdent() && v.words != nil {
				return v.name, v.words
			}
		}
	}
	return "", nil
}

func literals(args []ast.Expr) []ast.Expr {
	var found []ast.Expr
	for _, a := range args {
		switch a.Kind() {
		case ast.LiteralKind:
			found = append(found, a)
		case ast.ListKind:
			found = append(found, literals(a.AsList().Elements())...)
		default: // has no value before a machine is known
		}
	}
	return found
}
