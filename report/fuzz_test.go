package report

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a person gave as a reason is told as it was written, whatever it looks like.
func FuzzReasons(f *testing.F) {
	f.Add("because", "")
	f.Add(`"; refused "x"`, "no")
	f.Fuzz(func(t *testing.T, reason, refused string) {
		_ = readAct(reason)
		body := "request r-1; plan p; reason " + strconv.Quote(reason)
		if refused != "" {
			body += "; refused " + strconv.Quote(refused)
		}
		got := readAct(body)
		require.Equal(t, reason, got.reason)
		require.Equal(t, refused, got.refused)
	})
}
