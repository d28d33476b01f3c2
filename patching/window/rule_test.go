package window_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/window"
)

func TestARuleHasOneCanonicalSpelling(t *testing.T) {
	for written, canonical := range map[string]string{
		"always":                                  "always",
		"daily 22:00 for 4h":                      "daily 22:00 for 4h",
		"  daily   00:00  for 1440m ":             "daily 00:00 for 24h",
		"weekly sun,sat 22:00 for 6h":             "weekly sat,sun 22:00 for 6h",
		"weekly mon 22:00 for 7d":                 "weekly mon 22:00 for 7d",
		"weekly sun,mon,tue 22:00 for 90m":        "weekly mon,tue,sun 22:00 for 1h30m",
		"monthly 2nd tue+2 20:00 for 8h":          "monthly 2nd tue+2 20:00 for 8h",
		"monthly 4th sun+14 23:59 for 28d":        "monthly 4th sun+14 23:59 for 28d",
		"monthly 1st mon 00:00 for 1d":            "monthly 1st mon 00:00 for 24h",
		"weekly fri,mon 05:00 for 3d":             "weekly mon,fri 05:00 for 3d",
		"daily 13:37 for 1m":                      "daily 13:37 for 1m",
		"weekly mon,tue,wed,thu 01:00 for 1h1m0s": "weekly mon,tue,wed,thu 01:00 for 1h1m",
	} {
		r, err := window.Parse(written)
		require.NoError(t, err, written)
		assert.Equal(t, canonical, r.String())
		assert.Equal(t, r, rule(t, r.String()))
	}
}

func TestAWrongRuleIsMarkedWhereItIsWrong(t *testing.T) {
	cases := map[string]struct{ marked, what, way string }{
		"":                                  {"", "ends before a rule", "write \"always\""},
		"nightly 22:00 for 4h":              {"nightly", "not a kind of window", "daily 22:00 for 4h"},
		"always 22:00 for 4h":               {"22:00", "neither time nor length", "remove"},
		"daily 24:00 for 4h":                {"24:00", "not a time of day", "00:00 to 23:59"},
		"daily 2:00 for 4h":                 {"2:00", "not a time of day", "two digits"},
		"daily 22:00 4h":                    {"4h", `want "for"`, "for 4h"},
		"daily 22:00 for":                   {"", "ends before its length", "write"},
		"daily 22:00 for 0h":                {"0h", "closes as it opens", "a minute"},
		"daily 22:00 for 90s":               {"90s", "whole number of minutes", "on the minute"},
		"daily 22:00 for 25h":               {"25h", "longer than the 24h", `or write "always"`},
		"daily 22:00 for four hours":        {"four", "not a length", "4h"},
		"daily 22:00 for 4h UTC":            {"UTC", "nothing may follow", "remove"},
		"weekly saturday 22:00 for 4h":      {"saturday", "not a day", "write sat"},
		"weekly sat,Sun 22:00 for 4h":       {"Sun", "not a day", "write sun"},
		"weekly sat,,sun 22:00 for 4h":      {"", "not a day", "mon, tue"},
		"weekly sat,sat 22:00 for 4h":       {"sat", "named twice", "once"},
		"weekly sat,sun 22:00 for 25h":      {"25h", "longer than the 24h", "24h at most"},
		"weekly fri,mon 22:00 for 4d":       {"4d", "longer than the 3d", "3d at most"},
		"weekly sat 22:00 for 8d":           {"8d", "longer than the 7d", "7d at most"},
		"monthly 5th tue 22:00 for 4h":      {"5th", "not a week that every month has", "4th"},
		"monthly last tue 22:00 for 4h":     {"last", "not a week that every month has", "4th"},
		"monthly 2nd tue+15 22:00 for 4h":   {"15", "1 to 14", "tue+2"},
		"monthly 2nd tue+02 22:00 for 4h":   {"02", "1 to 14", "tue+2"},
		"monthly 2nd tue-1 22:00 for 4h":    {"tue-1", "not a day", "write tue"},
		"monthly 2nd tue+2 22:00 for 29d":   {"29d", "longer than the 28d", "28d at most"},
		"daily 22:00 for 99999999999999h":   {"99999999999999h", "not a length", "4h"},
		"daily\t22:00 for 4h":               {"daily\t22:00", "not a kind of window", "daily 22:00"},
		"weekly " + strings.Repeat("x", 99): {strings.Repeat("x", 99), "not a day", "mon"},
	}
	for text, want := range cases {
		t.Run(text, func(t *testing.T) {
			_, err := window.Parse(text)
			var wrong *window.SyntaxError
			require.ErrorAs(t, err, &wrong)
			assert.Contains(t, wrong.What, want.what)
			assert.Contains(t, wrong.Way, want.way)
			if want.marked != "" {
				assert.Equal(t, want.marked, text[wrong.Offset:wrong.Offset+wrong.Length])
			}
		})
	}
}

func TestASignedRuleCarriesItsPlaceAndHasOneText(t *testing.T) {
	text := "weekly sat,sun 22:00 for 6h in Europe/Berlin"
	r, loc, err := window.ParseSigned(text)
	require.NoError(t, err)
	assert.Equal(t, "Europe/Berlin", loc.String())
	assert.Equal(t, text, r.Signed(loc))
	for _, wrong := range []string{
		"weekly sat,sun 22:00 for 6h",
		"weekly sun,sat 22:00 for 6h in Europe/Berlin",
		"weekly sat,sun 22:00 for 360m in Europe/Berlin",
		"weekly sat,sun  22:00 for 6h in Europe/Berlin",
		"weekly sat,sun 22:00 for 6h in Europe/Atlantis",
		"weekly sat,sun 22:00 for 6h in Local",
		"weekly sat,sun 22:00 for 6h in ",
		"weekly sat,sun 22:00 for 6h in right/Europe/Berlin",
		"weekly sat,sun 22:00 for 6h in localtime",
		"weekly sat,sun 22:00 for 6h in ../../etc/localtime",
		"weekly sat,sun 22:00 for 6h in Europe/Berlin in Europe/Berlin",
		"sometimes in Europe/Berlin",
	} {
		_, _, err := window.ParseSigned(wrong)
		assert.Error(t, err, wrong)
	}
}

func TestDurationsAreReadWithoutSurprises(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "45s": 45 * time.Second, "30m": 30 * time.Minute, "4h": 4 * time.Hour, "3d": 72 * time.Hour,
		"1h30m": 90 * time.Minute, "1d12h": 36 * time.Hour, "1000d": 24000 * time.Hour,
	} {
		d, err := window.ParseDuration(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, d)
		again, err := window.ParseDuration(window.FormatDuration(d))
		require.NoError(t, err, window.FormatDuration(d))
		assert.Equal(t, d, again)
	}
	for _, text := range []string{"", "4", "-4h", "1.5h", "4 h", "30m1h", "4H", "1w", "1001d", "9999999999d", "4h4h", "1ms"} {
		_, err := window.ParseDuration(text)
		assert.Error(t, err, text)
	}
}
