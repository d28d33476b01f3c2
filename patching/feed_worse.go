package patching

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// feedFuture is how far ahead of our clock a publisher's may be.
const feedFuture = 24 * time.Hour

// Worse says in a sentence why an edition must not take the place of the one that is
// kept; empty: it may. A publisher's accident looks like an attack: both bring a feed
// that says less than it did, or what it said before.
//
// The one that is kept may be none. It is not compared by a date that has not come: that
// would refuse all that follow.
func (e FeedEdition) Worse(kept FeedEdition, now time.Time) string {
	if e.Empty() {
		return "It says nothing that we know how to read."
	}
	if e.Made.After(now.Add(feedFuture)) {
		return fmt.Sprintf("It says that it was made on %s, which has not come.", feedDay(e.Made))
	}
	if why := e.lost(kept); why != "" {
		return why
	}
	if why := e.older(kept, now); why != "" {
		return why
	}
	if why := e.shrunk(kept); why != "" {
		return why
	}
	if kept.Signed && !e.Signed {
		return "Nobody whose key we have has signed it, and the one before was signed."
	}
	return ""
}

// lost says which format is gone. Kinds alone do not tell: the scores of EPSS are risks
// as the catalogue of KEV is, and many more.
func (e FeedEdition) lost(kept FeedEdition) string {
	for _, format := range slices.Sorted(maps.Keys(kept.Formats)) {
		if len(e.Formats[format]) == 0 {
			return fmt.Sprintf("It has nothing in the format %s, as the one before had: it has %s. Is it the file of another feed?",
				format, strings.Join(slices.Sorted(maps.Keys(e.Formats)), ", "))
		}
	}
	return ""
}

// shrunk compares by format and kind, or by kind alone with an edition of which the
// formats are not known.
func (e FeedEdition) shrunk(kept FeedEdition) string {
	if len(kept.Formats) == 0 {
		return half(e.Records, kept.Records, "")
	}
	for _, format := range slices.Sorted(maps.Keys(kept.Formats)) {
		where := ""
		if len(kept.Formats) > 1 {
			where = " in the format " + format
		}
		if why := half(e.Formats[format], kept.Formats[format], where); why != "" {
			return why
		}
	}
	return ""
}

func half(is, was map[string]int, where string) string {
	for _, kind := range slices.Sorted(maps.Keys(was)) {
		if is[kind]*2 < was[kind] {
			return fmt.Sprintf("It has less than half of the %s%s: %d, and the one before had %d.", kind, where, is[kind], was[kind])
		}
	}
	return ""
}

func (e FeedEdition) older(kept FeedEdition, now time.Time) string {
	if kept.Made.After(now.Add(feedFuture)) {
		kept.Made = time.Time{}
	}
	switch {
	case kept.Made.IsZero():
	case e.Made.IsZero():
		return fmt.Sprintf("It does not say when it was made, and the one before did: %s.", feedDay(kept.Made))
	case e.Made.Before(kept.Made):
		return fmt.Sprintf("It was made on %s, before the one that is kept, of %s.", feedDay(e.Made), feedDay(kept.Made))
	}
	was, is := revisionNumbers(kept.Revision), revisionNumbers(e.Revision)
	if len(was) > 0 && len(is) > 0 && slices.Compare(is, was) < 0 {
		return fmt.Sprintf("It is revision %s, and the one that is kept is %s: it went back.", e.Revision, kept.Revision)
	}
	return ""
}

func feedDay(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }

// revisionNumbers reads a revision that counts: 2026.08.21. Names, hashes and dates in
// words have no order that we know.
func revisionNumbers(revision string) []int {
	parts := strings.Split(revision, ".")
	if len(parts) < 2 {
		return nil
	}
	numbers := make([]int, 0, len(parts))
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || n < 0 {
			return nil
		}
		numbers = append(numbers, n)
	}
	return numbers
}
