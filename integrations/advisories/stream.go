package advisories

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// eachJSON reads a JSON object with a list that is too long to be held at once. It calls
// found for each element, which has to decode it. Of the other outermost fields it
// decodes those in fields, by name, and passes over the rest.
func eachJSON(in io.Reader, list string, found func(*json.Decoder) error, fields map[string]any) error {
	d := json.NewDecoder(&plainJSON{in: in})
	if err := delim(d, '{'); err != nil {
		return err
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("JSON: %w", err)
		}
		key, _ := t.(string) // nothing else can stand there
		if seen[key] && (key == list || fields[key] != nil) {
			return fmt.Errorf("JSON: %q is there twice", key)
		}
		seen[key] = true
		switch into, known := fields[key]; {
		case key == list:
			err = elements(d, found)
		case known:
			err = d.Decode(into)
		default:
			err = d.Decode(&json.RawMessage{})
		}
		if err != nil {
			return fmt.Errorf("%.40s: %w", key, err)
		}
	}
	if err := delim(d, '}'); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("JSON: something follows it")
	}
	if !seen[list] {
		return fmt.Errorf("JSON: it has no %q", list)
	}
	return nil
}

func elements(d *json.Decoder, found func(*json.Decoder) error) error {
	if err := delim(d, '['); err != nil {
		return err
	}
	for d.More() {
		if err := found(d); err != nil {
			return err
		}
	}
	return delim(d, ']')
}

// delim reads one brace or bracket.
func delim(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	if t != want {
		return fmt.Errorf("JSON: %.40q stands where %s should", fmt.Sprint(t), want)
	}
	return nil
}
