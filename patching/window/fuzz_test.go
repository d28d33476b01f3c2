package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/window"
)

// A rule, a duration, an hour or a day that is accepted is read again as the same, and an
// error points into the rule.
func FuzzRules(f *testing.F) {
	for _, r := range []string{"always", "daily 22:00 for 4h", "weekly sat,sun 22:00 for 6h in Europe/Berlin", "monthly 2nd tue+2 20:00 for 8h", "1d2h3m4s", "22:30", "mon"} {
		f.Add(r)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := window.Parse(text)
		var wrong *window.SyntaxError
		if err == nil {
			again, err := window.Parse(r.String())
			require.NoError(t, err)
			require.Equal(t, r, again)
		} else {
			require.ErrorAs(t, err, &wrong)
			require.LessOrEqual(t, wrong.Offset+wrong.Length, len(text))
			require.GreaterOrEqual(t, min(wrong.Offset, wrong.Length), 0)
		}
		if r, loc, err := window.ParseSigned(text); err == nil {
			require.Equal(t, text, r.Signed(loc))
		}
		if d, err := window.ParseDuration(text); err == nil {
			again, err := window.ParseDuration(window.FormatDuration(d))
			require.NoError(t, err)
			require.Equal(t, d, again)
		}
		if hour, minute, err := window.ParseClock(text); err == nil {
			require.Less(t, time.Duration(hour)*time.Hour+time.Duration(minute)*time.Minute, 24*time.Hour)
		}
		if d, err := window.ParseWeekday(text); err == nil {
			require.Equal(t, text, window.FormatWeekday(d))
		}
	})
}
