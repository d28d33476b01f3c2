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
	total := 0
	for _, n := range e.Records {
		total += n
	}
	if total == 0 {
		return "It says nothing that we know how to read."
	}
	if e.Made.After(now.Add(feedFuture)) {
		return fmt.Sprintf("It says that it was made on %s, which has not come.", feedDay(e.Made))
	}
	if why := e.older(kept, now); why != "" {
		return why
	}
	for _, kind := range slices.Sorted(maps.Keys(kept.Records)) {
		if was, is := kept.Records[kind], e.Records[kind]; is*2 < was {
			return fmt.Sprintf("It has less than half of the %s: %d, and the one before had %d.", kind, is, was)
		}
	}
	if kept.Signed && !e.Signed {
		return "Nobody whose key we have has signed it, and the one before was signed."
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
