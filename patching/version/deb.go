package version

import (
	"cmp"
	"strconv"
	"strings"
)

// debianVersion is epoch:upstream-revision, as deb-version(7) parts it.
type debianVersion struct {
	epoch              int
	upstream, revision string
}

// compareDebian compares epoch, upstream version and revision in turn, as dpkg does.
//
// No library is used: the one at hand takes ten times as long, which counts where a feed
// lists millions of versions, and reads digits into a number, so that those of which there
// are too many for one are all the same.
func compareDebian(a, b string) (int, bool) {
	x, okX := parseDebian(a)
	y, okY := parseDebian(b)
	if !okX || !okY {
		return 0, false
	}
	return cmp.Or(
		cmp.Compare(x.epoch, y.epoch), compareRuns(x.upstream, y.upstream), compareRuns(x.revision, y.revision),
	), true
}

func parseDebian(text string) (v debianVersion, ok bool) {
	v.upstream = strings.TrimSpace(text)
	if epoch, rest, has := strings.Cut(v.upstream, ":"); has {
		n, err := strconv.ParseUint(epoch, 10, 31)
		if err != nil {
			return v, false
		}
		v.epoch, v.upstream = int(n), rest //nolint:gosec // of 31 bits
	}
	if i := strings.LastIndexByte(v.upstream, '-'); i >= 0 {
		v.upstream, v.revision = v.upstream[:i], v.upstream[i+1:]
	}
	if v.upstream == "" || !digit(rune(v.upstream[0])) {
		return v, false
	}
	return v, consistsOf(v.upstream, ".-+~:_") && consistsOf(v.revision, ".+~_")
}

func consistsOf(text, signs string) bool {
	for i := range len(text) {
		if c := rune(text[i]); !digit(c) && !letter(c) && strings.IndexByte(signs, text[i]) < 0 {
			return false
		}
	}
	return true
}

// compareRuns is dpkg's verrevcmp: what is no digit is compared sign by sign, then the
// number that follows, and so on. What is not there is like nought.
func compareRuns(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !digit(rune(a[0])) || b != "" && !digit(rune(b[0])) {
			if c := cmp.Compare(weight(a), weight(b)); c != 0 {
				return c
			}
			a, b = a[1:], b[1:] // neither has ended: the end weighs as no other sign does
		}
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		var x, y string
		x, a = run(a, digit)
		y, b = run(b, digit)
		if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
			return c
		}
	}
	return 0
}

// weight orders a sign: a tilde comes before the end and before a number, letters after
// those, and any other sign after letters.
func weight(s string) int {
	switch {
	case s == "" || digit(rune(s[0])):
		return 0
	case s[0] == '~':
		return -1
	case letter(rune(s[0])):
		return int(s[0])
	default:
		return int(s[0]) + 256
	}
}
