package inventories

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
)

// plainText is a text as UTF-8 without a byte order mark. Windows' own tools write
// UTF-16, which is told by its mark, or by the zero that is every other byte of Latin
// letters.
func plainText(b []byte) ([]byte, error) {
	order, marked := unicode.LittleEndian, true
	switch {
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		order = unicode.BigEndian
	case len(b) >= 4 && b[0] != 0 && b[1] == 0 && b[2] != 0 && b[3] == 0:
		marked = false
	default:
		return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), nil
	}
	policy := unicode.IgnoreBOM
	if marked {
		policy = unicode.ExpectBOM
	}
	out, err := unicode.UTF16(order, policy).NewDecoder().Bytes(b)
	if err != nil {
		return nil, fmt.Errorf("as UTF-16: %w", err)
	}
	return out, nil
}

// The encodings of tables that are asked for by name.
const (
	EncodingUTF8   = "utf-8"
	EncodingLatin1 = "latin-1"
	Encoding1252   = "windows-1252"
)

// Encodings are those that a table can be said to have. UTF-16 is told by itself.
func Encodings() []string { return []string{EncodingUTF8, EncodingLatin1, Encoding1252} }

// tableText is plainText of a table whose encoding may have been named. Without a name
// what is no UTF-8 is refused: several encodings give each byte a letter, and only who
// made the file knows which was meant.
func tableText(b []byte, encoding string) ([]byte, error) {
	var one *charmap.Charmap
	switch encoding {
	case "", EncodingUTF8:
	case EncodingLatin1:
		one = charmap.ISO8859_1
	case Encoding1252:
		one = charmap.Windows1252
	default:
		return nil, fmt.Errorf("encoding %q: want one of %v", encoding, Encodings())
	}
	if one != nil && !bytes.HasPrefix(b, []byte("\xff\xfe")) && !bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		return one.NewDecoder().Bytes(b)
	}
	text, err := plainText(b)
	if err != nil {
		return nil, err
	}
	for rest, line := text, 1; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 {
			return nil, &notUTF8{line: line, value: rest[0]}
		}
		if r == '\n' {
			line++
		}
		rest = rest[n:]
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, errors.New("it has zero bytes: it is no text")
	}
	return text, nil
}

type notUTF8 struct {
	line  int
	value byte
}

func (e *notUTF8) Error() string {
	return fmt.Sprintf("line %d: byte 0x%02X is no UTF-8: save it as UTF-8, or say --encoding %s or %s", e.line, e.value, EncodingLatin1, Encoding1252)
}
