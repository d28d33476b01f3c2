package cli

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// details puts an entry of the audit record in words. The record keeps every field
// of a decision, for whoever computes its chain anew; people read those that are
// set.
func details(verb, body string) string {
	body = strings.TrimSpace(body)
	word, rest, _ := strings.Cut(body, ": ")
	again, _, found := strings.Cut(rest, ": ")
	switch { // a cycle's closing words begin with what its phase and the verb say
	case found && strings.EqualFold(word, again):
		body = rest
	case rest != "" && (strings.EqualFold(word, verb) || strings.EqualFold(word, verb+"d")):
		r, size := utf8.DecodeRuneInString(rest)
		body = string(unicode.ToUpper(r)) + rest[size:]
	}
	var parts []string
	for _, part := range field.FindAllString(body, -1) {
		if part = fieldWords(strings.TrimSpace(strings.TrimSuffix(part, ";"))); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

// field is what stands before a semicolon that is in no quotes. A quote that
// nothing closes is a letter like others.
var field = regexp.MustCompile(`(?:"(?:[^"\\]|\\.)*"|[^;])+(?:;|$)`)

func fieldWords(text string) string {
	switch text {
	case "plan", "shadow false", "accepts by itself false", "limited to *", "0 keys":
		return ""
	case "shadow true":
		return "in shadow mode"
	case "accepts by itself true":
		return "the machines need nobody to accept them"
	case "1 keys":
		return "1 key"
	}
	for _, name := range []string{"reason", "refused"} {
		quoted, ok := strings.CutPrefix(text, name+" ")
		if value, err := strconv.Unquote(quoted); ok && err == nil {
			if value == "" {
				return ""
			}
			return name + ": " + value
		}
	}
	return text
}
