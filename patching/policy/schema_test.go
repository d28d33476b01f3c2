package policy

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/invopop/jsonschema"
	validator "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const schemaFile = "../../schema/policy.schema.json"

// publishedSchema is what editors complete and check policies with.
func publishedSchema(t *testing.T) []byte {
	t.Helper()
	reflector := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true, FieldNameTag: "yaml",
		Mapper: scalar,
		Namer:  func(t reflect.Type) string { return strings.TrimSuffix(t.Name(), "Doc") },
	}
	comments := readComments(t)
	reflector.LookupComment = func(t reflect.Type, field string) string { return comments[t.Name()+"."+field] }
	schema := reflector.Reflect(document{})
	schema.Title = "A policy of patchcycle"
	withDefaults(schema, reflect.TypeFor[document]())
	for name, group := range schema.Definitions {
		withDefaults(group, groups()[name])
	}
	text, err := json.MarshalIndent(schema, "", "  ")
	require.NoError(t, err)
	return append(text, '\n')
}

// readComments returns the comments of document.go by "type." and "type.Field".
func readComments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "document.go", nil, parser.ParseComments)
	require.NoError(t, err)
	comments := map[string]string{}
	text := func(c *ast.CommentGroup) string { return strings.Join(strings.Fields(c.Text()), " ") }
	sentence := func(typeName, s string) string {
		s = strings.TrimPrefix(strings.TrimPrefix(s, typeName+" "), "is ")
		return strings.ToUpper(s[:1]) + s[1:]
	}
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.TYPE {
			continue
		}
		for _, s := range group.Specs {
			spec := s.(*ast.TypeSpec)
			doc := spec.Doc
			if doc == nil {
				doc = group.Doc
			}
			comments[spec.Name.Name+"."] = sentence(spec.Name.Name, text(doc))
			if fields, ok := spec.Type.(*ast.StructType); ok {
				for _, f := range fields.Fields.List {
					comments[spec.Name.Name+"."+f.Names[0].Name] = text(f.Doc)
				}
			}
		}
	}
	return comments
}

// scalar gives the types that have a grammar their pattern. What a pattern
// cannot say, such as that a zone exists, only [Parse] knows.
func scalar(t reflect.Type) *jsonschema.Schema {
	patterns := map[reflect.Type]string{
		reflect.TypeFor[name]():     `^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`,
		reflect.TypeFor[duration](): `^([0-9]{1,4}d)?([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$`,
		reflect.TypeFor[clock]():    `^([01][0-9]|2[0-3]):[0-5][0-9]$`,
		reflect.TypeFor[date]():     `^[0-9]{4}-[0-9]{2}-[0-9]{2}$`,
		reflect.TypeFor[moment]():   `^[0-9]{4}-[0-9]{2}-[0-9]{2}( ([01][0-9]|2[0-3]):[0-5][0-9])?$`,
	}
	if pattern, ok := patterns[t]; ok {
		least := uint64(1)
		return &jsonschema.Schema{Type: "string", Pattern: pattern, MinLength: &least}
	}
	return nil
}

// groups are the types of the document that hold keys, by their published name.
func groups() map[string]reflect.Type {
	found := map[string]reflect.Type{}
	var look func(reflect.Type)
	look = func(t reflect.Type) {
		for t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() != reflect.Struct {
			return
		}
		found[strings.TrimSuffix(t.Name(), "Doc")] = t
		for i := range t.NumField() {
			look(t.Field(i).Type)
		}
	}
	look(reflect.TypeFor[document]())
	return found
}

// defaultOf is what a key is worth when it is absent; nil where that is
// nothing, or depends on other keys.
func defaultOf(group reflect.Type, key string) any {
	v := reflect.New(group).Elem()
	setDefaults(v)
	field := keys(group)[key]
	value := v.Field(field.index)
	switch kind := value.Kind(); {
	case field.required, kind == reflect.Struct, kind == reflect.Slice:
		return nil
	case kind == reflect.String && value.Len() == 0:
		return nil
	case field.above != nil, field.minimum != nil && *field.minimum > 0 && value.IsZero():
		return nil
	case key == "approve": // the ring after the test ring always asks
		return nil
	}
	return value.Interface()
}

func withDefaults(schema *jsonschema.Schema, group reflect.Type) {
	for key := range keys(group) {
		property, ok := schema.Properties.Get(key)
		if ok && property.Ref == "" {
			property.Default = defaultOf(group, key)
		}
	}
}

func TestTheSchemaIsTheOneOfTheTypes(t *testing.T) {
	compareFile(t, schemaFile, publishedSchema(t))
}

// compareFile compares a file with what it is generated from, or writes it.
func compareFile(t *testing.T, file string, want []byte) {
	t.Helper()
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(file, want, 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "go generate ./patching/policy writes %s", file)
}

// validate asks the published schema with a validator that is not ours.
func validate(t *testing.T, text []byte) error {
	t.Helper()
	file, err := os.Open(schemaFile)
	require.NoError(t, err)
	defer file.Close()
	doc, err := validator.UnmarshalJSON(file)
	require.NoError(t, err)
	compiler := validator.NewCompiler()
	require.NoError(t, compiler.AddResource("policy.schema.json", doc))
	schema, err := compiler.Compile("policy.schema.json")
	require.NoError(t, err)
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		return err
	}
	asJSON, err := json.Marshal(value)
	require.NoError(t, err)
	instance, err := validator.UnmarshalJSON(strings.NewReader(string(asJSON)))
	require.NoError(t, err)
	return schema.Validate(instance)
}

func TestTheSchemaAcceptsWhatIsAccepted(t *testing.T) {
	for _, name := range []string{"monthly", "demo"} {
		text, err := Example(name)
		require.NoError(t, err)
		assert.NoError(t, validate(t, text), name)
	}
}

func TestTheSchemaAndTheReaderRefuseTheSame(t *testing.T) {
	text, err := Example("monthly")
	require.NoError(t, err)
	for name, change := range map[string][2]string{
		"an unknown key":          {"owner: it-operations", "owner: it-operations\nownr: x"},
		"an unknown key below":    {"    soak: 2d", "    soaked: 2d"},
		"a missing key":           {"approver: change advisory board\n", ""},
		"a missing key below":     {"    reason: closing of the books\n", ""},
		"a number for text":       {"owner: it-operations", "owner: 12"},
		"an unquoted octal":       {`at: "09:00"`, "at: 0900"},
		"a percentage too large":  {"percent: 10", "percent: 110"},
		"a percentage of nothing": {"percent: 10", "percent: 0"},
		"no approver":             {"quorum: 1", "quorum: 0"},
		"an unknown choice":       {"on_halt: affected", "on_halt: all"},
		"an unknown weekday":      {"weekday: tue", "weekday: tuesday"},
		"a name with a blank":     {"name: early", "name: early birds"},
		"an empty duration":       {"soak: 24h", "soak: ''"},
		"a duration in words":     {"soak: 24h", "soak: a day"},
		"a date in words":         {"valid_from: 2026-12-01", "valid_from: tomorrow"},
		"an empty list":           {"windows: [weekend]", "windows: []"},
		"a group for a list":      {"windows: [weekend]", "windows: {a: b}"},
		"an empty text":           {"owner: it-operations", "owner: ''"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, string(text), change[0])
			changed := []byte(strings.Replace(string(text), change[0], change[1], 1))
			_, err := Parse("changed.yaml", changed)
			assert.Error(t, err)
			assert.Error(t, validate(t, changed))
		})
	}
}
