package trust

import "time"

// MaxSkew is how far a machine's clock may be from the server's signed time.
// Beyond it nothing starts: the window could not be judged.
const MaxSkew = 10 * time.Minute

// ClockOff is how far a clock that shows at is ahead of now, negative: behind; 0:
// not so far that a window could not be judged by it.
func ClockOff(at, now time.Time) time.Duration {
	if off := at.Sub(now); off.Abs() > MaxSkew {
		return off
	}
	return 0
}

// ClockNews reports whether a clock that is off by so much is worth telling to
// whoever knows of another difference.
func ClockNews(off, known time.Duration) bool {
	return (off == 0) != (known == 0) || (off-known).Abs() > MaxSkew
}
