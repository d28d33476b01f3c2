package relay

import (
	"sync"
	"time"
)

// line is what is known of the way to the server.
type line struct {
	grace time.Duration
	now   func() time.Time

	mu      sync.Mutex
	failing time.Time // since when nothing came through; zero: it works
	tried   time.Time
	why     string
	down    bool
	// cut is closed when the line goes down, and made anew when it is back.
	cut chan struct{}
}

// probeEvery is how often a line that is down is tried by whoever has something
// to send.
const probeEvery = 5 * time.Second

func newLine(grace time.Duration, now func() time.Time) *line {
	return &line{grace: grace, now: now, cut: make(chan struct{})}
}

// works notes that something came through, and reports whether that is news.
func (l *line) works() (back bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	back = l.down
	if l.down {
		l.down, l.cut = false, make(chan struct{})
	}
	l.failing, l.why = time.Time{}, ""
	return back
}

// failed notes that nothing came through. It counts as down after the grace: a
// server that is restarted is no reason for a whole site to look for other ways.
func (l *line) failed(err error) {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried, l.why = now, err.Error()
	if l.failing.IsZero() {
		l.failing = now
	}
	if !l.down && now.Sub(l.failing) >= l.grace {
		l.down = true
		close(l.cut)
	}
}

// mayTry reports whether something should be sent now: always while the line
// works, and once in a while when it does not.
func (l *line) mayTry() bool {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.failing.IsZero() && now.Sub(l.tried) < probeEvery {
		return false
	}
	l.tried = now
	return true
}

// isFailing reports whether the last attempt failed.
func (l *line) isFailing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.failing.IsZero()
}

// wait returns whether the line is down now, and what is closed when it goes down.
func (l *line) wait() (down bool, cut <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		return true, nil
	}
	return false, l.cut
}

// outage says since when the line fails, and why; zero: it works.
func (l *line) outage() (since time.Time, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failing, l.why
}
