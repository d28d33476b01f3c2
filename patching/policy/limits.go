package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// field is a key of a group, as the type's tags describe it.
type field struct {
	index    int
	required bool
	list     bool
	limits
}

// limits are the part of the published schema that is checked as a value is
// read: both come from the same tag.
type limits struct {
	enum                                     []string
	minLength, maxLength, minItems, maxItems int
	minimum, above, maximum                  *float64
}

// keys returns the keys of a group by name.
func keys(t reflect.Type) map[string]field {
	fields := map[string]field{}
	for i := range t.NumField() {
		f := t.Field(i)
		fields[f.Tag.Get("yaml")] = parseTag(f, i)
	}
	return fields
}

func parseTag(f reflect.StructField, index int) field {
	out := field{index: index, list: f.Type.Kind() == reflect.Slice}
	number := func(s string) *float64 {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil
		}
		return &n
	}
	for part := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "required":
			out.required = true
		case "enum":
			out.enum = append(out.enum, value)
		case "minimum":
			out.minimum = number(value)
		case "exclusiveMinimum":
			out.above = number(value)
		case "maximum":
			out.maximum = number(value)
		case "minLength":
			out.minLength, _ = strconv.Atoi(value)
		case "maxLength":
			out.maxLength, _ = strconv.Atoi(value)
		case "minItems":
			out.minItems, _ = strconv.Atoi(value)
		case "maxItems":
			out.maxItems, _ = strconv.Atoi(value)
		}
	}
	return out
}

// checkText says what is wrong with a text; empty: nothing.
func (l limits) checkText(s string) string {
	switch {
	case len(l.enum) > 0 && !slices.Contains(l.enum, s):
		return "is not a choice"
	case strings.TrimSpace(s) == "" && l.minLength > 0:
		return "is empty"
	case l.maxLength > 0 && utf8.RuneCountInString(s) > l.maxLength:
		return "is too long"
	}
	return ""
}

func (l limits) checkNumber(n float64) string {
	switch {
	case l.minimum != nil && n < *l.minimum, l.above != nil && n <= *l.above:
		return "is too small"
	case l.maximum != nil && n > *l.maximum:
		return "is too large"
	}
	return ""
}

// way says what is accepted instead of what was written.
func (l limits) way(written string) string {
	if best := nearest(written, l.enum); best != "" {
		return "write " + best
	}
	switch {
	case len(l.enum) > 0:
		return "write " + either(l.enum)
	case l.above != nil && l.maximum != nil:
		return fmt.Sprintf("write a number above %g, up to %g", *l.above, *l.maximum)
	case l.minimum != nil && l.maximum != nil:
		return fmt.Sprintf("write a number from %g to %g", *l.minimum, *l.maximum)
	case l.minimum != nil:
		return fmt.Sprintf("write a number from %g on", *l.minimum)
	case l.maxLength > 0:
		return fmt.Sprintf("write %d characters at most", l.maxLength)
	}
	return "write at least a word"
}

// missing says how to add the key.
func (f field) missing(name string) string {
	if f.list {
		return fmt.Sprintf("add \"%s:\" and a list under it", name)
	}
	return fmt.Sprintf("add \"%s:\" and its value", name)
}

// nearest returns the word that a mistyped one was probably meant to be; empty
// if none is near.
func nearest(typed string, words []string) string {
	best, least := "", 1+len(typed)/3
	if len(typed) > 100 || len(words) > 200 {
		return ""
	}
	for _, w := range words {
		if d := distance(strings.ToLower(typed), w); d <= least {
			best, least = w, d-1
		}
	}
	return best
}

// distance counts the letters to insert, remove or replace (Levenshtein), and
// two neighbours that changed places as one.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	rows := make([][]int, len(x)+1)
	for i := range rows {
		rows[i] = make([]int, len(y)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(x); i++ {
		for j := 1; j <= len(y); j++ {
			differ := 1
			if x[i-1] == y[j-1] {
				differ = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+differ)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(x)][len(y)]
}

func either(words []string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
