package notice

import (
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// Span is a time in which a part of the path listened.
type Span struct{ Since, Until time.Time }

// heardIn adds up for how long a part listened between two instants.
func heardIn(spans []Span, since, until time.Time) time.Duration {
	var total time.Duration
	for _, s := range spans {
		from, to := s.Since, s.Until
		if from.Before(since) {
			from = since
		}
		if to.After(until) {
			to = until
		}
		total += max(0, to.Sub(from))
	}
	return total
}

// Mute is a machine that has said nothing for a while.
type Mute struct {
	Asset    patching.AssetID
	Hostname string
	Site     patching.SiteName
	Owner    string
	// Relay is the route by which it was last heard; empty: direct.
	Relay string
	// Since is when it was last heard, or when it enrolled; Never says that nothing
	// came after that.
	Since time.Time
	Never bool
}

// Part returns the name under which the path notes that it listened besides the
// server; empty: the machine speaks to the server itself.
func (m Mute) Part() string {
	if m.Relay == "" {
		return ""
	}
	return "relay/" + m.Relay
}

// Silent says whether an agent no longer reports: whether server and relay listened
// for longer than the threshold since it was last heard. While they did not, its
// silence says nothing. What was silent again later is another notice.
func Silent(m Mute, server, relay []Span, threshold time.Duration, now time.Time) (n Notice, ok bool) {
	heard := heardIn(server, m.Since, now)
	if m.Relay != "" {
		heard = min(heard, heardIn(relay, m.Since, now))
	}
	if heard < threshold {
		return Notice{}, false
	}
	words := fmt.Sprintf("not heard since %s (%s)", phrase.Moment(m.Since), phrase.About(now.Sub(m.Since)))
	if m.Never {
		words = fmt.Sprintf("enrolled on %s and never heard since", phrase.Moment(m.Since))
	}
	subject := m.Hostname
	if subject == "" {
		subject = string(m.Asset)
	}
	at := m.Site
	if at == "" {
		at = patching.Roaming
	}
	return Notice{
		ID: ID(fmt.Sprintf("%s/%s/%d", AgentSilent, m.Asset, m.Since.UnixMicro())), Kind: AgentSilent, Severity: Routine,
		Site: at, Owner: m.Owner, Subject: subject, Words: words, At: m.Since,
	}, true
}
