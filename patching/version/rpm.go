package version

import (
	"cmp"
	"strings"
)

// compareRPM compares epoch, version and release in turn, each as rpm's rpmvercmp does:
// https://rpm.org/docs/latest/man/rpm-version.7. A missing epoch is 0, a missing release
// comes before any.
//
// No library is used: the one at hand reads an epoch as a number, and calls all that are
// none the same.
func compareRPM(a, b string) int {
	x, y := splitRPM(a), splitRPM(b)
	return cmp.Or(
		compareSegments(x.epoch, y.epoch), compareSegments(x.version, y.version),
		cmp.Compare(x.releases, y.releases), compareSegments(x.release, y.release),
	)
}

type rpmVersion struct {
	epoch, version, release string
	releases                int // 0 or 1: an empty one is one too
}

func splitRPM(text string) rpmVersion {
	v := rpmVersion{epoch: "0", version: text}
	if epoch, rest, ok := strings.Cut(text, ":"); ok {
		v.epoch, v.version = epoch, rest
	}
	if i := strings.LastIndexByte(v.version, '-'); i >= 0 {
		v.version, v.release, v.releases = v.version[:i], v.version[i+1:], 1
	}
	return v
}

// compareSegments is rpmvercmp: runs of digits and of letters count, whatever stands
// between them does not; a tilde comes before the end, a caret after it.
func compareSegments(a, b string) int {
	for {
		a, b = strings.TrimLeftFunc(a, separates), strings.TrimLeftFunc(b, separates)
		switch {
		case has(a, '~') || has(b, '~'):
			if !has(a, '~') {
				return 1
			}
			if !has(b, '~') {
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		case has(a, '^') || has(b, '^'):
			switch {
			case a == "":
				return -1
			case b == "":
				return 1
			case !has(a, '^'):
				return 1
			case !has(b, '^'):
				return -1
			}
			a, b = a[1:], b[1:]
			continue
		case a == "" || b == "":
			return cmp.Compare(min(len(a), 1), min(len(b), 1))
		}
		kind := letter
		if digit(rune(a[0])) {
			kind = digit
		}
		var x, y string
		x, a = run(a, kind)
		y, b = run(b, kind)
		if y == "" { // a number is newer than a word
			if kind(rune('0')) {
				return 1
			}
			return -1
		}
		if kind(rune('0')) {
			x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if c := cmp.Compare(len(x), len(y)); c != 0 {
				return c
			}
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
}

func has(s string, c byte) bool { return s != "" && s[0] == c }

func digit(r rune) bool  { return r >= '0' && r <= '9' }
func letter(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }

func separates(r rune) bool { return !digit(r) && !letter(r) && r != '~' && r != '^' }

// run cuts off what stands at the beginning of one kind.
func run(s string, kind func(rune) bool) (segment, rest string) {
	n := strings.IndexFunc(s, func(r rune) bool { return !kind(r) })
	if n < 0 {
		n = len(s)
	}
	return s[:n], s[n:]
}
