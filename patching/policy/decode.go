package policy

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/patchcycle/patchcycle/patching"
)

// decoder reads a YAML tree into the types of document.go and goes on after a
// problem, so that all of them are found at once. A value that is wrong keeps
// its default.
type decoder struct {
	*source
	anchors map[string]ast.Node
	nodes   int
}

// defaulter is what defaults.go gives a type its defaults by.
type defaulter interface{ defaults() }

// decode returns false where aliases multiply so much that the rest is not
// worth telling.
func (s *source) decode(root ast.Node) (doc document, ok bool) {
	d := &decoder{source: s, anchors: map[string]ast.Node{}}
	d.value("", root, reflect.ValueOf(&doc).Elem(), limits{})
	if d.nodes <= maxNodes {
		return doc, true
	}
	s.problems = nil
	s.add(Error, placeOf(root), "", fmt.Sprintf("the aliases lead to more than %d values", maxNodes), "write the values out: people approve what they read")
	return doc, false
}

// value reads a node into v, which has its type's zero value.
func (d *decoder) value(path string, n ast.Node, v reflect.Value, l limits) {
	if d.nodes++; d.nodes > maxNodes {
		return
	}
	if n = d.resolve(path, n); n == nil {
		return
	}
	d.places[path] = placeOf(n)
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(path, n, v)
	case reflect.Slice:
		d.sequence(path, n, v, l)
	default:
		d.scalar(path, n, v, l)
	}
}

// resolve follows anchors and aliases to a value; nil if there is none. The
// depth of what follows is that of the types, and maxNodes bounds its breadth.
func (d *decoder) resolve(path string, n ast.Node) ast.Node {
	for range maxAliases {
		switch x := n.(type) {
		case *ast.AnchorNode:
			d.anchors[x.Name.GetToken().Value] = x.Value
			n = x.Value
		case *ast.AliasNode:
			n = d.anchors[x.Value.GetToken().Value]
			if n == nil {
				name := short(x.Value.GetToken().Value)
				d.add(Error, placeOf(x), path, fmt.Sprintf("no anchor &%s stands before this alias", name), "write the value out, or put &"+name+" before the one that is meant")
				return nil
			}
		default:
			return n
		}
	}
	d.add(Error, placeOf(n), path, "this alias leads to itself", "write the value out")
	return nil
}

func (d *decoder) mapping(path string, n ast.Node, v reflect.Value) {
	setDefaults(v)
	m, ok := n.(ast.MapNode)
	if !ok {
		d.wrongType(path, n, "a group of keys")
		return
	}
	fields := keys(v.Type())
	seen := map[string]place{}
	for entries := m.MapRange(); entries.Next(); {
		key := entries.Key()
		at, name := placeOf(key), key.GetToken().Value
		if first, twice := seen[name]; twice {
			d.add(Error, at, join(path, name), fmt.Sprintf("%q is written twice, first on line %d", short(name), first.line), "remove one of the two")
			continue
		}
		seen[name] = at
		field, known := fields[name]
		switch {
		case key.IsMergeKey():
			d.add(Error, at, path, "merge keys (<<) are not read", "write the keys out: people approve what they read")
		case !known:
			d.add(Error, at, join(path, short(name)), fmt.Sprintf("there is no key %q here", short(name)), proposal(name, fields))
		default:
			d.value(join(path, name), entries.Value(), v.Field(field.index), field.limits)
		}
	}
	for _, name := range inOrder(fields) {
		if _, written := seen[name]; !written && fields[name].required {
			d.fail(join(path, name), fmt.Sprintf("%q is missing", name), fields[name].missing(name))
		}
	}
}

func (d *decoder) sequence(path string, n ast.Node, v reflect.Value, l limits) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrongType(path, n, "a list")
		return
	}
	if len(seq.Values) < l.minItems {
		d.fail(path, "the list is empty", "name at least one")
	}
	if l.maxItems > 0 && len(seq.Values) > l.maxItems {
		d.fail(path, fmt.Sprintf("the list has %d entries", len(seq.Values)), fmt.Sprintf("write %d at most, and split the policy: one for each group of machines", l.maxItems))
		return
	}
	for i, item := range seq.Values {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(fmt.Sprintf("%s[%d]", path, i), item, element, limits{minLength: 1})
		v.Set(reflect.Append(v, element))
	}
}

func (d *decoder) scalar(path string, n ast.Node, v reflect.Value, l limits) {
	at := d.places[path]
	switch v.Kind() {
	case reflect.String:
		text, ok := d.text(path, n, v.Type())
		if !ok {
			return
		}
		if v.Type() != reflect.TypeFor[selector]() && v.Type() != reflect.TypeFor[string]() {
			l.minLength = 1 // what has a grammar says something
		}
		if wrong := l.checkText(text); wrong != "" {
			d.fail(path, fmt.Sprintf("%q %s", short(text), wrong), l.way(text))
			return
		}
		if v.Type() == reflect.TypeFor[name]() && !patching.ValidName(text) {
			d.fail(path, fmt.Sprintf("%q is not a name", short(text)), "write up to 64 lower-case letters, digits, dots, dashes and underscores, with a letter or digit at both ends")
			return
		}
		v.SetString(text)
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok || (b.GetToken().Value != "true" && b.GetToken().Value != "false") {
			d.wrongType(path, n, "true or false")
			return
		}
		v.SetBool(b.Value)
	case reflect.Int:
		i, err := strconv.Atoi(at.text)
		if n.Type() != ast.IntegerType || err != nil || strconv.Itoa(i) != at.text {
			d.wrongType(path, n, "a whole number")
			return
		}
		if wrong := l.checkNumber(float64(i)); wrong != "" {
			d.fail(path, fmt.Sprintf("%s %s", at.text, wrong), l.way(at.text))
			return
		}
		v.SetInt(int64(i))
	case reflect.Float64:
		f, err := strconv.ParseFloat(at.text, 64)
		if (n.Type() != ast.IntegerType && n.Type() != ast.FloatType) || err != nil || !decimal.MatchString(at.text) {
			d.wrongType(path, n, "a number")
			return
		}
		if wrong := l.checkNumber(f); wrong != "" {
			d.fail(path, fmt.Sprintf("%s %s", at.text, wrong), l.way(at.text))
			return
		}
		v.SetFloat(f)
	default: // document.go has no others
	}
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)

// text returns what a text node says. A number or a truth value that stands
// where text belongs is refused instead of being turned back into text, because
// what was written may be gone: 0130 is read as 88.
func (d *decoder) text(path string, n ast.Node, t reflect.Type) (string, bool) {
	at := d.places[path]
	switch n := n.(type) {
	case *ast.StringNode:
		if t == reflect.TypeFor[clock]() && !at.quoted {
			d.fail(path, fmt.Sprintf("the time %s has no quotes; some YAML readers take it for a number", n.Value), fmt.Sprintf("write '%s'", n.Value))
			return "", false
		}
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.NullNode, *ast.MappingNode, *ast.SequenceNode:
		d.wrongType(path, n, "text")
		return "", false
	}
	way := fmt.Sprintf("write '%s' in quotes", at.text)
	if t == reflect.TypeFor[clock]() {
		way = clockWay(at.text)
	}
	d.fail(path, fmt.Sprintf("%s is read as %s, not as text", at.text, kind(n)), way)
	return "", false
}

// clockWay guesses the time that somebody meant who wrote digits only.
func clockWay(digits string) string {
	if len(digits) == 4 {
		return fmt.Sprintf("write '%s:%s' in quotes", digits[:2], digits[2:])
	}
	return "write the time as '22:00', in quotes"
}

func (d *decoder) wrongType(path string, n ast.Node, want string) {
	at := d.places[path]
	way := "write " + want
	if n.Type() == ast.NullType {
		if at.width = 1; n.GetToken().Type == token.ImplicitNullType {
			at.text = ""
		}
		d.add(Error, at, path, "nothing stands here; want "+want, way+", or remove the key")
		return
	}
	what := kind(n)
	if n.Type() == ast.StringType {
		what = fmt.Sprintf("%q", short(at.text))
	}
	d.add(Error, at, path, fmt.Sprintf("want %s, not %s", want, what), way)
}

func kind(n ast.Node) string {
	switch n := n.(type) {
	case *ast.IntegerNode:
		if n.GetToken().Type != token.IntegerType {
			return fmt.Sprintf("the number %v", n.Value)
		}
		return "the number " + n.GetToken().Value
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return "true or false"
	case *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a group of keys"
	case *ast.SequenceNode:
		return "a list"
	}
	return "text"
}

// setDefaults fills a struct and the structs inside it; what lists hold gets
// its defaults when it is read.
func setDefaults(v reflect.Value) {
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Struct {
			setDefaults(v.Field(i))
		}
	}
	if d, ok := v.Addr().Interface().(defaulter); ok {
		d.defaults()
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func inOrder(fields map[string]field) []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(fields[a].index, fields[b].index) })
	return names
}

// proposal names the key that was probably meant, or all that there are.
func proposal(name string, fields map[string]field) string {
	names := inOrder(fields)
	if best := nearest(name, names); best != "" {
		return fmt.Sprintf("write %q", best)
	}
	return "the keys here are " + strings.Join(names, ", ")
}
