package advisories

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// maxDepth is how deep groups may be within each other: three times what the deepest
// feed has.
const maxDepth = 64

var errDeep = fmt.Errorf("its groups are nested more than %d deep", maxDepth)

// decodeJSON reads one JSON value, and nothing after it.
func decodeJSON(in io.Reader, into any) error {
	d := json.NewDecoder(&plainJSON{in: in})
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("something follows it")
		}
		return fmt.Errorf("JSON: %w", err)
	}
	return nil
}

// newXML returns a decoder that is bounded in depth, and refuses declarations: what
// they define is how a kilobyte becomes a gigabyte.
func newXML(in io.Reader) *xml.Decoder {
	raw := xml.NewDecoder(in)
	raw.CharsetReader = func(name string, in io.Reader) (io.Reader, error) {
		if !strings.EqualFold(name, "utf-8") {
			return nil, fmt.Errorf("it is written in %.40q: want UTF-8", name)
		}
		return in, nil
	}
	return xml.NewTokenDecoder(&plainXML{in: raw})
}

type plainXML struct {
	in    *xml.Decoder
	depth int
}

func (p *plainXML) Token() (xml.Token, error) {
	t, err := p.in.RawToken()
	switch t := t.(type) {
	case xml.StartElement:
		if p.depth++; p.depth > maxDepth {
			return nil, errDeep
		}
	case xml.EndElement:
		p.depth--
	case xml.Directive:
		return nil, fmt.Errorf("it has a declaration (<!%.20s): a feed needs none", t)
	}
	return t, err
}

// eachXML calls found for each element of a name, wherever it is, and returns when the
// document has ended. Found decodes it.
func eachXML(in io.Reader, name string, found func(*xml.Decoder, xml.StartElement) error) error {
	return walkXML(in, map[string]func(*xml.Decoder, xml.StartElement) error{name: found})
}

// walkXML is eachXML for elements of several names.
func walkXML(in io.Reader, found map[string]func(*xml.Decoder, xml.StartElement) error) error {
	d := newXML(in)
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("XML: %w", err)
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if f := found[e.Name.Local]; f != nil {
			if err := f(d, e); err != nil {
				return err
			}
		}
	}
}

// when reads a time in one of the forms that feeds use; empty is zero. One without a
// zone is in UTC.
func when(text string) (time.Time, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05Z0700", time.DateTime, time.DateOnly,
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%.40q is no time", text)
}
