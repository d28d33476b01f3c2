package cli

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves Q5: a dead relay's machines go on through the next way, and their packages
// come from there, no faster than another's line may be burdened.
func TestRelaysAreTakenByPreferenceAndTheServerAtLast(t *testing.T) {
	d, url := newDesk(t)
	s := newShell(t)
	code, _, errs := s.run(t.Context(), "s3cret\n", "enrol", "--server", url)
	require.Equal(t, ExitOK, code, errs)

	asked := 0
	dead := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		http.Error(w, "no line", http.StatusServiceUnavailable)
	}))
	t.Cleanup(dead.Close)
	code, _, errs = s.run(t.Context(), "", "once", "--relay", dead.URL, "--fallback-rate", "500")
	require.Equal(t, ExitOK, code, errs)
	assert.Equal(t, patching.StageFinished, d.receipts[len(d.receipts)-1].Stage)
	assert.Equal(t, 2, asked, "one request, tried twice; from then on the relay rests")
	from, rate := s.opened[len(s.opened)-1].Route()
	assert.Equal(t, url, from)
	assert.EqualValues(t, 500_000, rate)

	code, _, errs = s.run(t.Context(), "", "once", "--relay", url, "--fallback-rate", "500")
	require.Equal(t, ExitOK, code, errs)
	from, rate = s.opened[len(s.opened)-1].Route()
	assert.Equal(t, url, from)
	assert.Zero(t, rate, "the preferred way is the machine's own")

	code, _, errs = s.run(t.Context(), "", "once", "--relay", "http://relay.example")
	require.Equal(t, ExitUsage, code)
	assert.Contains(t, errs, "want https://host:port")
}
