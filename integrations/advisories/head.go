package advisories

import (
	"bytes"
	"encoding/xml"
	"io"
	"path"
	"slices"
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
// It is asked for each document of an archive by each feed, and so does not decode.
func (h Head) Keys() (keys []string) {
	text := h.text()
	if !bytes.HasPrefix(text, []byte("{")) {
		return nil
	}
	depth, key := 0, false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth++
			key = depth == 1
		case '}', ']':
			if depth--; depth == 0 {
				return keys
			}
		case ',':
			key = depth == 1
		case '"':
			n := quoted(text[i+1:])
			if n < 0 {
				return keys
			}
			if key {
				keys, key = append(keys, string(text[i+1:i+1+n])), false
			}
			i += n + 1
		}
	}
	return keys
}

// quoted is how long a JSON string is, of which the first quotation mark has been read;
// less than 0 if it does not end.
func quoted(text []byte) int {
	for i := 0; ; i++ {
		n := bytes.IndexByte(text[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		escapes := 0
		for escapes < i && text[i-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
	}
}

// Has reports whether all keys are among the outermost fields.
func (h Head) Has(keys ...string) bool {
	all := h.Keys()
	for _, k := range keys {
		if !slices.Contains(all, k) {
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
