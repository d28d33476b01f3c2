package gate

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

const nobodyActs = "Nobody needs to act."

func (c *seen) nothingReleasedWords() string {
	switch {
	case c.Tally.Planned <= 0:
		return "There are no machines here to judge."
	case c.SoakUntil.IsZero():
		return fmt.Sprintf("None started yet of %s; the first batch may go.", machines(c.Tally.Planned))
	case c.now.Before(c.GiveUp):
		return fmt.Sprintf("None started yet of %s; waiting until %s at the latest. %s", machines(c.Tally.Planned), phrase.Moment(c.GiveUp), nobodyActs)
	default:
		return fmt.Sprintf("None started of %s, so nothing is known about the patch.", machines(c.Tally.Planned))
	}
}

func (c *seen) sameWords(s patching.SignatureCount) string {
	return fmt.Sprintf("%d of %s failed in the same way (%s); the limit is %d.", s.Count, machines(c.Tally.Answered), s.Signature, c.Params.Same)
}

func (c *seen) badCountWords() string {
	return fmt.Sprintf("%s; the limit is %d.", c.failures(), c.Params.BadCount)
}

func (c *seen) badShareWords() string {
	return fmt.Sprintf("%s (%s of the answers); the limit is %s.",
		c.failures(), share(percent(c.bad, c.Tally.Answered)), share(c.Params.BadPercent))
}

// failures says how many machines failed and how many problems people reported.
func (c *seen) failures() string {
	s := fmt.Sprintf("%d of %s failed", c.Tally.Bad(), machines(c.Tally.Answered))
	if n := c.Tally.Reported; n > 0 {
		s += fmt.Sprintf(", and people reported %s", phrase.Count(n, "problem"))
	}
	return s
}

func (c *seen) silentWords() string {
	return fmt.Sprintf("%d of %s did not answer although the path to them was up (%s); the limit is %s.",
		c.silent, machines(c.Tally.Released), share(percent(c.silent, c.Tally.Released)), share(c.Params.Unreachable))
}

// missingAnswers returns how many more results are needed before going on.
func (c *seen) missingAnswers() int {
	need := max(1, int(c.Params.Answered/100*float64(c.Tally.Released))-1)
	for need < c.Tally.Released && percent(need, c.Tally.Released) < c.Params.Answered {
		need++
	}
	return max(1, need-c.Tally.Answered)
}

func (c *seen) waitingWords(missing int) string {
	return fmt.Sprintf("Waiting for %s: %d of %s answered%s. It ends at %s at the latest. %s",
		phrase.Count(missing, "more result"), c.Tally.Answered, machines(c.Tally.Released), c.unheard(), phrase.Moment(c.GiveUp), nobodyActs)
}

func (c *seen) noAnswerWords() string {
	return fmt.Sprintf("None answered of %s that started%s: nothing is known about the patch.", machines(c.Tally.Released), c.unheard())
}

func (c *seen) soakWords() string {
	return fmt.Sprintf("%s. Watching until %s. %s", c.failures(), phrase.Moment(c.SoakUntil), nobodyActs)
}

func (c *seen) hoursWords(healthy int, until time.Time) string {
	return fmt.Sprintf("Watched for %s of %s host-hours with %s; looking again at %s. %s",
		number(c.Tally.HostHours), number(c.Params.HostHours), machines(healthy), phrase.Moment(until), nobodyActs)
}

func (c *seen) tooFewHoursWords(healthy int) string {
	if healthy <= 0 {
		return fmt.Sprintf("No machine is left that could gather the %s host-hours asked for.", number(c.Params.HostHours))
	}
	return fmt.Sprintf("Only %s of %s host-hours were gathered, and the time to wait for them is over.",
		number(c.Tally.HostHours), number(c.Params.HostHours))
}

func (c *seen) passedWords() string {
	parts := []string{fmt.Sprintf("%d of %s answered", c.Tally.Answered, machines(c.Tally.Released))}
	if c.bad == 0 {
		parts = append(parts, "none failed")
	} else {
		parts = append(parts, fmt.Sprintf("%d failed", c.Tally.Bad()))
	}
	if n := c.Tally.Reported; n > 0 {
		parts = append(parts, "people reported "+phrase.Count(n, "problem"))
	}
	if n := c.Tally.Waiting(); n > 0 {
		parts = append(parts, fmt.Sprintf("%d unknown%s", n, c.unheard()))
	}
	if !c.SoakUntil.IsZero() && c.Params.HostHours > 0 {
		parts = append(parts, fmt.Sprintf("%s host-hours watched", number(c.Tally.HostHours)))
	}
	return strings.Join(parts, ", ") + "."
}

// unheard names the machines whose silence says nothing.
func (c *seen) unheard() string {
	if c.Tally.PathDown <= 0 {
		return ""
	}
	return fmt.Sprintf(" (the path to %d was down)", c.Tally.PathDown)
}

func machines(n int) string { return phrase.Count(n, "machine") }

func share(p float64) string { return number(p) + " %" }

// number prints at most one decimal.
func number(f float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
}
