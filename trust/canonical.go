package trust

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrNotCanonical is wrapped by [Decode] when a text is JSON, but not the one
// spelling that we sign.
var ErrNotCanonical = errors.New("not in canonical form")

// Canonical returns the one spelling of a value that is signed: fields in the
// order of the type, no white space, no escaping for HTML. It is for types of
// this product that always marshal; anything else is a fault of the program.
func Canonical(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("trust: %T does not marshal: %v", v, err))
	}
	return literal(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// literal writes U+FFFD as itself. encoding/json puts an escape where a string
// was no UTF-8 (what a package manager prints need not be), and the letter
// itself once that has been read back: two spellings of one text.
func literal(text []byte) []byte {
	escape := []byte(`\ufffd`)
	if !bytes.Contains(text, escape) {
		return text
	}
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		switch {
		case bytes.HasPrefix(text, escape):
			out, text = append(out, "\uFFFD"...), text[len(escape):]
		case text[0] == '\\': // the next byte belongs to it
			out, text = append(out, text[:2]...), text[2:]
		default:
			out, text = append(out, text[0]), text[1:]
		}
	}
	return out
}

// Decode reads into the pointer v and refuses unknown fields, trailing bytes
// and every spelling other than [Canonical]'s, duplicate keys with it.
func Decode(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("read JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: bytes after its end", ErrNotCanonical)
	}
	if !bytes.Equal(Canonical(v), text) {
		return ErrNotCanonical
	}
	return nil
}
