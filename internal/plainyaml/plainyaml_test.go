package plainyaml

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

func TestYAMLThatWouldBringTheParserDownIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"lists in lists":               {"a: " + strings.Repeat("[", 100), errDeep.Error()},
		"lists in lists, line by line": {"a: " + strings.Repeat("[\n", 100), errDeep.Error()},
		"groups in groups":             {"a: " + strings.Repeat("{b: ", 100), errDeep.Error()},
		"lists that begin together":    {strings.Repeat("- ", 1000) + "a", errDeep.Error()},
		"keys that begin together":     {strings.Repeat("? ", 1000) + "a", errDeep.Error()},
		"tags upon tags":               {strings.Repeat("!!a ", 1000) + "a", errDeep.Error()},
		"groups further and further":   {strings.Repeat(" ", 300) + "a: b", errDeep.Error()},
		"aliases":                      {"a: &x [1]\nb: *x", "line 1: it has an alias"},
		"a tag":                        {"a: !b c", "line 1: it has a tag"},
		"two documents":                {"a: b\n---\na: b", "line 2: a second document"},
		"a line without an end":        {"a: " + strings.Repeat("x", maxLine), "line 1: it has more than 65536 bytes"},
		"a text without an end":        {strings.Repeat("# comment\n", maxText/10+1), "more than 1048576 bytes"},
	} {
		var into any
		require.ErrorContains(t, Decode(strings.NewReader(c.text), &into), c.says, name)
	}
}

func TestWhatIsWrongIsToldWithoutTheLinesOfTheFile(t *testing.T) {
	for name, text := range map[string]string{
		"it is no YAML":  "root:$6$secret:19000:0:99999:7:::\ndaemon: *:19000\n",
		"it is a text":   "root:$6$secret:19000:0:99999:7:::\nsshd:!:19000::::::\n",
		"an unknown key": "feeds: secret\nother: secret\n",
		"a wrong type":   "a: [secret]\n",
		"it breaks off":  "a: \"secret\nb: secret\n",
	} {
		var into struct {
			A map[string]string `yaml:"a"`
		}
		err := Decode(strings.NewReader(text), &into, yaml.Strict())
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "secret", name)
		t.Log(err)
		require.Regexp(t, `line [0-9]|\[[0-9]+:[0-9]+\]`, err.Error(), name)
	}
}
