package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/edge/holdfile"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// RuleFiles reads a machine's rules from a folder that its owner keeps
// (/etc/patchcycle): rules.json with what may be ordered, and the file hold,
// whose mere presence stops the agent from starting anything. Without a
// rules.json nobody has said that the machine may be changed: it only lets
// itself be looked at.
type RuleFiles string

// Rules implements [Host]. Rules that cannot be read, or that others than
// their owner can write, are an error, and nothing starts.
func (f RuleFiles) Rules() (Rules, error) {
	text, err := readOwn(filepath.Join(string(f), "rules.json"))
	if err != nil {
		return Rules{}, err
	}
	if text == nil {
		return Rules{
			Allowed: Looking(), Hold: holdfile.Read(string(f)),
			Note: fmt.Sprintf("there is no %s: this machine only lets itself be looked at. Write {} into it to allow all that the agent can do.", filepath.Join(string(f), "rules.json")),
		}, nil
	}
	rules, err := parseRules(text)
	if err != nil {
		return Rules{}, fmt.Errorf("%s: %w", filepath.Join(string(f), "rules.json"), err)
	}
	rules.Hold = holdfile.Read(string(f))
	return rules, nil
}

// rulesShape is what rules.json may hold.
const rulesShape = `{"mode": "grants", "allowed": ["VERB", ...], "held": ["PACKAGE", ...]}, each of which may be left out`

// parseRules reads rules.json. Null is refused wherever it stands: to JSON it is
// nothing, and nothing allows all that the agent can do.
func parseRules(text []byte) (rules Rules, err error) {
	var fields map[string]json.RawMessage
	var syntax *json.SyntaxError
	switch err := json.Unmarshal(text, &fields); {
	case errors.As(err, &syntax):
		line := 1 + strings.Count(string(text[:min(int64(len(text)), syntax.Offset)]), "\n")
		return rules, fmt.Errorf("it is not JSON, line %d: %w; want %s", line, err, rulesShape)
	case err != nil || fields == nil:
		return rules, fmt.Errorf("it holds no object; want %s", rulesShape)
	}
	if name := namedTwice(text); name != "" { // JSON has the last one count, and people read the first
		return rules, fmt.Errorf("the field %q stands in it twice", name)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		words, ok := listOfWords(fields[name])
		switch {
		case name == "mode":
			if err := json.Unmarshal(fields[name], &rules.Mode); err != nil || rules.Mode != trust.ModeDispatcher && rules.Mode != trust.ModeGrants {
				return Rules{}, fmt.Errorf("in the field \"mode\" %s is no mode: want %q or %q", fields[name], trust.ModeGrants, trust.ModeDispatcher)
			}
			continue
		case name != "allowed" && name != "held":
			return rules, fmt.Errorf("there is no field %q; want %s", name, rulesShape)
		case !ok:
			return rules, fmt.Errorf("the field %q is not a list of words; want %s", name, rulesShape)
		case name == "held":
			rules.Held = words
			continue
		}
		rules.Allowed = []trust.Verb{} // absent: all that the agent can do
		for _, word := range words {
			v := trust.Verb(word)
			if _, ok := v.Spec(); !ok {
				return Rules{}, fmt.Errorf("in the field \"allowed\" %q is not a verb: want some of %v", v, trust.Verbs())
			}
			rules.Allowed = append(rules.Allowed, v)
		}
	}
	return rules, nil
}

// namedTwice returns a field that an object of JSON has more than once.
func namedTwice(text []byte) string {
	seen := map[string]bool{}
	dec := json.NewDecoder(bytes.NewReader(text))
	_, err := dec.Token()
	for err == nil && dec.More() {
		var name json.Token
		var value json.RawMessage
		if name, err = dec.Token(); err == nil {
			err = dec.Decode(&value)
		}
		if field, ok := name.(string); ok && seen[field] {
			return field
		} else if ok {
			seen[field] = true
		}
	}
	return ""
}

func listOfWords(text []byte) (words []string, ok bool) {
	var list []*string
	if err := json.Unmarshal(text, &list); err != nil || list == nil || slices.Contains(list, nil) {
		return nil, false
	}
	for _, w := range list {
		words = append(words, *w)
	}
	return words, true
}

// readOwn reads a file that only its owner may write, who is root or whoever we
// run as; nil if there is none.
func readOwn(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s can be written by others than its owner (mode %04o): chmod go-w it", path, info.Mode().Perm())
	}
	if !trustedOwner(info) {
		return nil, fmt.Errorf("%s belongs neither to root nor to the user that the agent runs as: chown root it", path)
	}
	return os.ReadFile(path)
}

// withRules completes an inventory with the verbs that the machine accepts:
// only those that change nothing if its rules cannot be read.
func withRules(a patching.Asset, rules Rules, err error) patching.Asset {
	a.Allowed = []string{}
	for _, v := range trust.Verbs() {
		if rules.allows(v) && (err == nil || slices.Contains(Looking(), v)) {
			a.Allowed = append(a.Allowed, string(v))
		}
	}
	return a
}
