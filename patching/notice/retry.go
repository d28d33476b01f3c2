package notice

import "time"

// How long a message is tried again: a wrong password or a full mailbox is mended by
// a person, who may be away over a weekend.
const (
	firstRetry = time.Minute
	lastRetry  = 6 * time.Hour
	giveUp     = 72 * time.Hour
)

// Retry returns when a message that failed so many times is tried again; ok is false
// when it was made so long ago that it is given up.
func Retry(made, now time.Time, failed int) (next time.Time, ok bool) {
	wait := lastRetry
	if n := failed - 1; n < 9 { // 2^9 minutes are more than the longest wait
		wait = min(wait, firstRetry<<max(0, n))
	}
	return now.Add(wait), now.Sub(made) < giveUp
}
