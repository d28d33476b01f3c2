package store

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// micros is how a time is stored: microseconds since 1970, 0 for no time.
// Both engines compare and add such numbers alike, without time zones.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// instant scans a stored time.
type instant struct{ to *time.Time }

func (i instant) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("time is stored as %T, want microseconds", v)
	}
	*i.to = fromMicros(n)
	return nil
}

// span scans a stored length of time.
type span struct{ to *time.Duration }

func (s span) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a length of time is stored as %T, want microseconds", v)
	}
	*s.to = time.Duration(n) * time.Microsecond
	return nil
}

// jsonText is how a list or a document inside a row is stored; an empty list is
// the empty text.
func jsonText[T any](list []T) string {
	if len(list) == 0 {
		return ""
	}
	return encode(list)
}

// encode cannot fail: it is only given plain values of this package.
func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// document scans a stored list or document.
type document struct{ to any }

func (d document) Scan(v any) error {
	switch v := v.(type) {
	case string:
		if v == "" {
			return nil
		}
		return json.Unmarshal([]byte(v), d.to)
	case []byte:
		if len(v) == 0 {
			return nil
		}
		return json.Unmarshal(v, d.to)
	}
	return fmt.Errorf("document is stored as %T, want text", v)
}

// list turns typed ids or states into plain strings.
func list[T ~string](values []T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

// signed returns a counter as both engines can store it.
func signed(n uint64) (int64, error) {
	if n > math.MaxInt64 {
		return 0, fmt.Errorf("counter %d is too large to store", n)
	}
	return int64(n), nil
}

// maxDetail bounds what a machine may say in one field, in bytes: its words go
// into rows that are read by the thousand.
const maxDetail = 4096

// clean makes what a machine sent storable. PostgreSQL refuses a NUL and
// invalid UTF-8, and a single machine must not make a batch of 500 fail.
func clean[T ~string](s T) T {
	out := strings.ReplaceAll(strings.ToValidUTF8(string(s), "\uFFFD"), "\x00", "\uFFFD")
	if len(out) > maxDetail {
		out = out[:maxDetail]
		for !utf8.ValidString(out) {
			out = out[:len(out)-1]
		}
	}
	return T(out)
}

func cleanAll(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = clean(v)
	}
	return out
}

// pattern makes a LIKE pattern that finds the words anywhere; use it with
// ESCAPE '\'.
func pattern(words string) string {
	escaped := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(words))
	return "%" + escaped + "%"
}

// blob makes no bytes an empty blob: columns are never NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// cmpText orders bulk rows by a text column.
func cmpText(a, b any) int {
	x, _ := a.(string)
	y, _ := b.(string)
	return strings.Compare(x, y)
}
