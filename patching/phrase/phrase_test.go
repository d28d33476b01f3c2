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
	assert.Empty(t, phrase.Few(nil, 2))
	assert.Equal(t, "a, b, c", phrase.Few(names, 3))
	assert.Equal(t, "a, b and 1 more", phrase.Few(names, 2))
}

func TestAMomentIsToldInUTC(t *testing.T) {
	tokyo := time.FixedZone("JST", 9*60*60)
	assert.Equal(t, "23 Nov 2026 20:05 UTC", phrase.Moment(time.Date(2026, 11, 24, 5, 5, 0, 0, tokyo)))
}
