package report

import (
	"bytes"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// What machines and people send can hold characters that are not seen but act:
// they turn the direction of the text around them, hide a part of a name, or
// steer the terminal of whoever prints the file. Templates and JSON escape what
// breaks out of a text; these two go over the finished file, so that no field
// can be forgotten.

// visible returns the page with each such character replaced by its code:
// ⟨U+202E⟩.
func visible(page []byte) []byte {
	return rewrite(page, func(out *bytes.Buffer, r rune) { fmt.Fprintf(out, "⟨U+%04X⟩", r) })
}

// escaped returns the JSON text with each such character as \u202e: it reads
// back as the same value.
func escaped(text []byte) []byte {
	return rewrite(text, func(out *bytes.Buffer, r rune) {
		if r > 0xffff {
			r -= 0x10000
			fmt.Fprintf(out, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
			return
		}
		fmt.Fprintf(out, `\u%04x`, r)
	})
}

func rewrite(text []byte, show func(*bytes.Buffer, rune)) []byte {
	var out bytes.Buffer
	out.Grow(len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if acts(r) {
			show(&out, r)
		} else {
			out.WriteRune(r) // a broken byte becomes U+FFFD
		}
		text = text[n:]
	}
	return out.Bytes()
}

// acts reports whether a character is not seen but acts. Line ends and tabs are
// the file's own.
func acts(r rune) bool {
	return r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
