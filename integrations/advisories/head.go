package advisories

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"io"
	"path"
	"strings"
)

// headBytes is how much of a document is looked at to recognise it.
const headBytes = 64 << 10

// Head is what a document is recognised by.
type Head struct {
	// Name is its path; of one in an archive, the archive's path before it.
	Name string
	// Start is the beginning of the plain text, at most 64 KiB.
	Start []byte
}

// Base is the last part of the name.
func (h Head) Base() string { return path.Base(h.Name) }

// Keys lists the fields of a JSON document's outermost object, as far as they begin
// within the head; nil if it is none. Values that the head cuts off count by their key.
func (h Head) Keys() (keys []string) {
	d := json.NewDecoder(bytes.NewReader(h.text()))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil
	}
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return keys
		}
		switch t := t.(type) {
		case json.Delim:
			if t == '{' || t == '[' {
				depth++
			} else if depth--; depth < 0 {
				return keys
			}
			continue
		case string:
			if depth > 0 {
				continue
			}
			keys = append(keys, t)
			// What follows is its value: a group is walked through, anything else skipped.
			if next, err := d.Token(); err != nil {
				return keys
			} else if delim, ok := next.(json.Delim); ok && (delim == '{' || delim == '[') {
				depth++
			}
		}
	}
}

// Has reports whether all keys are among the outermost fields.
func (h Head) Has(keys ...string) bool {
	all := " " + strings.Join(h.Keys(), " ") + " "
	for _, k := range keys {
		if !strings.Contains(all, " "+k+" ") {
			return false
		}
	}
	return true
}

// Root is the local name of an XML document's outermost element; empty if it is none.
func (h Head) Root() string {
	text := h.text()
	if !bytes.HasPrefix(text, []byte("<")) {
		return ""
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	for {
		t, err := d.RawToken()
		if err != nil {
			return ""
		}
		if e, ok := t.(xml.StartElement); ok {
			return e.Name.Local
		}
	}
}

// Line is the first line, without spaces around it.
func (h Head) Line() string {
	line, _, _ := bytes.Cut(h.text(), []byte("\n"))
	return string(bytes.TrimSpace(line))
}

// text is the start without a byte order mark and the white space before it.
func (h Head) text() []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(h.Start, []byte("\xef\xbb\xbf")), " \t\r\n")
}
