package phrase_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/patching/phrase"
)

func TestACountAgreesWithWhatItCounts(t *testing.T) {
	assert.Equal(t, "0 machines", phrase.Count(0, "machine"))
	assert.Equal(t, "1 machine", phrase.Count(1, "machine"))
	assert.Equal(t, "2 machines", phrase.Count(2, "machine"))
	assert.Equal(t, "1 patch", phrase.Count(1, "patch", "patches"))
	assert.Equal(t, "2 patches", phrase.Count(2, "patch", "patches"))
}

func TestALongListNamesTheFirstAndCountsTheOthers(t *testing.T) {
	names := []string{"a", "b", "c"}
	assert.Empty(t, phrase.Few[string](nil, 2))
	assert.Equal(t, "a, b, c", phrase.Few(names, 3))
	assert.Equal(t, "a, b and 1 more", phrase.Few(names, 2))
}

func TestALengthOfTimeIsRoundedToWhatPeopleSay(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute: "about 1 minute", 11*time.Minute + 40*time.Second: "about 12 minutes", 100 * time.Minute: "about 100 minutes",
		2*time.Hour + 40*time.Minute: "about 3 hours", 47 * time.Hour: "about 47 hours", 72*time.Hour - 5*time.Second: "about 3 days",
	} {
		assert.Equal(t, want, phrase.About(d), "%s", d)
	}
	assert.Equal(t, "about 3 days behind", phrase.ClockOff(-72*time.Hour))
	assert.Equal(t, "about 12 minutes ahead", phrase.ClockOff(12*time.Minute))
}

func TestASizeIsToldInDecimalUnits(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 bytes", 999: "999 bytes", 1500: "1.5 kB", 84_000_000: "84.0 MB", 999_600_000: "1.0 GB", 1_996_000_000: "2.0 GB",
		123_000_000_000_000: "123 TB",
	} {
		assert.Equal(t, want, phrase.Size(n))
	}
}

func TestAMomentIsToldInUTC(t *testing.T) {
	tokyo := time.FixedZone("JST", 9*60*60)
	assert.Equal(t, "23 Nov 2026 20:05 UTC", phrase.Moment(time.Date(2026, 11, 24, 5, 5, 0, 0, tokyo)))
}
